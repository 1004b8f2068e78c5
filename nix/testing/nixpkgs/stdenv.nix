# stdenv: mkDerivation, and the compiler of this machine as nixpkgs wraps it.
pkgs:
let
  inherit (pkgs) lib system;

  platform = rec {
    inherit system;
    isLinux = lib.hasSuffix "-linux" system;
    isDarwin = !isLinux;
    parsed.cpu.name = lib.head (lib.splitString "-" system);
  };

  # On every PATH without being asked for.
  common = with pkgs; [
    coreutils
    findutils
    diffutils
    gnused
    gnugrep
    gawk
    gnutar
    gzip
    bzip2
    gnumake
    bash
    gnupatch
    xz
    file
  ];

  # What nixpkgs' compiler adds unless `hardeningDisable` names it: firmware must not get it.
  hardening = [ "bindnow" "format" "fortify" "fortify3" "pic" "relro" "stackclashprotection" "stackprotector" "strictoverflow" "zerocallusedregs" ];

  # `real` is what Debian puts before the names of its tools, `prefix` what nixpkgs puts there.
  wrapCompiler =
    { name, real ? "", prefix ? real, debian }:
    pkgs.link {
      inherit name debian;
      programs = [ ];
      mainProgram = "${prefix}gcc";
      aliases = lib.listToAttrs (map (tool: lib.nameValuePair "${prefix}${tool}" "${real}${tool}") pkgs.binutilsTools);
      more = ''
        for tool in gcc g++; do
            path=$(real "${real}$tool")
            debian sed "s|@real@|$path|; s|@bash@|${pkgs.bash}/bin/bash|; s|@hardening@|${toString hardening}|" \
                ${./compiler-wrapper.sh} >"$out/bin/${prefix}$tool"
            debian chmod +x "$out/bin/${prefix}$tool"
        done
        debian sed "s|@prefix@|${prefix}|g" ${./hooks/compiler.sh} >"$out/nix-support/setup-hook"
        ${lib.optionalString (prefix == "") ''
          debian ln -s gcc "$out/bin/cc"
          debian ln -s g++ "$out/bin/c++"
        ''}
      '';
      passthru = {
        targetPrefix = prefix;
        cc.lib = pkgs.library { name = "gcc-lib"; debian = "libstdc++6"; libraries = [ "libstdc++" "libgcc_s" ]; };
      };
    };

  gcc = wrapCompiler { name = "gcc-wrapper"; debian = "gcc g++ binutils"; };

  stdenv = makeStdenv gcc;

  makeStdenv = cc:
    let
      drv = derivation {
        inherit system;
        name = "stdenv-linux";
        builder = "/debian/bin/bash";
        args = [
          "-c"
          ''
            /debian/bin/mkdir -p $out/nix-support
            { echo "export SHELL=${pkgs.bash}/bin/bash"
              echo "initialPath='$initialPath'"
              echo "defaultNativeBuildInputs='$defaultNativeBuildInputs'"
              /debian/bin/cat ${./setup.sh}; } >$out/setup
          ''
        ];
        initialPath = toString common;
        defaultNativeBuildInputs = toString (lib.optional (cc != null) cc ++ [ "${./hooks/patch-shebangs.sh}" "${./hooks/strip.sh}" ]);
      };
    in
    drv
    // {
      inherit cc;
      shell = "${pkgs.bash}/bin/bash";
      buildPlatform = platform;
      hostPlatform = platform;
      mkDerivation = import ./derivation.nix { inherit pkgs drv system hardening; };
    };
in
{
  inherit stdenv gcc wrapCompiler;
  # Also for x86 of 32 bits.
  gcc_multi = wrapCompiler { name = "gcc-multi-wrapper"; debian = "gcc-multilib"; };
  stdenvNoCC = makeStdenv null;
}
