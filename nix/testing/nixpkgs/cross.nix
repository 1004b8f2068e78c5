# Compilers for bare metal, wrapped as nixpkgs wraps them: by the names they have there.
pkgs: crossSystem:
let
  config = crossSystem.config or (throw "the stand-in wants crossSystem.config");
  cpu = builtins.head (pkgs.lib.splitString "-" config);
  debian = {
    riscv32 = { real = "riscv64-unknown-elf-"; debian = "gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf"; };
    riscv64 = { real = "riscv64-unknown-elf-"; debian = "gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf"; };
    arm = { real = "arm-none-eabi-"; debian = "gcc-arm-none-eabi libnewlib-arm-none-eabi"; };
  };
in
pkgs
  // {
  gcc = pkgs.wrapCompiler (
    { name = "${config}-gcc-wrapper"; prefix = "${config}-"; }
    // debian.${cpu} or (throw "the stand-in has no compiler for ${config}")
  );
}
