# What this project asks of nixpkgs' lib, and what the stand-in itself uses. Where something more is
# wanted, it is added here, to behave as it does there.
let
  inherit (builtins)
    attrNames
    concatMap
    elem
    elemAt
    filter
    foldl'
    genList
    head
    isAttrs
    isFunction
    isList
    length
    listToAttrs
    match
    replaceStrings
    split
    stringLength
    substring
    tail
    ;

  stringToCharacters = string: genList (n: substring n 1 string) (stringLength string);
  lower = stringToCharacters "abcdefghijklmnopqrstuvwxyz";
  upper = stringToCharacters "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  escapeRegex = replaceStrings special (map (it: "\\" + it) special);
  special = stringToCharacters "\\[{()^$?*+|.";
  min = a: b: if a < b then a else b;
  range = from: to: if from > to then [ ] else genList (n: from + n) (to - from + 1);
  getOutput = output: package: if package.outputSpecified or false then package else package.${output} or package.out or package;
in
rec {
  inherit (builtins)
    all
    any
    attrValues
    concatStringsSep
    elem
    filter
    head
    isString
    mapAttrs
    replaceStrings
    sort
    ;
  inherit attrNames concatMap foldl' genList length listToAttrs substring tail;

  # Functions and messages
  fix = f: let x = f x; in x;
  flip = f: a: b: f b a;
  throwIf = condition: message: if condition then throw message else it: it;
  warnIf = condition: message: if condition then builtins.trace "evaluation warning: ${message}" else it: it;

  # Attribute sets
  nameValuePair = name: value: { inherit name value; };
  attrVals = names: set: map (name: set.${name}) names;
  optionalAttrs = condition: set: if condition then set else { };
  filterAttrs = f: set: removeAttrs set (filter (name: !f name set.${name}) (attrNames set));
  mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
  mapAttrs' = f: set: listToAttrs (mapAttrsToList f set);
  genAttrs = names: f: listToAttrs (map (name: nameValuePair name (f name)) names);
  recursiveUpdate = a: b: a // builtins.mapAttrs (name: value: if isAttrs value && isAttrs (a.${name} or null) then recursiveUpdate a.${name} value else value) b;
  isDerivation = value: value.type or null == "derivation";

  # Lists
  optional = condition: value: if condition then [ value ] else [ ];
  optionals = condition: list: if condition then list else [ ];
  toList = value: if isList value then value else [ value ];
  flatten = value: if isList value then concatMap flatten value else [ value ];
  last = list: elemAt list (length list - 1);
  take = count: list: genList (elemAt list) (min count (length list));
  remove = value: filter (other: other != value);
  unique = foldl' (seen: value: if elem value seen then seen else seen ++ [ value ]) [ ];
  subtractLists = without: filter (value: !elem value without);
  intersectLists = other: filter (value: elem value other);
  findFirst = f: default: list: let found = filter f list; in if found == [ ] then default else head found;

  # Strings
  optionalString = condition: string: if condition then string else "";
  concatStrings = concatStringsSep "";
  concatMapStrings = f: list: concatStrings (map f list);
  concatMapStringsSep = between: f: list: concatStringsSep between (map f list);
  hasPrefix = prefix: string: substring 0 (stringLength prefix) string == prefix;
  hasSuffix = suffix: string:
    let more = stringLength string - stringLength suffix; in
    more >= 0 && substring more (-1) string == suffix;
  hasInfix = infix: string: match ".*${escapeRegex infix}.*" (replaceStrings [ "\n" ] [ " " ] string) != null;
  removePrefix = prefix: string: if hasPrefix prefix string then substring (stringLength prefix) (-1) string else string;
  removeSuffix = suffix: string:
    if hasSuffix suffix string then substring 0 (stringLength string - stringLength suffix) string else string;
  splitString = at: string: filter builtins.isString (split (escapeRegex at) string);
  toLower = replaceStrings upper lower;
  versionOlder = a: b: builtins.compareVersions b a > 0;
  escapeShellArg = value:
    let string = toString value; in
    if match "[[:alnum:],._+:@%/-]+" string != null then string
    else "'${replaceStrings [ "'" ] [ "'\\''" ] string}'";
  escapeShellArgs = concatMapStringsSep " " escapeShellArg;
  toShellVar = name: value: "${name}=${if isList value then "(${escapeShellArgs value})" else escapeShellArg value}";
  levenshtein = a: b:
    let
      letter = string: n: substring n 1 string;
      # The distances of the first `row` letters of a to ever more of b's, from those of one less.
      next = above: row: foldl'
        (done: column: done ++ [
          (min (min (last done) (elemAt above column) + 1)
            (elemAt above (column - 1) + (if letter a (row - 1) == letter b (column - 1) then 0 else 1)))
        ]) [ row ]
        (range 1 (stringLength b));
    in
    last (foldl' next (range 0 (stringLength b)) (range 1 (stringLength a)));

  # Packages
  getDev = getOutput "dev";
  getName = package: package.pname or (builtins.parseDrvName package.name).name;
  getExe = package: "${getOutput "bin" package}/bin/${package.meta.mainProgram or (getName package)}";
  makeBinPath = packages: concatMapStringsSep ":" (package: "${getOutput "bin" package}/bin") packages;
  # A derivation as a package: more attributes, on each of its outputs too.
  asPackage = drv: more:
    let
      all = more // listToAttrs (
        map (name: nameValuePair name (drv.${name} // all // { outputSpecified = true; outputName = name; })) drv.outputs or [ "out" ]
      );
    in
    drv // all;

  # Sources
  fileset = import ./fileset.nix { inherit hasSuffix intersectLists nameValuePair subtractLists unique; };
  importTOML = path: builtins.fromTOML (builtins.readFile path);
  fetchers.proxyImpureEnvVars = [ "http_proxy" "https_proxy" "ftp_proxy" "all_proxy" "no_proxy" ];

  licenses = builtins.mapAttrs (shortName: spdxId: { inherit shortName spdxId; free = true; })
    {
      asl20 = "Apache-2.0";
      bsd3 = "BSD-3-Clause";
      gpl2Plus = "GPL-2.0-or-later";
      gpl3Plus = "GPL-3.0-or-later";
      lgpl21Plus = "LGPL-2.1-or-later";
      mit = "MIT";
    } // {
    unfreeRedistributable = { shortName = "unfreeRedistributable"; free = false; };
  };
  sourceTypes = {
    fromSource = { shortName = "fromSource"; isSource = true; };
    binaryNativeCode = { shortName = "binaryNativeCode"; isSource = false; };
  };
  platforms = rec {
    linux = [ "aarch64-linux" "x86_64-linux" ];
    darwin = [ "aarch64-darwin" "x86_64-darwin" ];
    unix = linux ++ darwin;
    all = unix;
  };
}
