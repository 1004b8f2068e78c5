# ESP-IDF components: each fetched on its own by the NAR hash of its pin, with the helper's `vendor`, and
# put together as the component manager wants them.
{ lib, runCommand, linkFarm, cacert, helper, messages, pins }:
let
  inherit (builtins) attrNames baseNameOf fromJSON readFile;
  inherit (lib) mapAttrsToList replaceStrings;
  inherit (messages) fail;

  directory = replaceStrings [ "/" ] [ "__" ];

  # `file` is a file of pins of the user's that has this component, or null.
  fetch = name: version: pin: file:
    runCommand "${directory name}-${version}"
      {
        nativeBuildInputs = [ helper ];
        outputHashMode = "recursive";
        outputHash = pin.nar;
        preferLocalBuild = true;
        SSL_CERT_FILE = "${cacert}/etc/ssl/certs/ca-bundle.crt";
        impureEnvVars = lib.fetchers.proxyImpureEnvVars ++ [
          "IDF_COMPONENT_LOCAL_STORAGE_URL"
          "IDF_COMPONENT_REGISTRY_URL"
          "IDF_COMPONENT_STORAGE_URL"
        ];
      } ''
      export MICROPYTHON_BUILDER_CACHE=$NIX_BUILD_TOP/cache
      micropython-builder vendor --pinned ${name}@${version} ${lib.optionalString (file != null) "--pins ${file}"} --out components
      mv components/${directory name} "$out"
    '';

  farm = target: components: linkFarm "managed_components-${target}" (
    mapAttrsToList (name: path: { name = directory name; inherit path; }) components
  );
in
{
  # Those that upstream's lock file of a pinned release names for a chip.
  ofRelease = release: target:
    let
      known = pins.components.releases.${release} or (fail "the components of MicroPython ${release} are not pinned" [
        "pinned are those of ${lib.concatStringsSep ", " (attrNames pins.components.releases)}"
        "for another one: micropython-builder lock --micropython TREE --idf IDF --target ${target} --out dependencies.lock.${target} --write-pins components.json, then componentsLock = ./dependencies.lock.${target}; componentPins = ./components.json;"
      ]);
      locked = (
        known.targets.${target} or (fail "MicroPython ${release} has no lock of components for ${target}" [
          "it has for ${lib.concatStringsSep ", " (attrNames known.targets)}"
        ])
      ).components;
    in
    farm target (lib.mapAttrs (name: version: fetch name version pins.components.components.${name}.${version} null) locked);

  # Those of a lock file of the user's, and of the file of pins that was written with it, if they are not
  # among our own.
  ofLock = lockFile: pinFile: target:
    let
      shown = baseNameOf lockFile;
      lock = import ./lockFile.nix { inherit lib; } (readFile lockFile);
      own = if pinFile == null then { } else (fromJSON (readFile pinFile)).components or { };
      repair = "micropython-builder vendor --lock ${shown} --out managed_components --write-pins components.json, then componentPins = ./components.json;";
      one = name: it:
        let
          ours = pins.components.components.${name}.${it.version} or null;
          theirs = own.${name}.${it.version} or null;
          pin = if theirs != null then theirs else ours;
          isStale = pin.component_hash != it.component_hash;
        in
        if pin == null then
          fail "the component ${name} ${it.version} of ${shown} is not pinned" [ repair ]
        else if isStale then
          fail "the pin of the component ${name} ${it.version} is stale: ${shown} has the component_hash ${it.component_hash}, the pin ${pin.component_hash}" [ repair ]
        else if pin.nar or null == null then
          fail "the pin of the component ${name} ${it.version} has no NAR hash" [ repair ]
        else fetch name it.version pin (if theirs == null then null else pinFile);
    in
    if lock.target != null && lock.target != target then
      fail "${shown} is for ${lock.target}, the board is ${if target == null then "unknown" else "an ${target}"}" [
        "micropython-builder lock --micropython TREE --idf IDF --target ${target} --out dependencies.lock.${target}"
      ]
    else if lock.components == { } then
      fail "${shown} names no components; it is not a lock file of ESP-IDF's component manager" [ ]
    else
      farm target (lib.mapAttrs one lock.components);
}
