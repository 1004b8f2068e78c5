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
      fileset = lib.fileset.unions [ ../Cargo.toml ../Cargo.lock ../build.rs ../rustfmt.toml ../benches ../examples ../src ../tests ../nix/pins ];
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

  # Boots a firmware and asks it something. `files` it can import, by the names they have there.
  boots = name: { firmware, question, answer, files ? { } }: pkgs.runCommand "boots-${name}"
    { nativeBuildInputs = [ helper pkgs.qemu ]; } ''
    ${lib.concatStrings (lib.mapAttrsToList (file: place: "install -D -m644 ${place} mounted/${file}\n") files)}
    answer=$(micropython-builder run ${firmware} ${lib.optionalString (files != { }) "--mount mounted"} --exec ${lib.escapeShellArg question})
    echo "$answer"
    test "$answer" = ${lib.escapeShellArg answer}
    touch "$out"
  '';

  # The same question in different builds of firmware.
  counts = name: firmware: boots name { inherit firmware; question = "print(6 * 7)"; answer = "42"; };
  draws = name: firmware: boots name { inherit firmware; question = "import triangle; print(triangle.number(4))"; answer = "10"; };

  # Imports a native module. What it says of b"abcde" is Fletcher's checksum of that, 0xc8f0.
  sums = name: firmware: arch: boots name {
    inherit firmware;
    files."fletcher.mpy" = "${library.buildNativeModules { src = ../examples/natmod; archs = [ arch ]; }}/fletcher-mpy6.3-${arch}.mpy";
    question = "import fletcher; print(fletcher.sum(b'abcde'))";
    answer = "51440";
  };

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
  unix = counts "unix" (library.unix.buildMicroPythonFirmware { });
  unix-added = draws "unix-added" (library.unix.buildMicroPythonFirmware added);
  qemu-arm = counts "qemu-arm" (library.qemu-mps2-an385.buildMicroPythonFirmware { });
  qemu-riscv = counts "qemu-riscv" (library.qemu-virt-rv32.buildMicroPythonFirmware { });
  qemu-added = draws "qemu-added" (library.qemu-virt-rv32.buildMicroPythonFirmware added);
  native-module = sums "native-module" (library.qemu-mps2-an385.buildMicroPythonFirmware { }) "armv7m";
}
