# The esp32 port: CMake, Ninja and ESP-IDF.
{ cmake, ninja, toolchains, ... }:
{
  cFragment = "micropython.cmake";
  submodules = [ "lib/berkeley-db-1.xx" ];
  outputs = [ "out" "bootloader" "partitionTable" "application" "elf" ];
  usesEspIdf = true;
  # Its build directory can be taken up again, see `build --help`.
  hasBuildCache = true;
  toolchain = target: espIdf: toolchains.forChip target.mcu espIdf.toolchains;
  makeArguments = toolchain: { };
  nativeBuildInputs = [ cmake ninja ];
  buildInputs = [ ];
  install = ''
    install -Dm644 firmware/bootloader.bin -t "$bootloader"
    install -Dm644 firmware/partition-table.bin -t "$partitionTable"
    install -Dm644 firmware/micropython.bin -t "$application"
    cp -r symbols "$elf"
  '';
}
