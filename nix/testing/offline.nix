# The flake that nix/testing/offline writes; what stands between @ is filled in.
{
  inputs = {
    nixpkgs.url = "path:@flake@/nix/testing/nixpkgs";
    micropython-builder.url = "path:@flake@";
    micropython-builder.inputs.nixpkgs.follows = "nixpkgs";
    micropython.url = "path:@micropython@";
    micropython.flake = false;
  };

  outputs = { self, nixpkgs, micropython-builder, micropython }:
    let
      inherit (nixpkgs.lib) genAttrs mapAttrs recursiveUpdate;

      # Directories that are empty, as submodules are in Debian's source package.
      empty = "${./.}";
      sources = {
        micropython = "${micropython}";
        release = "@release@";
        micropythonLib = "${./micropython-lib}";
        submodules = genAttrs [ "lib/berkeley-db-1.xx" "lib/mbedtls" ] (_: empty);
      };

      # The unix port without what those would give it.
      without = { makeArguments = { MICROPY_PY_BTREE = "0"; MICROPY_PY_SSL = "0"; MICROPY_SSL_MBEDTLS = "0"; }; };
      adapt = library: library // {
        unix = mapAttrs (_: build: arguments: build (recursiveUpdate without arguments)) library.unix;
      };
    in
    micropython-builder.outputs // {
      lib = mapAttrs (_: library: adapt (library.overrideSources sources)) micropython-builder.lib;
      checks = mapAttrs
        (system: library: import "${micropython-builder}/nix/checks.nix" { inherit library; pkgs = nixpkgs.legacyPackages.${system}; })
        self.lib;
    };
}
