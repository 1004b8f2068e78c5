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
      ../build.rs
      ../benches
      ../scripts/companions
      ../src
      ./70-micropython-builder.rules
      ./pins/components.json
      ./pins/micropython.json
      ./pins/toolchains.json
    ];
  };
  cargoLock.lockFile = ../Cargo.lock;
  # The flake's checks run the tests, with the tools that they want.
  doCheck = false;
  # The rules among them are what NixOS takes from `services.udev.packages`.
  postInstall = ''
    bash scripts/companions "$out/bin/${name}" "$out"
  '';
  meta = {
    inherit description;
    license = [ lib.licenses.mit lib.licenses.asl20 ];
    mainProgram = name;
    platforms = lib.platforms.unix;
  };
}
