# What somebody might ask for by mistake. Each is evaluated by tests/nix.rs, which has the messages.
{
  inputs.micropython-builder.url = "github:OWNER/micropython-builder";

  outputs = { self, micropython-builder }: {
    faults = builtins.mapAttrs
      (system: library:
        let
          inherit (library) buildMicroPythonFirmware flashMicroPythonFirmware runMicroPythonFirmware buildNativeModule buildNativeModules;
          c3 = arguments: buildMicroPythonFirmware ({ board = "ESP32_GENERIC_C3"; } // arguments);
          rv32 = arguments: buildMicroPythonFirmware ({ board = "VIRT_RV32"; } // arguments);
        in
        {
          no-board = buildMicroPythonFirmware { };
          unknown-board = buildMicroPythonFirmware { board = "ESP32_GENERIC_C33"; };
          unknown-variant = buildMicroPythonFirmware { board = "ESP32_GENERIC"; variant = "SPIRAN"; };
          variant-of-none = c3 { variant = "SPIRAM"; };
          unknown-port = c3 { port = "esp23"; };
          board-of-another-port = c3 { port = "qemu"; };
          unsupported-port = buildMicroPythonFirmware { board = "PYBV11"; };
          unknown-argument = c3 { userCModule = [ ]; };
          wrong-type = c3 { patches = "fix.patch"; };
          not-a-set = buildMicroPythonFirmware "ESP32_GENERIC_C3";
          c-module-without-fragment = c3 { userCModules = [ ./empty-module ]; };
          c-module-missing = c3 { userCModules = [ ./no-such-module ]; };
          manifest-missing = rv32 { manifest = ./no-such-manifest.py; };
          both-patch-phase-and-patches = c3 { patchPhase = "true"; patches = [ ./flake.nix ]; };
          both-components-and-lock = c3 { components = ./empty-module; componentsLock = ./flake.nix; };
          pins-without-lock = c3 { componentPins = ./flake.nix; };
          partitions-without-flash = rv32 { partitionTable = ./flake.nix; };
          no-variable = c3 { makeArguments."A B" = "1"; };
          unknown-release = c3 { micropython = "v1.99.0"; };
          release-without-components = c3 { micropython = "v1.18"; };
          unknown-submodule = rv32 { submodules."lib/tinyubs" = ./empty-module; };
          unknown-esp-idf = c3 { espIdf = "v1.0"; };
          no-lock = c3 { componentsLock = ./flake.nix; };
          lock-for-another-chip = c3 { componentsLock = ./esp32s3.lock; };
          stale-pin = c3 { componentsLock = ./stale.lock; };
          unpinned-component = c3 { componentsLock = ./unpinned.lock; };
          flash-what-cannot-be = flashMicroPythonFirmware { board = "VIRT_RV32"; };
          flash-both = flashMicroPythonFirmware { firmware = ./empty-module; manifest = ./empty-module; };
          modules-for-no-arch = buildNativeModules { src = ./empty-module; archs = [ "armv7" ]; };
          modules-for-nothing = buildNativeModules { src = ./empty-module; archs = [ ]; };
          modules-for-both = buildNativeModules { src = ./empty-module; micropython = "v1.28.0"; mpyVersions = [ "6.2" ]; };
          modules-for-no-version = buildNativeModules { src = "${micropython-builder}/examples/natmod"; mpyVersions = [ "9" ]; };
          modules-without-makefile = buildNativeModules { src = ./empty-module; };
          module-without-arch = buildNativeModule { src = ./empty-module; };
          module-for-many = buildNativeModule { src = ./empty-module; arch = "armv7m"; archs = [ "armv7m" ]; };
          run-what-cannot-be = runMicroPythonFirmware { board = "ESP32_GENERIC_C3"; };
        })
      micropython-builder.lib;
  };
}
