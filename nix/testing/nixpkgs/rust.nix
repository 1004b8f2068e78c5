# Rust: this machine's compiler and cargo, which a build sees under /rust.
pkgs:
let
  inherit (pkgs) lib stdenv link;

  tool = name: link {
    inherit name;
    programs = [ ];
    mainProgram = name;
    debian = "${name}, or rustup";
    more = ''debian ln -s /rust/bin/${name} "$out/bin/${name}"'';
  };

  # The crates of a lock, each by its checksum, as cargo wants a vendored registry.
  importCargoLock = { lockFile, outputHashes ? { } }:
    let
      locked = (lib.importTOML lockFile).package;
      crates = builtins.filter (package: package ? checksum) locked;
      foreign = builtins.filter (package: package ? source && !(package ? checksum)) locked;
    in
    lib.throwIf (foreign != [ ]) "the stand-in has no crates from git: ${toString (map (package: package.name) foreign)}" (
      pkgs.runCommand "cargo-vendor-dir"
        {
          inherit lockFile;
          archives = map (package: pkgs.fetchCrate { inherit (package) name version checksum; }) crates;
          directories = map (package: "${package.name}-${package.version}") crates;
          checksums = map (package: package.checksum) crates;
        } ''
        mkdir -p $out/.cargo
        set -- $archives
        checksums=($checksums)
        for directory in $directories; do
            tar xzf "$1" -C $out
            echo '{"files":{},"package":"'"''${checksums[0]}"'"}' >"$out/$directory/.cargo-checksum.json"
            shift
            checksums=("''${checksums[@]:1}")
        done
        cp "$lockFile" $out/Cargo.lock
        cat >$out/.cargo/config.toml <<CONFIG
        [source.crates-io]
        replace-with = "vendored-sources"
        [source.vendored-sources]
        directory = "@vendor@"
        CONFIG
      ''
    );
  cargoHook = pkgs.runCommand "cargo-hook" { target = "${pkgs.stdenv.hostPlatform.parsed.cpu.name}-unknown-linux-gnu"; } ''
    mkdir -p $out/nix-support
    substitute ${./hooks/cargo.sh} $out/nix-support/setup-hook --subst-var target
  '';
in
rec {
  rustc = tool "rustc";
  cargo = tool "cargo";
  clippy = link {
    name = "clippy";
    programs = [ ];
    mainProgram = "cargo-clippy";
    more = ''debian ln -s /rust/bin/cargo-clippy /rust/bin/clippy-driver "$out/bin/"'';
  };
  rustfmt = link {
    name = "rustfmt";
    programs = [ ];
    more = ''debian ln -s /rust/bin/cargo-fmt /rust/bin/rustfmt "$out/bin/"'';
  };

  rustPlatform = {
    inherit importCargoLock;
    rust = { inherit rustc cargo; };
    # Tests run after the program is built; both with the release profile unless told otherwise.
    buildRustPackage =
      arguments:
      stdenv.mkDerivation (
        removeAttrs arguments [ "cargoLock" "buildType" "buildFeatures" "checkFeatures" ]
        // {
          cargoDeps = importCargoLock arguments.cargoLock;
          cargoBuildType = arguments.buildType or "release";
          cargoBuildFeatures = arguments.buildFeatures or [ ];
          cargoCheckFeatures = arguments.checkFeatures or arguments.buildFeatures or [ ];
          nativeBuildInputs = arguments.nativeBuildInputs or [ ] ++ [ cargoHook cargo rustc ];
          configurePhase = arguments.configurePhase or "runHook preConfigure\nrunHook postConfigure\n";
          doCheck = arguments.doCheck or true;
          strictDeps = true;
          meta = { platforms = lib.platforms.all; } // arguments.meta or { };
        }
      );
  };
}
