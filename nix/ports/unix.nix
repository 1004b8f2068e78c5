# The unix port: a program for this machine.
{ libffi, pkg-config, python3, ... }:
{
  cFragment = "micropython.mk";
  submodules = [ "lib/berkeley-db-1.xx" "lib/mbedtls" ];
  outputs = [ "out" "elf" ];
  usesEspIdf = false;
  hasBuildCache = false;
  # That of the standard environment.
  toolchain = target: espIdf: null;
  makeArguments = toolchain: { };
  nativeBuildInputs = [ pkg-config python3 ];
  buildInputs = [ libffi ];
  install = ''
    cp -r symbols "$elf"
    cp firmware/micropython "$elf/"
    mkdir "$out/bin"
    ln -s ../micropython "$out/bin/micropython"
  '';
}
