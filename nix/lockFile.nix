# Reads a lock file of ESP-IDF's component manager far enough to know what is locked. Nix has no YAML, but
# the manager writes these files in one fixed form: block style, sorted, two spaces a level.
{ lib }:
text:
let
  inherit (builtins) elemAt head match;
  inherit (lib) foldl' removePrefix removeSuffix splitString;

  lines = splitString "\n" text;
  plain = value: removeSuffix "'" (removePrefix "'" (removeSuffix "\"" (removePrefix "\"" value)));

  # Where we are: the key of the first level, the component of the second.
  step = state: line:
    let
      top = match "([a-z_]+):(.*)" line;
      name = match "  ([^ ].*):" line;
      field = match "    (version|component_hash): (.*)" line;
      value = plain (elemAt field 1);
    in
    if top != null then
      state // {
        section = head top;
        component = null;
        fields = state.fields // { ${head top} = plain (removePrefix " " (elemAt top 1)); };
      }
    else if state.section == "dependencies" && name != null then
      state // { component = plain (head name); }
    else if state.component != null && field != null then
      state // {
        components = state.components // {
          ${state.component} = (state.components.${state.component} or { }) // { ${head field} = value; };
        };
      }
    else state;

  read = foldl' step { section = null; component = null; fields = { }; components = { }; } lines;
in
{
  # The chip it is for, where it says so.
  target = read.fields.target or null;
  # By name, each with `version` and `component_hash`; ESP-IDF itself, which has no hash, is left out.
  components = lib.filterAttrs (name: it: it ? component_hash) read.components;
}
