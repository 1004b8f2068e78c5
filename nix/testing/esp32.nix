# The flake that nix/testing/esp32 writes; what stands between @ is filled in.
{
  inputs = {
    nixpkgs.url = "path:@flake@/nix/testing/nixpkgs";
    micropython-builder.url = "path:@flake@";
    micropython-builder.inputs.nixpkgs.follows = "nixpkgs";
    # @inputs@
  };

  outputs = { self, nixpkgs, micropython-builder, ... }@inputs:
    let
      inherit (nixpkgs.lib) mapAttrs optionalAttrs;

      # Scripts in it that call compilers of this machine find them, and the directory they were made in.
      toolchainFor = pkgs: pkgs.runCommand "riscv32-esp-elf" { passthru.targetPrefix = "riscv32-esp-elf-"; } ''
        cp -r ${inputs.toolchain} $out
        chmod -R u+w $out
        for program in $out/bin/*; do
            target=$(readlink "$program") || target=
            case $target in
            /usr/*) ln -sf "/debian/''${target#/usr/}" "$program" ;;
            "") if [ "$(head -c 2 "$program")" = '#!' ]; then
                sed -i 's|@toolchain@|'"$out"'|g; 1a PATH=/debian/bin:$PATH' "$program"
            fi ;;
            esac
        done
      '';

      adapt = pkgs: library: library.overrideSources (
        {
          toolchains.riscv32-esp-elf = toolchainFor pkgs;
          submodules = optionalAttrs (inputs ? berkeley-db) { "lib/berkeley-db-1.xx" = inputs.berkeley-db; };
        }
        // optionalAttrs (inputs ? esp-idf) { espIdf = inputs.esp-idf; }
        // optionalAttrs (inputs ? micropython-lib) { micropythonLib = inputs.micropython-lib; }
        // optionalAttrs (inputs ? micropython) { inherit (inputs) micropython; release = "@release@"; }
      );

      # What the two-stage cache is measured with.
      measuredOf = system: library:
        let
          build = library.esp32c3-generic.buildMicroPythonFirmware;
          module = nixpkgs.legacyPackages.${system}.runCommand "module" { } ''
            mkdir $out
            echo "ANSWER = 42" >$out/added.py
          '';
          more = { frozenManifestText = ''module("added.py", base_path="${module}")''; };
        in
        {
          one-module-more = build more;
          # The same as one derivation, which begins with nothing.
          one-module-more-at-once = build (more // { buildCache = false; });
        };

      outputs = import "${micropython-builder}/nix/outputs.nix" { inherit self nixpkgs adapt; };
    in
    outputs // {
      packages = mapAttrs (system: packages: packages // measuredOf system outputs.lib.${system}) outputs.packages;
    };
}
