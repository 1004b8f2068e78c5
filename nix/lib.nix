# The library for one package set: `mkLib pkgs`. Each public function has a file of its own.
let
  # `given` replaces sources for everything that the library builds, where a call does not say otherwise:
  # { micropython, micropythonLib, submodules, espIdf, components, python, mpyCross, toolchains, helper }.
  make = pkgs: given:
    let
      inherit (builtins) fromJSON functionArgs intersectAttrs mapAttrs readFile;
      inherit (pkgs) lib;

      # A part gets what its arguments name, from this set or from nixpkgs.
      call = callWith { };
      callWith = more: file:
        let part = import file; in
        part (intersectAttrs (functionArgs part) (pkgs // parts // more));

      readPins = file: fromJSON (readFile file);

      parts = {
        inherit given lib;
        pins = {
          components = readPins ./pins/components.json;
          espIdf = readPins ./pins/esp-idf.json;
          micropython = readPins ./pins/micropython.json;
          python = readPins ./pins/python.json;
          toolchains = readPins ./pins/toolchains.json;
        };
        messages = call ./messages.nix;
        arguments = call ./arguments.nix;
        ports = mapAttrs (_: call) {
          esp32 = ./ports/esp32.nix;
          qemu = ./ports/qemu.nix;
          unix = ./ports/unix.nix;
        };
        supported = builtins.attrNames parts.ports;
        boards = call ./boards.nix;
        sources = call ./sources.nix;
        toolchains = callWith { given = given.toolchains or { }; } ./toolchains.nix;
        espPython = call ./python.nix;
        components = call ./components.nix;
        mpyCross = call ./mpyCross.nix;
        firmwareArguments = call ./firmwareArguments.nix;
        helper = given.helper or (call ./helper.nix);
        buildMicroPythonFirmware = call ./buildMicroPythonFirmware.nix;
        flashMicroPythonFirmware = call ./flashMicroPythonFirmware.nix;
        runMicroPythonFirmware = call ./runMicroPythonFirmware.nix;
        buildNativeModule = call ./buildNativeModule.nix;
        buildNativeModules = call ./buildNativeModules.nix;
      };

      # The functions with a board applied.
      forTarget = target:
        let applied = arguments: { inherit (target) board port variant; } // arguments; in
        {
          buildMicroPythonFirmware = arguments: parts.buildMicroPythonFirmware (applied arguments);
          flashMicroPythonFirmware = arguments: parts.flashMicroPythonFirmware (applied arguments);
          runMicroPythonFirmware = arguments: parts.runMicroPythonFirmware (applied arguments);
        };

      perAlias = mapAttrs (_: forTarget) parts.boards.aliases;
    in
    perAlias
    // {
      # The name that some have for it.
      esp32c3 = perAlias.esp32c3-generic;

      inherit (parts) buildMicroPythonFirmware flashMicroPythonFirmware runMicroPythonFirmware buildNativeModule buildNativeModules;

      # Every board in every variant, by port: the functions with the board applied, and whether this
      # version can build it.
      boards = parts.boards.matrix (target: forTarget target // { isSupported = parts.boards.isSupported target; });

      # The stock firmware of every board; those that cannot be built yet end the evaluation with a message.
      firmware = parts.boards.matrix (target: parts.buildMicroPythonFirmware { inherit (target) board port variant; });

      # The names of the short ones among `boards`: { esp32c3-generic = { port, board, variant, … }; … }.
      inherit (parts.boards) aliases;

      # The program that does the work, and the parts that a build is made of.
      inherit (parts) helper mpyCross pins toolchains espPython;

      # The names and meanings of the arguments, for tools and tests.
      arguments = mapAttrs (_: option: option.type.description) parts.firmwareArguments.options;

      # This library with other sources: `overrideSources { micropython = …; toolchains.riscv32-esp-elf = …; }`.
      overrideSources = changes: make pkgs (given // changes);
    };
in
pkgs: make pkgs { }
