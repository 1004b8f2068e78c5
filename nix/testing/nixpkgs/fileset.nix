# Sets of files, as lists of their paths. Directories are read when the flake is evaluated.
lib:
let
  inherit (builtins) attrNames concatMap listToAttrs readDir;
  fileset = files: { _type = "fileset"; inherit files; };
  under = path: type:
    if type == "directory" then
      let entries = readDir path; in concatMap (name: under (path + "/${name}") entries.${name}) (attrNames entries)
    else [ path ];
  filesOf = value: value.files or (under value (readDir (dirOf value)).${baseNameOf value});
in
{
  unions = values: fileset (lib.unique (concatMap filesOf values));
  intersection = a: b: fileset (lib.intersectLists (filesOf b) (filesOf a));
  difference = a: b: fileset (lib.subtractLists (filesOf b) (filesOf a));
  maybeMissing = path: fileset (if builtins.pathExists path then filesOf path else [ ]);

  # A store path of those files of `root`, and of the directories that lead to them.
  toSource = { root, fileset }:
    let
      leadingTo = path: if path == toString root then [ ] else [ path ] ++ leadingTo (dirOf path);
      wanted = listToAttrs (map (path: lib.nameValuePair path null) (concatMap (file: leadingTo (toString file)) (filesOf fileset)));
    in
    {
      outPath = builtins.path {
        path = root;
        name = "source";
        filter = path: _: wanted ? ${path};
      };
    };
}
