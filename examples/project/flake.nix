{
  description = "MicroPython firmware of my own";

  # Where this project lies: the place that `nix flake init -t` was given.
  inputs.micropython-builder.url = "github:OWNER/micropython-builder";

  outputs = { self, micropython-builder }: {
    # nix build          the firmware: result/firmware.bin
    # nix run .#flash    onto the board on the desk; -- --port /dev/ttyACM0 --monitor goes to the flasher
    # nix run .#try      the same modules on a board that QEMU emulates
    packages = builtins.mapAttrs
      (system: library:
        let
          mine = {
            # Modules to freeze, and what else python/manifest.py says.
            manifest = ./python;
            userCModules = ./modules;
          };
        in
        rec {
          # Other boards: nix eval .#boards
          default = library.esp32c3-generic.buildMicroPythonFirmware mine;
          flash = library.flashMicroPythonFirmware { firmware = default; };
          try = library.qemu-mps2-an385.runMicroPythonFirmware (mine // { manifest = ./python/try.py; });
        })
      micropython-builder.lib;

    boards = builtins.mapAttrs (port: builtins.attrNames) micropython-builder.lib.x86_64-linux.boards;
  };
}
