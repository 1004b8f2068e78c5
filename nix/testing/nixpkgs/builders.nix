# Small derivations: files, scripts, directories of links.
pkgs:
let
  inherit (pkgs) lib stdenv stdenvNoCC bash;

  run = stdenv': name: env: command:
    stdenv'.mkDerivation ({ inherit name; buildCommand = command; passAsFile = [ "buildCommand" ]; } // env);
in
rec {
  runtimeShell = "${bash}/bin/bash";
  runCommand = run stdenvNoCC;
  runCommandCC = run stdenv;
  runCommandLocal = runCommand;

  writeTextFile = { name, text, executable ? false, destination ? "", checkPhase ? "", meta ? { }, derivationArgs ? { } }:
    stdenvNoCC.mkDerivation ({
      inherit name text meta checkPhase;
      passAsFile = [ "text" ];
      buildCommand = ''
        target=$out${lib.escapeShellArg destination}
        mkdir -p "$(dirname "$target")"
        cp "$textPath" "$target"
        ${lib.optionalString executable ''chmod +x "$target"''}
        eval "$checkPhase"
      '';
    } // derivationArgs);
  writeText = name: text: writeTextFile { inherit name text; };
  writeScript = name: text: writeTextFile { inherit name text; executable = true; };
  writeShellScript = name: text: writeScript name "#!${runtimeShell}\n${text}";
  writeShellScriptBin = name: text:
    writeTextFile {
      inherit name;
      text = "#!${runtimeShell}\n${text}\n";
      executable = true;
      destination = "/bin/${name}";
      meta.mainProgram = name;
    };
  # Its script must pass shellcheck, as in nixpkgs.
  writeShellApplication = { name, text, runtimeInputs ? [ ], runtimeEnv ? { }, meta ? { }, excludeShellChecks ? [ ] }:
    writeTextFile {
      inherit name;
      executable = true;
      destination = "/bin/${name}";
      meta = { mainProgram = name; } // meta;
      text = ''
        #!${runtimeShell}
        set -o errexit
        set -o nounset
        set -o pipefail
        ${lib.concatStrings (lib.mapAttrsToList (variable: value: "export ${lib.toShellVar variable value}\n") runtimeEnv)}
        ${lib.optionalString (runtimeInputs != [ ]) ''export PATH="${lib.makeBinPath runtimeInputs}:$PATH"''}

        ${text}
      '';
      checkPhase = ''
        bash -n "$target"
        ${pkgs.shellcheck}/bin/shellcheck ${lib.optionalString (excludeShellChecks != [ ]) "--exclude ${lib.concatStringsSep "," excludeShellChecks}"} "$target"
      '';
    };

  linkFarm = name: entries:
    let
      list = if builtins.isAttrs entries then lib.mapAttrsToList (name: path: { inherit name path; }) entries else entries;
    in
    runCommand name { } (''
      mkdir -p "$out"
    '' + lib.concatMapStrings
      ({ name, path }: ''
        mkdir -p "$(dirname "$out/"${lib.escapeShellArg name})"
        ln -s ${lib.escapeShellArg "${path}"} "$out/"${lib.escapeShellArg name}
      '')
      list);

  symlinkJoin = { name, paths, postBuild ? "", meta ? { }, passthru ? { }, nativeBuildInputs ? [ ] }:
    runCommand name { inherit meta passthru nativeBuildInputs; } ''
      mkdir -p "$out"
      for package in ${toString paths}; do cp -rs --no-preserve=mode "$package/." "$out/"; done
      ${postBuild}
    '';

  # Not to be built: its environment is what `nix develop` wants.
  mkShell = { packages ? [ ], nativeBuildInputs ? [ ], inputsFrom ? [ ], shellHook ? "", name ? "nix-shell", ... }@arguments:
    stdenv.mkDerivation (removeAttrs arguments [ "packages" "inputsFrom" ] // {
      inherit name;
      nativeBuildInputs = packages ++ nativeBuildInputs ++ lib.concatMap (package: package.nativeBuildInputs or [ ]) inputsFrom;
      shellHook = lib.concatStringsSep "\n" (map (package: package.shellHook or "") inputsFrom ++ [ shellHook ]);
      phases = [ "buildPhase" ];
      buildPhase = "export >$out";
      preferLocalBuild = true;
    });
  mkShellNoCC = mkShell;
}
