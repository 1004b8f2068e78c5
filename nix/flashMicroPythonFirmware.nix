# A program that writes a firmware to the board on the desk.
{ lib, writeShellScriptBin, arguments, helper, buildMicroPythonFirmware, messages }:
let
  inherit (messages) fail;

  program = firmware:
    let target = firmware.target or null; in
    if target != null && target.port != "esp32" then
      fail "flashMicroPythonFirmware: ${target.name} runs on ${if target.port == "unix" then "this machine" else "an emulator"}, and is not flashed"
        [ "run it: nix run .#run-…, or runMicroPythonFirmware with the same arguments" ]
    else
      writeShellScriptBin "flash-micropython" ''
        exec ${helper}/bin/micropython-builder flash ${firmware} "$@"
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
