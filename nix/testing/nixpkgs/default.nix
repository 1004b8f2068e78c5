# The package set: nixpkgs' names over Debian's tools.
{ system ? localSystem.system or localSystem
, localSystem ? builtins.currentSystem
, # A bare-metal machine to compile for: its compiler is in `buildPackages`, nothing else is there.
  crossSystem ? null
, config ? { }
, overlays ? [ ]
,
}:
let
  lib = import ./lib.nix;
  base =
    final:
    {
      inherit lib config system;
      path = ./.;
      pkgs = final;
      buildPackages = if crossSystem == null then final else import ./cross.nix final crossSystem;
      # Calls a function with what it names of the set.
      callPackage =
        file: arguments:
        let
          function = if builtins.isFunction file then file else import file;
          wanted = builtins.intersectAttrs (builtins.functionArgs function) final;
        in
        lib.makeOverridable function (wanted // arguments);
      extend = overlay: set (overlays ++ [ overlay ]);
    }
    // import ./tools.nix final
    // import ./stdenv.nix final
    // import ./builders.nix final
    // import ./fetchers.nix final
    // import ./rust.nix final
    // import ./python.nix final;
  set =
    overlays:
    lib.fix (
      builtins.foldl'
        (
          earlier: overlay: final:
          let previous = earlier final; in previous // overlay final previous
        )
        base
        overlays
    );
in
set overlays
