{
  description = "Stands in for nixpkgs where it cannot be fetched; see ../README.md";

  outputs =
    { self }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
        "x86_64-darwin"
        "aarch64-darwin"
      ];
      forEach = f: builtins.listToAttrs (map (name: { inherit name; value = f name; }) systems);
    in
    {
      lib = import ./lib.nix;
      legacyPackages = forEach (system: import ./. { inherit system; });
    };
}
