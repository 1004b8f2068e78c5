# The sources of a build: MicroPython, its submodules, micropython-lib and ESP-IDF, each fetched on its
# own by its pin, or what the user gives instead.
{ lib, fetchFromGitHub, fetchurl, messages, arguments, pins }:
let
  inherit (builtins) attrNames isString;
  inherit (lib) genAttrs hasPrefix mapAttrs;
  inherit (messages) fail oneOf;

  # What is neither a path nor a derivation, but looks like one to the type check: a release's name.
  isName = value: isString value && !hasPrefix "/" value;

  fetchCommit = it: fetchFromGitHub {
    inherit (it) owner repo;
    rev = it.commit;
    hash = it.nar;
  };

  lookUp = kind: releases: file: name:
    releases.${name} or (fail "${kind} ${name} is not pinned" (
      oneOf name (attrNames releases) ++ [ "or give its source: a path or a derivation; docs/sources.md says how to pin it in ${file}" ]
    ));

  releaseOf = lookUp "MicroPython" pins.micropython.releases "nix/pins/micropython.json";
  espIdfOf = lookUp "ESP-IDF" pins.espIdf.releases "nix/pins/esp-idf.json";
in
{
  # The release whose submodules, ESP-IDF and components are used, and the tree itself. `tree` is what the
  # user gave or null, `release` says of what release that is.
  micropython = tree: release:
    let
      name = if isName tree then tree else release;
      pinned = releaseOf name;
      isPinned = tree == null || isName tree;
    in
    {
      inherit name;
      inherit isPinned;
      # What derivations made of it are called.
      version = if isPinned then lib.removePrefix "v" name else "own";
      tree = if isPinned then fetchCommit pinned else arguments.placeOf tree;
      inherit (pinned) submodules;
      espIdf = pinned.esp_idf;
      epoch = pinned.epoch;
    };

  # Those of `paths` that a build may need, as the helper's `--submodule` takes them. `own` are the user's.
  submodules = release: paths: own:
    let
      unknown = builtins.filter (path: !(release.submodules ? ${path})) (attrNames own);
      fetch = path:
        let
          it = release.submodules.${path} or (fail "MicroPython ${release.name} has no submodule ${path}" (
            if path == "lib/micropython-lib" then [ "give it yourself: micropythonLib = …" ] else [ "take a later release: micropython = \"v1.28.0\"" ]
          ));
        in
        if it.nar == null then
          fail "the hash of the submodule ${path} of MicroPython ${release.name} is not known, so it cannot be fetched"
            [ "give its source: submodules.\"${path}\" = …" ]
        else fetchCommit it;
    in
    if unknown != [ ] then
      fail "MicroPython ${release.name} has no submodule ${builtins.head unknown}" (oneOf (builtins.head unknown) (attrNames release.submodules))
    else
      genAttrs paths fetch // mapAttrs (_: arguments.placeOf) own;

  # ESP-IDF, and the names of what it is built with. `source` is what the user gave, or null.
  espIdf = source: recommended:
    let
      name = if isName source then source else recommended;
      pinned = espIdfOf name;
    in
    {
      inherit name;
      inherit (pinned) toolchains;
      tree =
        if source != null && !isName source then arguments.placeOf source
        else if pinned.nar_with_submodules == null then
          fail "no hash of ESP-IDF ${name} with its submodules is known, so it cannot be fetched" [
            "give its source: espIdf = …"
            "or take one of ${lib.concatStringsSep ", " (builtins.filter (it: pins.espIdf.releases.${it}.nar_with_submodules != null) (attrNames pins.espIdf.releases))}"
          ]
        else
          fetchFromGitHub {
            inherit (pinned) owner repo;
            rev = pinned.commit;
            hash = pinned.nar_with_submodules;
            fetchSubmodules = true;
          };
      # What the ROM of each chip is, for backtraces and debuggers; builds don't need it.
      romElfs = let archive = pins.espIdf.rom_elfs.${pinned.rom_elfs}; in fetchurl { inherit (archive) url hash; };
    };
}
