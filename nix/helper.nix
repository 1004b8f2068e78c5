# The Rust program that does the work.
{ lib, rustPlatform, ... }:
let
  inherit ((lib.importTOML ../Cargo.toml).package) description name version;
in
rustPlatform.buildRustPackage {
  pname = name;
  inherit version;
  # Not the documents, nor the Nix code: a change there must not rebuild every firmware.
  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../Cargo.toml
      ../Cargo.lock
      ../benches
      ../src
      ./pins/components.json
      ./pins/micropython.json
      ./pins/toolchains.json
    ];
  };
  cargoLock.lockFile = ../Cargo.lock;
  # The flake's checks run the tests, with the tools that they want.
  doCheck = false;
  # Who may open the ports of boards: NixOS takes it from `services.udev.packages`.
  postInstall = ''
    "$out/bin/${name}" manual "$out/share/man/man1"
    mkdir -p "$out"/share/{bash-completion/completions,zsh/site-functions,fish/vendor_completions.d}
    "$out/bin/${name}" completions bash >"$out/share/bash-completion/completions/${name}"
    "$out/bin/${name}" completions zsh >"$out/share/zsh/site-functions/_${name}"
    "$out/bin/${name}" completions fish >"$out/share/fish/vendor_completions.d/${name}.fish"
    install -D -m 644 ${./70-micropython-builder.rules} "$out/lib/udev/rules.d/70-micropython-builder.rules"
  '';
  meta = {
    inherit description;
    license = [ lib.licenses.mit lib.licenses.asl20 ];
    mainProgram = name;
    platforms = lib.platforms.unix;
  };
}
