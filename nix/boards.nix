# The boards of MicroPython, from the committed nix/boards/boards.json: finding one by its name, and
# what each is called in the flake's outputs.
{ lib, messages, supported }:
let
  inherit (builtins) attrNames concatMap elem filter fromJSON hasAttr head length readFile;
  inherit (lib) concatStringsSep replaceStrings toLower;
  inherit (messages) fail oneOf;

  data = fromJSON (readFile ./boards/boards.json);

  # Everything about one board in one variant (null: without), as the functions of this library use it.
  target = port: board: variant:
    let
      known = data.ports.${port}.${board};
      key = if variant == null then "" else variant;
    in
    {
      inherit port board variant;
      mcu = known.mcu or null;
      machine = known.machine or null;
      # What is frozen when the user gives nothing, as manifests name it; null where that is no file.
      manifest = known.manifests.${key} or null;
      name = nameOf board variant;
    };

  # A board that a tree of the user's own has, and ours does not.
  unlisted = { board, variant, port, chip }:
    if port == null then fail "chip is for a board that is not listed, and port does not say of which port ${board} is" [ "give port" ]
    else {
      inherit port board variant;
      mcu = if port == "qemu" then null else chip;
      machine = if port == "qemu" then chip else null;
      manifest = { esp32 = "$(PORT_DIR)/boards/manifest.py"; }.${port} or null;
      name = nameOf board variant;
    };

  nameOf = board: variant: if variant == null then board else "${board}-${variant}";

  # `variant` null takes the one that upstream builds when none is named.
  find = { board, variant ? null, port ? null }:
    let
      having = filter (name: hasAttr board data.ports.${name}) (attrNames data.ports);
      found =
        if port != null && !hasAttr port data.ports then
          fail "MicroPython ${data.micropython} has no port \"${port}\"" (oneOf port (attrNames data.ports))
        else if port != null && !elem port having then
          fail "the port ${port} has no board \"${board}\"" (oneOf board (attrNames data.ports.${port}))
        else if port != null then port
        else if having == [ ] then
          fail "MicroPython ${data.micropython} has no board \"${board}\""
            (
              oneOf board (concatMap (name: attrNames data.ports.${name}) (attrNames data.ports))
              ++ [ "of a board that only your own micropython has, say port and chip too" ]
            )
        else if length having > 1 then
          fail "several ports have a board \"${board}\": ${concatStringsSep ", " having}" [ "say which with port" ]
        else head having;
      variants = data.ports.${found}.${board}.variants;
      named = filter (it: it != null) variants;
    in
    if variant == null then target found board (head variants)
    else if elem variant variants then target found board variant
    else if named == [ ] then fail "the board ${board} has no variants, and \"${variant}\" was asked for" [ "leave variant away" ]
    else fail "the board ${board} has no variant \"${variant}\"" (oneOf variant named);

  # Every board in every variant: `of` a target gives what stands there.
  matrix = of:
    lib.mapAttrs
      (port: boards: lib.listToAttrs (
        concatMap
          (board: map
            (variant:
              let it = target port board variant; in
              lib.nameValuePair (if variant == head boards.${board}.variants then board else it.name) (of it)
            )
            boards.${board}.variants)
          (attrNames boards)
      ))
      data.ports;
in
{
  inherit find matrix unlisted;
  release = data.micropython;

  # Those with short names among the flake's packages: what a newcomer has on the desk, or can run
  # without any. ESP32_GENERIC_C3 is esp32c3-generic, VIRT_RV32 of the qemu port qemu-virt-rv32.
  aliases =
    let
      short = replaceStrings [ "_" ] [ "-" ];
      generic = filter (lib.hasPrefix "ESP32_GENERIC") (attrNames data.ports.esp32);
      chip = board: toLower (replaceStrings [ "_GENERIC_" "_GENERIC" ] [ "" "" ] board);
    in
    lib.listToAttrs (
      map (board: lib.nameValuePair "${chip board}-generic" (find { inherit board; port = "esp32"; })) generic
      ++ map (board: lib.nameValuePair "qemu-${toLower (short board)}" (find { inherit board; port = "qemu"; })) (attrNames data.ports.qemu)
      ++ map
        (variant: lib.nameValuePair (if variant == "standard" then "unix" else "unix-${variant}") (find { board = "unix"; inherit variant; }))
        data.ports.unix.unix.variants
    );

  # Ends the evaluation for a port that the helper cannot build yet.
  checkSupported = target:
    if elem target.port supported then target
    else
      fail "firmware for ${target.name} cannot be built yet: this version builds the ports ${concatStringsSep ", " supported}, not ${target.port}"
        [ "legacyPackages.<system>.firmware.<port> has the boards of these ports" ];
  isSupported = target: elem target.port supported;
}
