# Small derivations: files, scripts, directories of links.
pkgs:
let
  inherit (pkgs) lib stdenv stdenvNoCC bash;
in
rec {
  runCommand = name: env: command:
    stdenvNoCC.mkDerivation ({ inherit name; buildCommand = command; passAsFile = [ "buildCommand" ]; } // env);

  writeText = name: text: runCommand name { inherit text; passAsFile = [ "text" "buildCommand" ]; } ''
    cp "$textPath" "$out"
  '';

  # The script is checked, as in nixpkgs: for its syntax.
  writeShellScriptBin = name: text: runCommand name
    {
      text = "#!${bash}/bin/bash\n${text}\n";
      passAsFile = [ "text" "buildCommand" ];
      meta.mainProgram = name;
    } ''
    install -D -m 755 "$textPath" "$out/bin/$name"
    bash -n -O extglob "$out/bin/$name"
  '';

  linkFarm = name: entries: runCommand name { } (''
    mkdir -p "$out"
  '' + lib.concatMapStrings
    ({ name, path }: ''
      mkdir -p "$(dirname "$out/"${lib.escapeShellArg name})"
      ln -s ${lib.escapeShellArg "${path}"} "$out/"${lib.escapeShellArg name}
    '')
    entries);

  # Made for its environment, which `nix develop` takes.
  mkShell = { packages ? [ ], ... }@arguments:
    stdenv.mkDerivation (removeAttrs arguments [ "packages" ] // {
      name = "nix-shell";
      nativeBuildInputs = packages;
      phases = [ "buildPhase" ];
      buildPhase = "export >$out";
    });
}
