# The qemu port: boards that QEMU emulates.
{ python3, toolchains, ... }:
{
  cFragment = "micropython.mk";
  submodules = [ ];
  outputs = [ "out" "elf" ];
  usesEspIdf = false;
  hasBuildCache = false;
  toolchain = target: espIdf: toolchains.forMachine target.machine;
  makeArguments = toolchain: if toolchain ? targetPrefix then { CROSS_COMPILE = toolchain.targetPrefix; } else { };
  nativeBuildInputs = [ python3 ];
  buildInputs = [ ];
  install = ''
    cp -r symbols "$elf"
    cp firmware/firmware.elf "$elf/"
  '';
}
