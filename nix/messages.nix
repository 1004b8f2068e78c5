# What a person is told who asked for something that cannot be: what was found, what was expected,
# and what mends it, as the helper's own messages say it.
{ lib }:
let
  inherit (builtins) isString length sort toString typeOf;
  inherit (lib) concatMapStrings concatStringsSep levenshtein take toLower;
in
rec {
  # Ends the evaluation. `hints` are commands or arguments that mend what is wrong.
  fail = message: hints:
    throw ("micropython-builder: " + message + concatMapStrings (hint: "\n  hint: " + hint) hints);

  # The up to three of `names` that are most like `name`, most like first.
  nearest = name: names:
    let
      distance = candidate: levenshtein (toLower name) (toLower candidate);
      ranked = sort (a: b: a.distance < b.distance) (map (it: { name = it; distance = distance it; }) names);
    in
    map (it: it.name) (take 3 ranked);

  # A hint with the nearest names, or all of them if they are few.
  oneOf = name: names:
    if names == [ ] then [ ]
    else if length names <= 8 then [ "there is ${concatStringsSep ", " names}" ]
    else [ "nearest to it: ${concatStringsSep ", " (nearest name names)}" ];

  # A value as a message can show it, never evaluated deeper than it is.
  show = value:
    if isString value then ''"${value}"''
    else if value == null then "null"
    else if builtins.isPath value || builtins.isInt value || builtins.isFloat value then toString value
    else if builtins.isBool value then (if value then "true" else "false")
    else if lib.isDerivation value then "the derivation ${value.name or "without a name"}"
    else if builtins.isAttrs value then "an attribute set"
    else "a ${typeOf value}";
}
