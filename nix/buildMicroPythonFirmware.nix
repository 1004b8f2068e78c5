# Firmware for a board: a derivation around the helper's `build`. It is an ordinary one, without network;
# everything it needs is fetched by pins before.
{ lib, stdenv, stdenvNoCC, writeText, arguments, boards, components, espPython, firmwareArguments, helper, mpyCross, ports, sources }:
let
  inherit (builtins) isPath;
  inherit (lib) concatMap getName isDerivation mapAttrsToList optional optionalAttrs optionals optionalString;
  inherit (arguments) placeOf toList;

  # The tree that is built: the user's shell code has run in it.
  patched = it: tree:
    if it.postPatch == "" && it.patchPhase == null then tree
    else
      stdenvNoCC.mkDerivation ({
        name = "micropython-patched";
        src = tree;
        patches = map placeOf it.patches;
        inherit (it) postPatch;
        dontConfigure = true;
        dontBuild = true;
        dontFixup = true;
        installPhase = ''cp -r . "$out"'';
      } // optionalAttrs (it.patchPhase != null) { inherit (it) patchPhase; });

  # A manifest is taken with the directory it lies in, for it names files beside it.
  manifestFile = place:
    if isPath place && lib.hasSuffix ".py" (baseNameOf place) then
      "${builtins.path { path = dirOf place; name = "manifest"; }}/${baseNameOf place}"
    else if isPath place then "${builtins.path { path = place; name = "manifest"; }}/manifest.py"
    else if lib.hasSuffix ".py" (placeOf place) then placeOf place
    else "${placeOf place}/manifest.py";

  # Those that the user gives, and the text after them: it adds to what is frozen anyway, as upstream's
  # boards add to their port's.
  manifests = it: target:
    let
      files = map manifestFile (optionals (it.manifest != null) (toList it.manifest));
      stock = optionalString (files == [ ] && target.manifest != null) "include(\"${target.manifest}\")\n";
    in
    files ++ optional (it.frozenManifestText != "") (writeText "manifest.py" (stock + it.frozenManifestText));

  # By the names that the directories have where the user has them. In the store they have others, and a
  # module is called by its directory.
  namedModules = it: map
    (place: { name = if isDerivation place then getName place else baseNameOf place; path = placeOf place; })
    (toList it.userCModules);

  repeat = option: values: concatMap (value: [ option "${value}" ]) values;
  maybe = option: value: optionals (value != null) [ option "${value}" ];

  # Everything about a build except what a person changes daily: that is what the cache is made of.
  base = it:
    let
      inherit (it) target;
      port = ports.${target.port};
      release = sources.micropython it.micropython (if it.release != null then it.release else boards.release);
      tree = patched it release.tree;
      espIdf = sources.espIdf it.espIdf release.espIdf.recommended;
      # Patches that are applied in the tree are not applied again.
      patches = if it.postPatch == "" && it.patchPhase == null then map placeOf it.patches else [ ];
      submodules = sources.submodules release (port.submodules ++ [ "lib/micropython-lib" ]) it.submodules;
      micropythonLib = if it.micropythonLib != null then placeOf it.micropythonLib else submodules."lib/micropython-lib";
      toolchain =
        if it.toolchain == null then port.toolchain target espIdf
        else if isDerivation it.toolchain then it.toolchain
        else placeOf it.toolchain;
      cross =
        if it.mpyCross != null then "${placeOf it.mpyCross}/bin/mpy-cross"
        # A patch may change what mpy-cross is: then the build makes its own.
        else if patches != [ ] then null
        else "${mpyCross { inherit tree release; }}/bin/mpy-cross";
      managed =
        if it.components != null then placeOf it.components
        else if it.componentsLock != null then components.ofLock it.componentsLock it.componentPins target.mcu
        else components.ofRelease release.name target.mcu;
      python = if it.python != null then placeOf it.python else espPython;
      makeArguments = port.makeArguments toolchain // it.makeArguments;
    in
    {
      inherit port release tree toolchain;
      espIdf = if port.usesEspIdf then espIdf else null;
      components = managed;
      arguments =
        [ target.board "--port" target.port ]
        ++ optionals (target.variant != null) [ "--variant" target.variant ]
        ++ [ "--micropython" "${tree}" "--micropython-lib" "${micropythonLib}" ]
        ++ repeat "--submodule" (mapAttrsToList (path: place: "${path}=${place}") (removeAttrs submodules [ "lib/micropython-lib" ]))
        ++ repeat "--patch" patches
        ++ repeat "--make-arg" (mapAttrsToList (name: value: "${name}=${value}") makeArguments)
        ++ maybe "--mpy-cross" cross
        ++ optionals port.usesEspIdf (
          [ "--idf" "${espIdf.tree}" "--components" "${managed}" "--python" "${python}/bin/python3" ]
          ++ maybe "--lock" (if it.componentsLock == null then null else placeOf it.componentsLock)
          ++ maybe "--partition-table" (if it.partitionTable == null then null else placeOf it.partitionTable)
          ++ repeat "--sdkconfig" (map placeOf (optionals (it.sdkconfig != null) (toList it.sdkconfig)))
        );
    };

  # What both derivations have in common.
  derivationOf = it: base: extra:
    stdenv.mkDerivation ({
      inherit (base.release) version;
      __structuredAttrs = true;
      strictDeps = true;
      nativeBuildInputs = [ helper ] ++ base.port.nativeBuildInputs ++ optional (base.toolchain != null) base.toolchain;
      inherit (base.port) buildInputs;
      # The firmware is compiled with upstream's flags, and no others.
      hardeningDisable = [ "all" ];
      dontUnpack = true;
      dontConfigure = true;
      dontUseCmakeConfigure = true;
      dontUseNinjaBuild = true;
      dontUseNinjaInstall = true;
      dontFixup = true;
      baseArguments = base.arguments;
    } // extra);

  # In a fixed directory, for compilers record where they run, and the cache lies where it was made.
  run = more: ''
    runHook preBuild
    # The helper knows the date of the release.
    unset SOURCE_DATE_EPOCH
    export MICROPYTHON_BUILDER_CACHE=$NIX_BUILD_TOP/helper-cache
    cd "$NIX_BUILD_TOP"
    set -o pipefail
    if ! micropython-builder build "''${baseArguments[@]}" --jobs "$NIX_BUILD_CORES" --time-limit 86400 --out firmware ${more} 2>&1 | tee said; then
      # The log is gone with the sandbox. What is to be read first comes last.
      if [ -f firmware.log ]; then cat firmware.log said >&2; fi
      exit 1
    fi
    runHook postBuild
  '';

  nameOf = target: lib.toLower (builtins.replaceStrings [ "_" ] [ "-" ] target.name);

  # The stock board's finished build directory, with everything of the user's that seldom changes.
  buildCache = it: base: derivationOf it base {
    pname = "micropython-${nameOf it.target}-build";
    buildPhase = run ''--save-build build.tar.zst'';
    installPhase = ''install -Dm644 build.tar.zst -t "$out"'';
    meta.description = "The build directory of MicroPython for ${it.target.name}, which other builds begin with";
  };

  firmware = it:
    let
      inherit (it) target;
      common = base it;
      inherit (common) port release;
      # Only Linux builds every derivation in the same directory.
      cached = it.buildCache && port.hasBuildCache && stdenv.hostPlatform.isLinux;
      cache = buildCache it common;
    in
    derivationOf it common {
      pname = "micropython-${nameOf target}";
      inherit (port) outputs;
      ownArguments =
        repeat "--manifest" (manifests it target)
        # On is what the helper does of itself.
        ++ optionals (!it.staticConstRewrite) [ "--static-const" "off" ]
        ++ optionals (!it.frozenLast) [ "--frozen-last" "off" ]
        ++ optionals cached [ "--from-build" "${cache}/build.tar.zst" ];
      moduleNames = map (module: module.name) (namedModules it);
      modulePaths = map (module: "${module.path}") (namedModules it);
      buildPhase = ''
        modules=()
        for index in "''${!modulePaths[@]}"; do
          path=''${modulePaths[index]}
          if [ -d "$path" ] && [ -e "$path/${port.cFragment}" ]; then
            mkdir -p "$NIX_BUILD_TOP/modules"
            ln -s "$path" "$NIX_BUILD_TOP/modules/''${moduleNames[index]}"
            path=$NIX_BUILD_TOP/modules/''${moduleNames[index]}
          fi
          modules+=(--user-c-modules "$path")
        done
        ${run ''"''${ownArguments[@]}" "''${modules[@]}" --symbols symbols''}
      '';
      installPhase = ''
        runHook preInstall
        cp -r firmware "$out"
        ${port.install}
        runHook postInstall
      '';
      # What is flashed knows nothing of what it was built with.
      outputChecks = lib.genAttrs (lib.remove "elf" port.outputs) (_: optionalAttrs (common.toolchain != null) {
        disallowedReferences = [ common.toolchain common.tree helper ] ++ optional (common.espIdf != null) common.espIdf.tree;
      });
      passthru = {
        inherit target helper;
        inherit (common) toolchain tree;
        release = release.name;
      } // optionalAttrs cached { buildCache = cache; } // optionalAttrs (common.espIdf != null) { espIdf = common.espIdf.tree; inherit (common) components; };
      meta = {
        description = "MicroPython ${optionalString release.isPinned "${release.name} "}for ${target.name}";
        homepage = "https://micropython.org";
        license = [ lib.licenses.mit ] ++ optional port.usesEspIdf lib.licenses.asl20;
        platforms = [ "x86_64-linux" "aarch64-linux" "x86_64-darwin" "aarch64-darwin" ];
      } // optionalAttrs (target.port == "unix") { mainProgram = "micropython"; };
    };
in
given: firmware (firmwareArguments.check "buildMicroPythonFirmware" given)
