# Checking the arguments of a public function: their names, and what they may be.
{ lib, messages }:
let
  inherit (builtins) all attrNames attrValues hasAttr head isAttrs isBool isFunction isList isPath isString mapAttrs match substring;
  inherit (lib) concatStringsSep filter;
  inherit (messages) fail nearest show;

  type = description: check: { inherit description check; };

  # A derivation, or an input of a flake: what can stand in a string for its path.
  isSource = value: isAttrs value && value ? outPath;

  # That, a path of the flake, or a string that names one, as `"${src}/modules"` does.
  isPlace = value: isPath value || isSource value || (isString value && substring 0 1 value == "/");
in
rec {
  types = {
    string = type "a string" isString;
    boolean = type "true or false" isBool;
    place = type "a path, a derivation, or an input of the flake" isPlace;
    pinned = type "the name of a pinned release such as \"v1.28.0\", a path, a derivation, or an input of the flake" (it: isString it || isPlace it);
    nullOr = it: type "${it.description}, or null" (value: value == null || it.check value);
    listOf = it: type "a list, of which each element is ${it.description}" (value: isList value && all it.check value);
    # One is as good as a list of one.
    someOf = it: type "${it.description}, or a list of such" (value: it.check value || (isList value && all it.check value));
    attrsOf = it: type "an attribute set, of which each value is ${it.description}" (
      value: isAttrs value && !isSource value && all it.check (attrValues value)
    );
  };

  # Takes what was given to `function`, and gives it back with the defaults of `options` (by name a type
  # and, unless it has to be given, a default).
  check = function: options: given:
    let
      unknown = filter (name: !hasAttr name options) (attrNames given);
      name = head unknown;
      value = name: option:
        if !given ? ${name} then
          option.default or (fail "${function} needs the argument ${name}: ${option.type.description}" [ ])
        else if option.type.check given.${name} then given.${name}
        else
          fail "${function}: ${name} is ${show given.${name}}, expected ${option.type.description}" [ ];
    in
    if isFunction given || !isAttrs given then
      fail "${function} was given ${show given}, expected an attribute set of arguments" [ "for example ${function} { board = \"ESP32_GENERIC_C3\"; }" ]
    else if unknown != [ ] then
      fail "${function} has no argument ${name}"
        [ "nearest to it: ${concatStringsSep ", " (nearest name (attrNames options))}" "docs/nix.md lists them all" ]
    else mapAttrs value options;

  # A place as a string that derivations can use.
  placeOf = place: if isString place then place else "${place}";

  toList = value: if isList value then value else [ value ];

  # Whether a path that can be looked at now holds no Makefile.
  isWithoutMakefile = place: isPath place && !builtins.any (name: builtins.pathExists (place + "/${name}")) [ "Makefile" "makefile" "GNUmakefile" ];

  # `NAME=VALUE`, as make and CMake take it.
  isVariable = name: match "[A-Za-z_][A-Za-z0-9_]*" name != null;
}
