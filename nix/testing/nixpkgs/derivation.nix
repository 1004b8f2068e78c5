# mkDerivation: from a package's attributes to a derivation, and what is said about it.
{ pkgs, drv, system, hardening }:
let
  inherit (pkgs) lib;
  inherit (builtins) elem isFunction;

  dependencies = [ "depsBuildBuild" "nativeBuildInputs" "buildInputs" "propagatedNativeBuildInputs" "propagatedBuildInputs" ];
  references = [ "allowedReferences" "allowedRequisites" "disallowedReferences" "disallowedRequisites" ];
  # Read here, not by the builder.
  ours = dependencies ++ references ++ [
    "meta"
    "passthru"
    "pos"
    "env"
    "outputChecks"
    "hardeningDisable"
    "hardeningEnable"
    "nativeCheckInputs"
    "checkInputs"
    "nativeInstallCheckInputs"
    "installCheckInputs"
  ];

  # `attributes` takes the finished set, so that parts may refer to others that are overridden later.
  make =
    attributes:
    let
      arguments = attributes (arguments // { finalPackage = package; });
      get = name: default: arguments.${name} or default;
      structured = get "__structuredAttrs" false;
      doCheck = get "doCheck" false;
      doInstallCheck = get "doInstallCheck" false;

      more = {
        nativeBuildInputs = lib.optionals doCheck (get "nativeCheckInputs" [ ]) ++ lib.optionals doInstallCheck (get "nativeInstallCheckInputs" [ ]);
        buildInputs = lib.optionals doCheck (get "checkInputs" [ ]) ++ lib.optionals doInstallCheck (get "installCheckInputs" [ ]);
      };
      inputs = dependency:
        map lib.getDev (builtins.filter (input: input != null) (lib.flatten (get dependency [ ] ++ more.${dependency} or [ ])));
      disabled = lib.toList (get "hardeningDisable" [ ]);
      env = {
        NIX_HARDENING_ENABLE = toString (if elem "all" disabled then [ ] else lib.subtractLists disabled hardening);
      } // get "env" { };
      checks = builtins.intersectAttrs (lib.genAttrs references (_: null)) arguments;

      forBuilder =
        removeAttrs arguments ours
        // lib.genAttrs dependencies inputs
        // (if structured then { inherit env; } else env)
        // (
          if structured then
            lib.optionalAttrs (arguments ? outputChecks || checks != { })
              {
                outputChecks = get "outputChecks" (lib.genAttrs (get "outputs" [ "out" ]) (_: checks));
              }
          else
            checks
        )
        // {
          name = get "name" "${arguments.pname}-${arguments.version}";
          inherit system doCheck doInstallCheck;
          builder = pkgs.stdenv.shell;
          args = [ "-e" (get "builder" ./builder.sh) ];
          stdenv = drv;
          strictDeps = get "strictDeps" false;
          outputs = get "outputs" [ "out" ];
        };

      package = lib.asPackage (refuse forBuilder.name meta (derivation forBuilder)) (
        get "passthru" { }
        // {
          inherit meta;
          inherit (pkgs) stdenv;
          passthru = get "passthru" { };
          overrideAttrs = change: make (overridden attributes change);
        }
      );
      meta = { name = forBuilder.name; } // get "meta" { };
    in
    package;

  # A change is a set, a function of the attributes before, or of the finished ones and those before.
  overridden =
    attributes: change: final:
    let
      previous = attributes final;
      once = if isFunction change then change previous else change;
    in
    previous // (if isFunction once then change final previous else once);

  # What nixpkgs refuses to build unless its configuration says otherwise.
  refuse =
    name: meta: drv:
    let
      unfree = builtins.any (license: !(license.free or true)) (lib.toList (meta.license or [ ]));
      elsewhere = meta ? platforms && !(elem system meta.platforms);
      reason =
        if unfree then
          "has an unfree license"
        else if meta.broken or false then
          "is marked as broken"
        else if elsewhere || elem system (meta.badPlatforms or [ ]) then
          "is not available on ${system}"
        else
          null;
      guard = value: if reason == null then value else throw "Package '${name}' ${reason}, refusing to evaluate.";
    in
    drv // lib.genAttrs drv.outputs (output: drv.${output} // { outPath = guard drv.${output}.outPath; drvPath = guard drv.drvPath; })
    // { outPath = guard drv.outPath; drvPath = guard drv.drvPath; };
in
arguments: make (if isFunction arguments then arguments else _: arguments)
