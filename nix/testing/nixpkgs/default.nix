# The package set: nixpkgs' names over Debian's tools.
#
# `crossSystem` is a bare-metal machine to compile for: its compiler is in `buildPackages`, and nothing
# else is there.
{ system ? localSystem, localSystem ? builtins.currentSystem, crossSystem ? null, config ? { }, overlays ? [ ] }:
let
  lib = import ./lib.nix;
  base = final:
    {
      inherit lib config system;
      path = ./.;
      pkgs = final;
      buildPackages = if crossSystem == null then final else import ./cross.nix final crossSystem;
      extend = overlay: set (overlays ++ [ overlay ]);
    }
    // import ./tools.nix final
    // import ./stdenv.nix final
    // import ./builders.nix final
    // import ./fetchers.nix final
    // import ./rust.nix final
    // import ./python.nix final;
  apply = earlier: overlay: final: let previous = earlier final; in previous // overlay final previous;
  set = overlays: lib.fix (builtins.foldl' apply base overlays);
in
set overlays
