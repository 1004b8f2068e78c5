# The part of nixpkgs' lib that this project asks for.
let
  inherit (builtins)
    attrNames
    attrValues
    concatLists
    concatMap
    elem
    elemAt
    filter
    genList
    head
    isAttrs
    isBool
    isFunction
    isInt
    isList
    isString
    length
    listToAttrs
    match
    split
    stringLength
    substring
    tail
    toJSON
    ;

  lib = rec {
    inherit (builtins)
      add
      all
      any
      attrNames
      attrValues
      catAttrs
      compareVersions
      concatLists
      concatMap
      concatStringsSep
      elem
      elemAt
      filter
      foldl'
      fromJSON
      functionArgs
      genList
      getAttr
      groupBy
      hasAttr
      head
      intersectAttrs
      isAttrs
      isBool
      isFloat
      isFunction
      isInt
      isList
      isPath
      isString
      length
      listToAttrs
      mapAttrs
      match
      partition
      readDir
      readFile
      removeAttrs
      replaceStrings
      seq
      deepSeq
      sort
      split
      stringLength
      substring
      tail
      throw
      toJSON
      trace
      tryEval
      typeOf
      unsafeDiscardStringContext
      ;

    # Functions
    id = x: x;
    const = x: _: x;
    flip = f: a: b: f b a;
    pipe = builtins.foldl' (x: f: f x);
    fix = f: let x = f x; in x;
    isFunctor = f: isFunction f || (isAttrs f && f ? __functor);
    toFunction = v: if isFunctor v then v else _: v;
    composeExtensions = f: g: final: prev: let first = f final prev; in first // g final (prev // first);
    composeManyExtensions = builtins.foldl' composeExtensions (_: _: { });
    setFunctionArgs = f: args: { __functor = _: f; __functionArgs = args; };
    # The function's result, with `override` to call it again with other arguments.
    makeOverridable =
      f: arguments:
      let
        result = f arguments;
        override = new: makeOverridable f (arguments // (if isFunction new then new arguments else new));
        more = { inherit override; overrideDerivation = _: throw "overrideDerivation is not in the stand-in"; };
      in
      if isAttrs result then
        result
        // more
        // optionalAttrs (result ? overrideAttrs) {
          overrideAttrs = change: makeOverridable (again: (f again).overrideAttrs change) arguments;
        }
      else
        result;

    # Conditions and messages
    assertMsg = condition: message: condition || throw message;
    throwIf = condition: message: if condition then throw message else x: x;
    throwIfNot = condition: throwIf (!condition);
    warn = message: builtins.trace "evaluation warning: ${message}";
    warnIf = condition: message: if condition then warn message else x: x;
    warnIfNot = condition: warnIf (!condition);

    # Numbers
    min = a: b: if a < b then a else b;
    max = a: b: if a > b then a else b;
    toInt = s: let n = readInt s; in if isInt n then n else throw "toInt: '${s}' is not an integer";

    # Attribute sets
    optionalAttrs = condition: set: if condition then set else { };
    filterAttrs = f: set: listToAttrs (concatMap (name: if f name set.${name} then [ (nameValuePair name set.${name}) ] else [ ]) (attrNames set));
    nameValuePair = name: value: { inherit name value; };
    mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
    attrsToList = mapAttrsToList nameValuePair;
    mapAttrs' = f: set: listToAttrs (mapAttrsToList f set);
    concatMapAttrs = f: set: builtins.foldl' (all: name: all // f name set.${name}) { } (attrNames set);
    mergeAttrsList = builtins.foldl' (a: b: a // b) { };
    genAttrs = names: f: listToAttrs (map (name: nameValuePair name (f name)) names);
    genAttrs' = values: f: listToAttrs (map f values);
    attrByPath = path: default: set: if path == [ ] then set else if set ? ${head path} then attrByPath (tail path) default set.${head path} else default;
    hasAttrByPath = path: set: path == [ ] || (set ? ${head path} && hasAttrByPath (tail path) set.${head path});
    getAttrFromPath = path: attrByPath path (throw "there is no attribute ${concatStringsSep "." path}");
    setAttrByPath = path: value: if path == [ ] then value else { ${head path} = setAttrByPath (tail path) value; };
    attrVals = names: set: map (name: set.${name}) names;
    getAttrs = names: set: genAttrs names (name: set.${name});
    recursiveUpdate = a: b: a // builtins.mapAttrs (name: value: if isAttrs value && isAttrs (a.${name} or null) && !isDerivation value then recursiveUpdate a.${name} value else value) b;
    recurseIntoAttrs = set: set // { recurseForDerivations = true; };
    dontRecurseIntoAttrs = set: set // { recurseForDerivations = false; };
    foldAttrs = f: start: sets: genAttrs (unique (concatMap attrNames sets)) (name: foldr f start (builtins.catAttrs name sets));
    zipAttrsWith = builtins.zipAttrsWith;
    isDerivation = value: isAttrs value && (value.type or "") == "derivation";
    isStorePath = value: isString (toString value) && hasPrefix builtins.storeDir (toString value);

    # Lists
    optional = condition: value: if condition then [ value ] else [ ];
    optionals = condition: list: if condition then list else [ ];
    singleton = value: [ value ];
    toList = value: if isList value then value else [ value ];
    flatten = value: if isList value then concatMap flatten value else [ value ];
    foldl = builtins.foldl';
    foldr = f: start: list: let count = length list; from = n: if n == count then start else f (elemAt list n) (from (n + 1)); in from 0;
    forEach = list: f: map f list;
    imap0 = f: list: genList (n: f n (elemAt list n)) (length list);
    imap1 = f: imap0 (n: f (n + 1));
    range = first: last: if first > last then [ ] else genList (n: first + n) (last - first + 1);
    last = list: elemAt list (length list - 1);
    init = list: take (length list - 1) list;
    take = count: list: genList (elemAt list) (min count (length list));
    drop = count: list: genList (n: elemAt list (n + count)) (max 0 (length list - count));
    sublist = start: count: list: take count (drop start list);
    reverseList = list: let count = length list; in genList (n: elemAt list (count - n - 1)) count;
    unique = builtins.foldl' (seen: value: if elem value seen then seen else seen ++ [ value ]) [ ];
    allUnique = list: length (unique list) == length list;
    findFirst = f: default: list: let found = filter f list; in if found == [ ] then default else head found;
    count = f: list: length (filter f list);
    remove = value: filter (other: other != value);
    subtractLists = without: filter (value: !elem value without);
    intersectLists = other: filter (value: elem value other);
    naturalSort = builtins.sort (a: b: builtins.compareVersions a b < 0);
    sortOn = f: builtins.sort (a: b: f a < f b);
    zipListsWith = f: a: b: genList (n: f (elemAt a n) (elemAt b n)) (min (length a) (length b));
    cartesianProduct = sets: builtins.foldl' (all: name: concatMap (one: map (value: one // { ${name} = value; }) sets.${name}) all) [ { } ] (attrNames sets);

    # Strings
    optionalString = condition: string: if condition then string else "";
    concatMapStringsSep = between: f: list: builtins.concatStringsSep between (map f list);
    concatMapStrings = concatMapStringsSep "";
    concatStrings = builtins.concatStringsSep "";
    concatLines = concatMapStrings (line: line + "\n");
    concatImapStringsSep = between: f: list: builtins.concatStringsSep between (imap1 f list);
    concatMapAttrsStringSep = between: f: set: builtins.concatStringsSep between (mapAttrsToList f set);
    hasPrefix = prefix: string: substring 0 (stringLength prefix) string == prefix;
    hasSuffix = suffix: string: let more = stringLength string - stringLength suffix; in more >= 0 && substring more (-1) string == suffix;
    hasInfix = infix: string: match ".*${escapeRegex infix}.*" (builtins.replaceStrings [ "\n" ] [ " " ] (toString string)) != null;
    removePrefix = prefix: string: if hasPrefix prefix string then substring (stringLength prefix) (-1) string else string;
    removeSuffix = suffix: string: if hasSuffix suffix string then substring 0 (stringLength string - stringLength suffix) string else string;
    trim = string: let found = match "[ \t\r\n]*(.*[^ \t\r\n])[ \t\r\n]*" string; in if found == null then "" else head found;
    splitString = at: string: filter isString (split (escapeRegex at) (toString string));
    stringToCharacters = string: genList (n: substring n 1 string) (stringLength string);
    escape = characters: builtins.replaceStrings characters (map (c: "\\${c}") characters);
    escapeRegex = escape (stringToCharacters "\\[{()^$?*+|.");
    escapeShellArg = value: let string = toString value; in if match "[[:alnum:],._+:@%/-]+" string != null then string else "'${builtins.replaceStrings [ "'" ] [ "'\\''" ] string}'";
    escapeShellArgs = concatMapStringsSep " " escapeShellArg;
    escapeNixString = string: escape [ "$" ] (toJSON string);
    toLower = builtins.replaceStrings (stringToCharacters upper) (stringToCharacters lower);
    toUpper = builtins.replaceStrings (stringToCharacters lower) (stringToCharacters upper);
    fixedWidthString = width: filler: string: if stringLength string >= width then string else fixedWidthString width filler (filler + string);
    replaceString = from: to: builtins.replaceStrings [ from ] [ to ];
    versionOlder = a: b: builtins.compareVersions b a > 0;
    versionAtLeast = a: b: !versionOlder a b;
    getName = drv: if isAttrs drv then drv.pname or (builtins.parseDrvName drv.name).name else (builtins.parseDrvName drv).name;
    getVersion = drv: if isAttrs drv then drv.version or (builtins.parseDrvName drv.name).version else (builtins.parseDrvName drv).version;
    levenshtein =
      a: b:
      let
        la = stringLength a;
        lb = stringLength b;
        row = previous: i: builtins.foldl' (done: j: done ++ [ (min (min (lib.last done + 1) (elemAt previous j + 1)) (elemAt previous (j - 1) + (if substring (i - 1) 1 a == substring (j - 1) 1 b then 0 else 1))) ]) [ i ] (range 1 lb);
      in
      lib.last (builtins.foldl' row (range 0 lb) (range 1 la));
    levenshteinAtMost = most: a: b: levenshtein a b <= most;
    toShellVar = name: value: "${name}=${if isList value then "(${escapeShellArgs value})" else escapeShellArg value}";
    boolToString = value: if value then "true" else "false";

    # Packages
    getOutput = output: package: if package.outputSpecified or false then package else package.${output} or package.out or package;
    getBin = package: if package.outputSpecified or false then package else package.bin or package.out or package;
    getLib = getOutput "lib";
    getDev = getOutput "dev";
    getExe' = package: name: "${getBin package}/bin/${name}";
    getExe = package: getExe' package (package.meta.mainProgram or (getName package));
    makeBinPath = makeSearchPathOutput "bin" "bin";
    makeLibraryPath = makeSearchPathOutput "lib" "lib";
    makeSearchPath = directory: packages: builtins.concatStringsSep ":" (map (package: "${package}/${directory}") (filter (package: package != null) packages));
    makeSearchPathOutput = output: directory: packages: makeSearchPath directory (map (getOutput output) packages);
    addMetaAttrs = meta: package: package // { meta = package.meta or { } // meta; };
    lowPrio = id;
    # What a derivation becomes: its outputs as packages, with more attributes on each.
    asPackage =
      drv: more:
      let
        outputs = drv.outputs or [ "out" ];
        output = name: { inherit name; value = drv.${name} // extra // { outputSpecified = true; outputName = name; }; };
        extra = more // { outputs = outputs; } // listToAttrs (map output outputs) // { all = map (name: extra.${name}) outputs; };
      in
      drv // extra;

    # Sources
    cleanSource = src: src;
    cleanSourceWith = { src, filter ? (_: _: true), name ? "source" }: builtins.path { path = src; inherit filter name; };
    fileset = import ./fileset.nix lib;
    fetchers.proxyImpureEnvVars = [ "http_proxy" "https_proxy" "ftp_proxy" "all_proxy" "no_proxy" ];
    importJSON = path: builtins.fromJSON (builtins.readFile path);
    importTOML = path: builtins.fromTOML (builtins.readFile path);
    fileContents = path: removeSuffix "\n" (builtins.readFile path);
    pathExists = builtins.pathExists;
    sourceTypes = {
      fromSource = { isSource = true; shortName = "fromSource"; };
      binaryNativeCode = { isSource = false; shortName = "binaryNativeCode"; };
      binaryFirmware = { isSource = false; shortName = "binaryFirmware"; };
      binaryBytecode = { isSource = false; shortName = "binaryBytecode"; };
    };

    licenses = builtins.mapAttrs (shortName: more: { inherit shortName; free = true; deprecated = false; } // more) {
      mit = { spdxId = "MIT"; fullName = "MIT License"; };
      asl20 = { spdxId = "Apache-2.0"; fullName = "Apache License 2.0"; };
      bsd3 = { spdxId = "BSD-3-Clause"; fullName = "BSD 3-clause License"; };
      gpl2Plus = { spdxId = "GPL-2.0-or-later"; fullName = "GPL v2 or later"; };
      gpl3Plus = { spdxId = "GPL-3.0-or-later"; fullName = "GPL v3 or later"; };
      lgpl21Plus = { spdxId = "LGPL-2.1-or-later"; fullName = "LGPL v2.1 or later"; };
      unfreeRedistributable = { fullName = "Unfree redistributable"; free = false; };
    };
    maintainers = { };
    teams = { };
    platforms = {
      linux = [ "aarch64-linux" "x86_64-linux" "i686-linux" "riscv64-linux" ];
      darwin = [ "aarch64-darwin" "x86_64-darwin" ];
      unix = lib.platforms.linux ++ lib.platforms.darwin;
      all = lib.platforms.unix;
      x86_64 = [ "x86_64-linux" "x86_64-darwin" ];
      aarch64 = [ "aarch64-linux" "aarch64-darwin" ];
    };
    systems.flakeExposed = lib.platforms.unix;
  };

  readInt = string: let bare = match "[ \t]*(-?)0*([0-9]+)[ \t]*" string; in if bare == null then null else builtins.fromJSON (builtins.concatStringsSep "" bare);
  lower = "abcdefghijklmnopqrstuvwxyz";
  upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
in
lib
