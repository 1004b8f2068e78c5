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

      # The helper that `nix build` gives a user is optimised, which takes longer than all else here.
      quick = helper: helper.overrideAttrs (_: { CARGO_PROFILE_RELEASE_OPT_LEVEL = "0"; });

      # The unix port without what those would give it.
      without = { makeArguments = { MICROPY_PY_BTREE = "0"; MICROPY_PY_SSL = "0"; MICROPY_SSL_MBEDTLS = "0"; }; };
      adapt = pkgs: original:
        let library = original.overrideSources (sources // { helper = quick original.helper; }); in
        library // {
          unix = mapAttrs (_: build: arguments: build (recursiveUpdate without arguments)) library.unix;
        };

      outputs = import "${micropython-builder}/nix/outputs.nix" { inherit self nixpkgs adapt; };
    in
    outputs // {
      # With the pinned sources: the release at hand may be one whose components nobody has locked.
      inherit (micropython-builder) devShells hydraJobs legacyPackages;
      packages = mapAttrs
        (system: packages: packages // { inherit (outputs.packages.${system}) default micropython-builder; })
        micropython-builder.packages;
    };
}
