# Cross compilers, by the prefix of their programs. Espressif's are binaries that are fetched by their
# pins; the others are those of nixpkgs.
{ lib, stdenv, path, fetchurl, autoPatchelfHook, gcc-arm-embedded, gcc_multi ? null, zlib, messages, pins, given }:
let
  inherit (builtins) attrNames;
  inherit (lib) concatStringsSep optional optionals;
  inherit (messages) fail;
  system = stdenv.hostPlatform.system;

  # One of nix/pins/toolchains.json.
  pinned = name: version:
    let
      inherit (pins.toolchains.toolchains.${name}) prefix versions;
      archives = (versions.${version} or (fail "${name} ${version} is not pinned" (messages.oneOf version (attrNames versions)))).archives;
    in
    if !archives ? ${system} then
      fail "there is no ${name} ${version} for ${system}, only for ${concatStringsSep ", " (attrNames archives)}"
        [ "build on one of these, or give a compiler of your own: toolchain = …, or toolchains.ARCH = … for native modules" ]
    else
      stdenv.mkDerivation {
        pname = name;
        inherit version;
        src = fetchurl { inherit (archives.${system}) url hash; };
        nativeBuildInputs = optional stdenv.hostPlatform.isLinux autoPatchelfHook;
        buildInputs = optionals stdenv.hostPlatform.isLinux [ stdenv.cc.cc.lib zlib ];
        strictDeps = true;
        dontConfigure = true;
        dontBuild = true;
        # Programs of this machine are patched; the target's libraries stay as they are.
        dontStrip = true;
        dontPatchELF = true;
        installPhase = ''
          runHook preInstall
          cp -r . "$out"
          runHook postInstall
        '';
        passthru.targetPrefix = prefix;
        meta = {
          description = "Espressif's GCC for ${name}, as Espressif built it";
          homepage = "https://github.com/espressif/crosstool-NG";
          license = lib.licenses.gpl3Plus;
          platforms = attrNames archives;
          sourceProvenance = [ lib.sourceTypes.binaryNativeCode ];
        };
      };

  # nixpkgs' GCC for a processor without an operating system. Its own riscv32-embedded has libraries for
  # one ABI only, which is not that of MicroPython's boards: this one is built for theirs.
  bareMetal = config: arch: abi:
    (import path {
      localSystem = system;
      crossSystem = {
        inherit config;
        libc = "newlib";
        gcc = { inherit arch abi; };
      };
      config = { };
      overlays = [ ];
    }).buildPackages.gcc;

  # For the machines of the qemu port.
  forMachine = machine: {
    arm = given.arm-none-eabi or (gcc-arm-embedded // { targetPrefix = "arm-none-eabi-"; });
    riscv32 = given.riscv32-none-elf or (bareMetal "riscv32-none-elf" "rv32imac_zicsr" "ilp32");
    riscv64 = given.riscv64-none-elf or (bareMetal "riscv64-none-elf" "rv64imac_zicsr" "lp64");
  }.${machine} or (fail "there is no compiler for ${machine} machines" [ "give one: toolchain = …" ]);
in
{
  # Espressif's GCC for a chip, in the version that an ESP-IDF asks for. `versions` is what its pin says.
  forChip = chip: versions:
    let name = if builtins.elem chip [ "esp32" "esp32s2" "esp32s3" ] then "xtensa-esp-elf" else "riscv32-esp-elf"; in
      given.${name} or (pinned name versions.${name});

  # For native modules of an architecture: { programs, prefix }, by its name in MicroPython.
  forArch = arch:
    let
      of = toolchain: { programs = toolchain; prefix = toolchain.targetPrefix or ""; };
      host = wanted: toolchain:
        if system == wanted then of toolchain
        else fail "native modules for ${arch} are built on ${wanted}, and this is ${system}" [ "leave ${arch} out of archs, or give its compiler: toolchains.${arch} = …" ];
      inherit (pins.toolchains.native_modules.${arch}) toolchain version;
    in
    if given ? ${arch} then of given.${arch}
    else {
      x64 = host "x86_64-linux" stdenv.cc;
      x86 = host "x86_64-linux" gcc_multi;
      rv64imc = of (forMachine "riscv64");
      rv32imc = of (given.riscv32-esp-elf or (pinned toolchain version));
      xtensa = of (given.xtensa-lx106-elf or (pinned toolchain version));
      xtensawin = of (given.xtensa-esp-elf or (pinned toolchain version));
    }.${arch} or (of (forMachine "arm"));

  inherit forMachine;
}
