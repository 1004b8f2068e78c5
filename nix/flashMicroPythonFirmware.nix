# A program that writes a firmware to the board on the desk.
{ lib, writeShellScriptBin, espflash, jq, arguments, boards, buildMicroPythonFirmware, messages }:
let
  inherit (messages) fail;

  program = firmware:
    let target = firmware.target or null; in
    if target != null && target.port != "esp32" then
      fail "flashMicroPythonFirmware: ${target.name} runs on ${if target.port == "unix" then "this machine" else "an emulator"}, and is not flashed"
        [ "run it: nix run .#run-…, or runMicroPythonFirmware with the same arguments" ]
    else
      writeShellScriptBin "flash-micropython" ''
        set -euo pipefail
        # Where it goes and on what chip, as the build says.
        record=${firmware}/firmware.json
        offset=$(${jq}/bin/jq -r '.files[] | select(.role == "firmware") | .offset' "$record")
        chip=$(${jq}/bin/jq -r .mcu "$record")
        exec ${espflash}/bin/espflash write-bin --chip "$chip" "$@" "$offset" ${firmware}/firmware.bin
      '';

  ofFirmware = given:
    let
      it = arguments.check "flashMicroPythonFirmware" { firmware.type = arguments.types.place; } given;
    in
    program it.firmware;
in
# Either a firmware, or the arguments of buildMicroPythonFirmware.
given:
if given ? firmware then
  let others = removeAttrs given [ "firmware" "board" "port" "variant" ]; in
  if others != { } then
    fail "flashMicroPythonFirmware was given a firmware, and ${lib.concatStringsSep ", " (builtins.attrNames others)} to build one with" [ "give one or the other" ]
  else ofFirmware { inherit (given) firmware; }
else program (buildMicroPythonFirmware given)
