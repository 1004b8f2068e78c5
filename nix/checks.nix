# What `nix flake check` builds: the helper's own tests and lints, and firmware that boots.
{ pkgs, library }:
let
  inherit (pkgs) lib rustPlatform;
  inherit (library) helper;

  # The helper's sources with its tests, and what a lint or a test of them runs.
  crate = name: nativeBuildInputs: command: helper.overrideAttrs (old: {
    pname = "micropython-builder-${name}";
    src = lib.fileset.toSource {
      root = ../.;
      fileset = lib.fileset.unions [ ../Cargo.toml ../Cargo.lock ../rustfmt.toml ../benches ../examples ../src ../tests ../nix/pins ];
    };
    nativeBuildInputs = old.nativeBuildInputs ++ nativeBuildInputs;
    buildPhase = ''
      runHook preBuild
      ${command}
      runHook postBuild
    '';
    installPhase = ''touch "$out"'';
    dontFixup = true;
  });

  # Boots a firmware and asks it something.
  boots = name: firmware: question: answer: pkgs.runCommand "boots-${name}"
    { nativeBuildInputs = [ helper pkgs.qemu ]; } ''
    answer=$(micropython-builder run ${firmware} --exec ${lib.escapeShellArg question})
    echo "$answer"
    test "$answer" = ${lib.escapeShellArg answer}
    touch "$out"
  '';

  added = {
    manifest = ../examples/hello;
    userCModules = ../examples/modules;
  };
in
{
  inherit helper;
  format = crate "format" [ pkgs.rustfmt ] "cargo fmt --check";
  lints = crate "lints" [ pkgs.clippy ] "cargo clippy --offline --all-targets -- -D warnings";
  unit-tests = crate "unit-tests" [ ] "cargo test --offline --lib --bins";
  nix-format = pkgs.runCommand "nix-format" { nativeBuildInputs = [ pkgs.nixpkgs-fmt ]; } ''
    nixpkgs-fmt --check ${../nix} ${../flake.nix} ${../examples}
    touch "$out"
  '';
}
  // lib.optionalAttrs pkgs.stdenv.hostPlatform.isLinux {
  unix = boots "unix" (library.unix.buildMicroPythonFirmware { }) "print(6 * 7)" "42";
  unix-added = boots "unix-added" (library.unix.buildMicroPythonFirmware added) "import triangle; print(triangle.number(4))" "10";
  qemu-arm = boots "qemu-arm" (library.qemu-mps2-an385.buildMicroPythonFirmware { }) "print(6 * 7)" "42";
  qemu-riscv = boots "qemu-riscv" (library.qemu-virt-rv32.buildMicroPythonFirmware { }) "print(6 * 7)" "42";
  qemu-added = boots "qemu-added" (library.qemu-virt-rv32.buildMicroPythonFirmware added) "import triangle; print(triangle.number(4))" "10";
}
