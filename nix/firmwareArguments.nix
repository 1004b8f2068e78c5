# The arguments of buildMicroPythonFirmware, and of what builds on it: what they may be, and which of them
# exclude one another. docs/nix.md says what each is for.
{ lib, arguments, messages, boards, ports, given }:
let
  inherit (builtins) attrNames head pathExists;
  inherit (lib) concatStringsSep filter findFirst isString warnIf;
  inherit (arguments) toList types;
  inherit (messages) fail;

  options = with types; {
    board = { type = string; };
    variant = { type = nullOr string; default = null; };
    port = { type = nullOr string; default = null; };
    chip = { type = nullOr string; default = null; };

    manifest = { type = nullOr (someOf place); default = null; };
    frozenManifestText = { type = string; default = ""; };
    userCModules = { type = someOf place; default = [ ]; };
    staticConstRewrite = { type = boolean; default = true; };
    frozenLast = { type = boolean; default = true; };
    patches = { type = listOf place; default = [ ]; };
    postPatch = { type = string; default = ""; };
    patchPhase = { type = nullOr string; default = null; };
    makeArguments = { type = attrsOf string; default = { }; };
    partitionTable = { type = nullOr place; default = null; };
    sdkconfig = { type = nullOr (someOf place); default = null; };

    micropython = { type = nullOr pinned; default = given.micropython or null; };
    release = { type = nullOr string; default = given.release or null; };
    micropythonLib = { type = nullOr place; default = given.micropythonLib or null; };
    submodules = { type = attrsOf place; default = given.submodules or { }; };
    espIdf = { type = nullOr pinned; default = given.espIdf or null; };
    components = { type = nullOr place; default = given.components or null; };
    componentsLock = { type = nullOr place; default = given.componentsLock or null; };
    componentPins = { type = nullOr place; default = given.componentPins or null; };
    toolchain = { type = nullOr place; default = null; };
    python = { type = nullOr place; default = given.python or null; };
    mpyCross = { type = nullOr place; default = given.mpyCross or null; };

    buildCache = { type = boolean; default = true; };
    # Not needed, and taken so that flakes written for an earlier form of this one go on working.
    sha256 = { type = nullOr string; default = null; };
  };

  # What only boards with ESP-IDF have.
  onlyEsp32 = [ "partitionTable" "sdkconfig" "frozenLast" "espIdf" "components" "componentsLock" "componentPins" "python" ];

  # A directory that is a C module, or one with C modules in it, of those that can be looked at now.
  isCModule = fragment: place:
    !(builtins.isPath place && pathExists place)
    || pathExists (place + "/${fragment}")
    || baseNameOf place == fragment
    || (builtins.readFileType or (_: "directory") place == "directory"
    && lib.any (name: pathExists (place + "/${name}/${fragment}")) (attrNames (builtins.readDir place)));

  # Each: whether it is wrong, the message, its hints.
  faults = it: target: byHand:
    let
      port = ports.${target.port};
      given = name: byHand ? ${name} && byHand.${name} != null;
      foreign = findFirst given null (if port.usesEspIdf then [ ] else onlyEsp32);
      noModule = findFirst (place: !isCModule port.cFragment place) null (toList it.userCModules);
      badVariable = findFirst (name: !arguments.isVariable name) null (attrNames it.makeArguments);
      missing = name: place: builtins.isPath place && !pathExists place;
      gone = findFirst (name: lib.any (missing name) (toList (if it.${name} == null then [ ] else it.${name}))) null
        [ "manifest" "userCModules" "patches" "partitionTable" "sdkconfig" "micropythonLib" "componentsLock" "componentPins" ];
    in
    [
      {
        wrong = foreign != null;
        message = "${target.name} is a board of the port ${target.port}, and ${toString foreign} is for ESP32 boards only";
        hints = [ "leave ${toString foreign} away" ];
      }
      {
        wrong = gone != null;
        message = "${toString gone} names a path that does not exist: ${concatStringsSep ", " (map toString (filter (missing gone) (toList it.${toString gone})))}";
        hints = [ "in a git checkout a flake sees only files that git knows: git add them" ];
      }
      {
        wrong = noModule != null;
        message = "the user C module ${toString noModule} has no ${port.cFragment}, which the port ${target.port} needs";
        hints = [ "https://docs.micropython.org/en/latest/develop/cmodules.html shows how to write one" ];
      }
      {
        wrong = it.patchPhase != null && (it.patches != [ ] || it.postPatch != "");
        message = "patchPhase takes the place of the phase in which patches and postPatch have their effect, and both are given";
        hints = [ "give patches and postPatch, without patchPhase" ];
      }
      {
        wrong = it.components != null && byHand ? componentsLock && it.componentsLock != null;
        message = "components and componentsLock both say which components to build with";
        hints = [ "give one of them" ];
      }
      {
        wrong = it.componentPins != null && it.componentsLock == null;
        message = "componentPins are the pins of what componentsLock names, and there is none";
        hints = [ "give componentsLock as well" ];
      }
      {
        wrong = it.release != null && isString it.micropython && !lib.hasPrefix "/" it.micropython && it.micropython != it.release;
        message = "micropython is ${messages.show it.micropython} and release is ${messages.show it.release}";
        hints = [ "release is for a tree of your own: it says whose submodules and components fit it" ];
      }
      {
        wrong = badVariable != null;
        message = "makeArguments has ${messages.show badVariable}, which is no name of a variable of make or CMake";
        hints = [ ];
      }
    ];
in
{
  inherit options;

  # Checked arguments of `function`, with defaults, and the board they are for as `target`.
  check = function: byHand:
    let
      it = arguments.check function options byHand;
      target = boards.checkSupported (
        if it.chip != null then boards.unlisted { inherit (it) board variant port chip; }
        else boards.find { inherit (it) board variant port; }
      );
      fault = findFirst (fault: fault.wrong) null (faults it target byHand);
      warned = warnIf (it.sha256 != null)
        "micropython-builder: ${function} does not need sha256 any more: everything it fetches is pinned, and nothing is built with a network. Leave it away.";
    in
    warned (if fault != null then fail "${function}: ${fault.message}" fault.hints else it // { inherit target; });
}
