# Sets of files, as lists of their paths. Directories are read when the flake is evaluated.
lib:
let
  inherit (builtins) attrNames concatMap elem isList listToAttrs readDir;
  isFileset = value: builtins.isAttrs value && value._type or "" == "fileset";
  fileset = files: { _type = "fileset"; inherit files; };
  under = path: type:
    if type == "directory" then
      concatMap (name: under (path + "/${name}") (readDir path).${name}) (attrNames (readDir path))
    else
      [ path ];
  typeOf = path: if builtins.readFileType or null != null then builtins.readFileType path else (readDir (dirOf path)).${baseNameOf path};
  from = value: if isFileset value then value else fileset (under value (typeOf value));
  filesOf = value: (from value).files;
in
{
  unions = values: fileset (lib.unique (concatMap filesOf values));
  union = a: b: fileset (lib.unique (filesOf a ++ filesOf b));
  intersection = a: b: fileset (lib.intersectLists (filesOf b) (filesOf a));
  difference = a: b: fileset (lib.subtractLists (filesOf b) (filesOf a));
  maybeMissing = path: if builtins.pathExists path then from path else fileset [ ];
  fileFilter = f: path:
    fileset (
      builtins.filter (
        file:
        f {
          name = baseNameOf file;
          type = "regular";
          hasExt = ext: lib.hasSuffix ".${ext}" (baseNameOf file);
        }
      ) (filesOf path)
    );
  toList = filesOf;
  # A store path with those files of `root`, and the directories that lead to them.
  toSource = { root, fileset }:
    let
      start = toString root;
      ancestors = path: if path == start || path == "/" then [ ] else [ path ] ++ ancestors (dirOf path);
      wanted = listToAttrs (map (name: { inherit name; value = true; }) (concatMap (file: ancestors (toString file)) (filesOf fileset)));
    in
    rec {
      origSrc = root;
      outPath = builtins.path { path = root; name = "source"; filter = path: _: wanted ? ${path}; };
      _isLibCleanSourceWith = true;
      __toString = self: self.outPath;
    };
}
