# A program that boots a firmware in its emulator, or runs that of the unix port.
{ writeShellScriptBin, qemu, helper, buildMicroPythonFirmware, messages }:
given:
let
  firmware = given.firmware or (buildMicroPythonFirmware given);
  target = firmware.target or null;
in
if target != null && target.port == "esp32" then
  messages.fail "runMicroPythonFirmware: nixpkgs' QEMU has no machine of an ESP32" [
    "with Espressif's: micropython-builder run RESULT --emulator PATH/qemu-system-riscv32"
  ]
else
  writeShellScriptBin "run-micropython" ''
    export PATH=${qemu}/bin:$PATH
    exec ${helper}/bin/micropython-builder run ${firmware} "$@"
  ''
