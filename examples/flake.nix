# One firmware of each kind. In a clone of this repository:
#
#   nix build ./examples#                  the first of them
#   nix build ./examples#frozenModules     another
#   nix run ./examples#flash               onto the board on the desk
#
# Nobody types a hash: everything that is fetched is pinned.
{
  description = "Examples of MicroPython firmware";

  inputs.micropython-builder.url = "path:..";

  outputs = { self, micropython-builder }:
    let
      packages = builtins.mapAttrs (system: of) micropython-builder.lib;
      of = library:
        let inherit (library.esp32c3-generic) buildMicroPythonFirmware flashMicroPythonFirmware; in
        rec {
          # As upstream builds it.
          default = buildMicroPythonFirmware { };

          # Text in the form of a frozen manifest, added to what the board freezes anyway.
          frozenText = buildMicroPythonFirmware {
            frozenManifestText = ''
              require("aiohttp")
            '';
          };

          # A manifest of your own, with the modules beside it, in place of the board's. What it requires
          # comes from the micropython-lib that belongs to the release, without a network.
          frozenModules = buildMicroPythonFirmware {
            manifest = ./required;
          };

          # C modules: a directory with a micropython.cmake, or a directory of such.
          cModules = buildMicroPythonFirmware {
            userCModules = ./modules;
          };

          # Any change to the source: patches = [ ./some.patch ], or commands that run in it.
          patched = buildMicroPythonFirmware {
            postPatch = ''
              sed -i 's/#define MICROPY_HW_BOARD_NAME .*/#define MICROPY_HW_BOARD_NAME "My own board"/' \
                  ports/esp32/boards/ESP32_GENERIC_C3/mpconfigboard.h
            '';
          };

          # Another release. A checkout, a fork or a flake input serves as well: micropython = inputs.micropython.
          otherRelease = buildMicroPythonFirmware {
            micropython = "v1.27.0";
          };

          # More room for the program, less for files.
          ownPartitions = buildMicroPythonFirmware {
            partitionTable = ./partitions.csv;
          };

          # Everything at once, for a board that QEMU emulates: nix run ./examples#run
          emulated = library.qemu-virt-rv32.buildMicroPythonFirmware {
            manifest = ./hello;
            userCModules = ./modules;
          };

          flash = flashMicroPythonFirmware { firmware = default; };
          run = library.runMicroPythonFirmware { firmware = emulated; };
        };
    in
    { inherit packages; };
}
