# The flake's outputs, from the library. `adapt` changes that for a package set, before anything is made of
# it: so a flake can have all of these outputs, but other sources.
{ self, nixpkgs, adapt ? (pkgs: library: library) }:
let
  inherit (nixpkgs) lib;
  mkLib = pkgs: adapt pkgs (import ./lib.nix pkgs);
  systems = [ "x86_64-linux" "aarch64-linux" "x86_64-darwin" "aarch64-darwin" ];
  forAllSystems = lib.genAttrs systems;
  pkgsFor = forAllSystems (system: import nixpkgs { inherit system; });
  libFor = forAllSystems (system: mkLib pkgsFor.${system});

  # The helper for people, which says what commit it is of. What builds firmware does not: with each commit, all
  # firmware would be built anew.
  programOf = library:
    if self ? rev
    then library.helper.overrideAttrs (_: { MPB_COMMIT = builtins.substring 0 9 self.rev; })
    else library.helper;

  packagesOf = library:
    let
      of = lib.flip lib.mapAttrs library.aliases;
      esp32 = lib.filterAttrs (_: target: target.port == "esp32") library.aliases;
    in
    {
      default = programOf library;
      micropython-builder = programOf library;
    }
    // of (name: _: library.${name}.buildMicroPythonFirmware { })
    // lib.mapAttrs' (name: _: lib.nameValuePair "flash-${name}" (library.${name}.flashMicroPythonFirmware { })) esp32;

  app = description: program: { type = "app"; inherit program; meta = { inherit description; }; };

  appsOf = library:
    let runnable = lib.filterAttrs (_: target: target.port != "esp32") library.aliases; in
    {
      default = app "The helper" "${programOf library}/bin/micropython-builder";
    }
    // lib.mapAttrs'
      (name: target: lib.nameValuePair "run-${name}" (
        app "MicroPython for ${target.name}" "${library.${name}.runMicroPythonFirmware { }}/bin/run-micropython"
      ))
      runnable;

  # What this version can build, of every port.
  supportedOf = library: lib.mapAttrs
    (port: lib.filterAttrs (name: _: library.boards.${port}.${name}.isSupported))
    (lib.filterAttrs (port: boards: lib.any (it: it.isSupported) (lib.attrValues library.boards.${port})) library.firmware);
in
{
  inherit mkLib;
  lib = libFor;

  packages = forAllSystems (system: packagesOf libFor.${system});
  legacyPackages = forAllSystems (system: { inherit (libFor.${system}) firmware; });
  apps = forAllSystems (system: appsOf libFor.${system});
  checks = forAllSystems (system: import ./checks.nix { pkgs = pkgsFor.${system}; library = libFor.${system}; });
  devShells = forAllSystems (system: import ./devShells.nix { pkgs = pkgsFor.${system}; library = libFor.${system}; });
  formatter = forAllSystems (system: pkgsFor.${system}.nixpkgs-fmt);

  overlays.default = final: prev: {
    micropython-builder = final.micropythonBuilderLib.helper;
    micropythonBuilderLib = mkLib final;
  };

  nixosModules.udev = import ./udev.nix { inherit self; };

  templates.default = {
    path = ../examples/project;
    description = "MicroPython firmware of your own: frozen modules, a C module, a flash program";
  };

  # The board matrix, for Hydra and for `nix build .#hydraJobs.firmware.x86_64-linux.esp32.UM_TINYS3`.
  hydraJobs = {
    firmware = lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (system: supportedOf libFor.${system});
    helper = forAllSystems (system: libFor.${system}.helper);
    checks = lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (system: self.checks.${system});
  };
}
