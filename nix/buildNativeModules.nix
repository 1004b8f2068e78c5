# Native modules (.mpy files with machine code) for several architectures and .mpy versions: a derivation
# around the helper's `natmod`.
{ lib, stdenv, python3, arguments, helper, messages, pins, sources, toolchains, given }:
let
  inherit (builtins) attrNames elem filter head isString;
  inherit (lib) concatMap concatStringsSep hasPrefix last mapAttrsToList optional optionals sort unique versionOlder;
  inherit (arguments) placeOf types;
  inherit (messages) fail oneOf;

  all = [ "x86" "x64" "armv6m" "armv7m" "armv7emsp" "armv7emdp" "xtensa" "xtensawin" "rv32imc" "rv64imc" ];
  system = stdenv.hostPlatform.system;

  # Those whose compilers there are for this system.
  usual = filter
    (arch:
      if elem arch [ "x86" "x64" ] then system == "x86_64-linux"
      else if arch == "xtensa" then hasPrefix "x86_64-" system
      else true)
    all;

  # The newest pinned release for a .mpy version.
  releaseFor = version:
    let
      releases = pins.micropython.releases;
      known = unique (mapAttrsToList (_: it: it.mpy_version) releases);
      full = if version == "6" then "6.0" else version;
      having = sort (a: b: versionOlder (lib.removePrefix "v" a) (lib.removePrefix "v" b))
        (filter (name: releases.${name}.mpy_version == full) (attrNames releases));
    in
    if having == [ ] then fail "there is no .mpy version \"${version}\"" (oneOf version known)
    else last having;

  options = with types; {
    src = { type = place; };
    name = { type = nullOr string; default = null; };
    archs = { type = listOf string; default = usual; };
    mpyVersions = { type = listOf string; default = [ "6.3" ]; };
    micropython = { type = nullOr (someOf pinned); default = given.micropython or null; };
    root = { type = nullOr place; default = null; };
    linker = { type = string; default = "own"; };
    staticConstRewrite = { type = nullOr boolean; default = null; };
    outputName = { type = nullOr string; default = null; };
    makeTarget = { type = nullOr string; default = null; };
    makeArguments = { type = attrsOf string; default = { }; };
    mpyCrossArguments = { type = listOf string; default = [ ]; };
    archFlags = { type = nullOr string; default = null; };
    linkRuntime = { type = boolean; default = false; };
    externs = { type = nullOr place; default = null; };
    toolchains = { type = attrsOf place; default = { }; };
  };

  build = it:
    let
      unknown = filter (arch: !elem arch all) it.archs;
      both = it.micropython != null && it.mpyVersions != [ "6.3" ];
      trees =
        if it.micropython == null then map (version: (sources.micropython (releaseFor version) null).tree) it.mpyVersions
        else map (tree: (sources.micropython tree (last (attrNames pins.micropython.releases))).tree) (arguments.toList it.micropython);
      compiler = arch:
        if it.toolchains ? ${arch} then
          let own = it.toolchains.${arch}; in { programs = own; prefix = own.targetPrefix or ""; }
        else toolchains.forArch arch;
      repeat = option: values: concatMap (value: [ option "${value}" ]) values;
      maybe = option: value: optionals (value != null) [ option "${value}" ];
      # Upstream's linker is Python; without it, Python only helps to build mpy-cross.
      python = if it.linker == "upstream" then python3.withPackages (packages: [ packages.pyelftools ] ++ optional it.linkRuntime packages.ar) else python3;
      label = if it.name != null then it.name else if it.outputName != null then it.outputName else "native-module";
    in
    if unknown != [ ] then fail "there is no architecture \"${head unknown}\" of native modules" (oneOf (head unknown) all)
    else if !elem it.linker [ "own" "upstream" ] then fail "there is no linker \"${it.linker}\"" (oneOf it.linker [ "own" "upstream" ])
    else if it.archs == [ ] then fail "archs is empty: there is nothing to build" [ "leave it away for all architectures" ]
    else if both then fail "micropython and mpyVersions both say what to build for" [ "give one of them" ]
    else if arguments.isWithoutMakefile it.src then
      fail "${toString it.src} has no Makefile, and native modules are built by one" [
        "https://docs.micropython.org/en/latest/develop/natmod.html shows how to write one"
      ]
    else
      stdenv.mkDerivation {
        name = "${label}-mpy";
        __structuredAttrs = true;
        strictDeps = true;
        nativeBuildInputs = [ helper python ];
        hardeningDisable = [ "all" ];
        dontUnpack = true;
        dontConfigure = true;
        dontFixup = true;
        natmodArguments =
          [ "${placeOf it.src}" "--arch" (concatStringsSep "," it.archs) "--linker" it.linker "--python" "${python}/bin/python3" ]
          ++ repeat "--micropython" trees
          ++ repeat "--toolchain" (map
            (arch: let it = compiler arch; in "${arch}=${it.programs}/bin/${it.prefix}")
            it.archs)
          ++ optionals (it.staticConstRewrite != null) [ "--static-const" (if it.staticConstRewrite then "on" else "off") ]
          ++ maybe "--root" (if it.root == null then null else placeOf it.root)
          ++ maybe "--output-name" it.outputName
          ++ maybe "--make-target" it.makeTarget
          ++ repeat "--make-arg" (mapAttrsToList (name: value: "${name}=${value}") it.makeArguments)
          ++ repeat "--mpy-cross-arg" it.mpyCrossArguments
          ++ maybe "--arch-flags" it.archFlags
          ++ optional it.linkRuntime "--link-runtime"
          ++ maybe "--externs" (if it.externs == null then null else placeOf it.externs);
        buildPhase = ''
          runHook preBuild
          unset SOURCE_DATE_EPOCH
          export MICROPYTHON_BUILDER_CACHE=$NIX_BUILD_TOP/helper-cache
          micropython-builder natmod "''${natmodArguments[@]}" --jobs "$NIX_BUILD_CORES" --fail-fast --out modules
          runHook postBuild
        '';
        installPhase = ''
          runHook preInstall
          cp -r modules "$out"
          runHook postInstall
        '';
        meta = {
          description = "Native modules for MicroPython, ${concatStringsSep ", " it.archs}";
          platforms = [ "x86_64-linux" "aarch64-linux" "x86_64-darwin" "aarch64-darwin" ];
        };
      };
in
given: build (arguments.check "buildNativeModules" options given)
