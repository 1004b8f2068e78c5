# Python: this machine's, without what is installed for it, and packages that say what they need.
pkgs:
let
  inherit (pkgs) lib stdenvNoCC link runCommand;

  # A pyvenv.cfg is what keeps the machine's own packages out.
  environment = ''
    exe=$(real python3)
    version=''${exe##*/}
    for name in python python3 "$version"; do debian ln -s "$exe" "$out/bin/$name"; done
    printf 'home = /debian/bin\ninclude-system-site-packages = false\n' >"$out/pyvenv.cfg"
    site=$out/lib/$version/site-packages
    debian mkdir -p "$site"
  '';

  # A package as PyPI has it, with what it requires: links into the machine's environment of them.
  installed = name:
    link {
      name = "python3-${name}";
      programs = [ ];
      mainProgram = "";
      more = ''
        exe=$(real python3)
        from=(/python/lib/python3*/site-packages) site=$out/lib/''${exe##*/}/site-packages
        debian mkdir -p "$site"
        add() {
            local info file name=''${1//[-.]/_}
            [ ! -e "$site/.$name" ] || return 0
            : >"$site/.$name"
            info=$(debian find "$from" -maxdepth 1 -iname "$name-*.dist-info" -o -maxdepth 1 -iname "''${name/_/.}-*.dist-info")
            [ -d "$info" ] || { echo "error: $1 is not in nix/testing/requirements.txt" >&2; exit 1; }
            for file in $(debian sed -n 's,^\([^,/]*\)[,/].*,\1,p' "$info/RECORD" | debian sort -u); do
                [ "$file" = .. ] || [ -e "$site/$file" ] || debian ln -s "$from/$file" "$site/"
            done
            # What it wants whatever the platform and the extras.
            for name in $(debian sed -n '/;/d; s,^Requires-Dist: \([A-Za-z0-9_.-]*\).*,\1,p' "$info/METADATA"); do add "$name"; done
        }
        add ${name}
      '';
    };

  closure = list: lib.unique (lib.concatMap (package: [ package ] ++ closure (package.pythonNeeds or [ ])) list);

  withPackages = choose:
    link {
      name = "python3-env";
      programs = [ ];
      mainProgram = "python3";
      debian = "python3";
      more = environment + ''
        for package in ${toString (closure (choose packages))}; do
            for file in "$package"/lib/python3*/site-packages/*; do
                [ -e "$site/''${file##*/}" ] || debian ln -s "$file" "$site/"
            done
        done
      '';
    };

  packages =
    lib.genAttrs
      (builtins.filter builtins.isString (builtins.split "[ \n]+" ''
        ar argcomplete bitstring cffi click colorama cryptography ecdsa intelhex jsonref packaging pip
        psutil pydantic pydantic-core pydantic-settings pyelftools pyparsing pyserial pyyaml reedsolo
        requests requests-file requests-toolbelt rich ruamel-yaml setuptools tqdm truststore
        typing-extensions urllib3 wheel''))
      installed
    // {
      inherit buildPythonPackage;
      buildPythonApplication = buildPythonPackage;
      python = python3;
    };

  # A package from its source: what `pip install` makes of it, without network.
  buildPythonPackage =
    { dependencies ? [ ], propagatedBuildInputs ? [ ], build-system ? [ ], pythonImportsCheck ? [ ], passthru ? { }, ... }@arguments:
    let
      needs = dependencies ++ propagatedBuildInputs;
      tools = withPackages (packages: [ packages.pip packages.setuptools packages.wheel ] ++ build-system ++ needs);
    in
    stdenvNoCC.mkDerivation (
      removeAttrs arguments [ "dependencies" "build-system" "pyproject" "format" "pythonImportsCheck" "dontCheckRuntimeDeps" ]
      // {
        name = "python3-${arguments.pname}-${arguments.version}";
        nativeBuildInputs = [ tools ] ++ arguments.nativeBuildInputs or [ ];
        propagatedBuildInputs = needs;
        doCheck = false;
        buildPhase = ''
          runHook preBuild
          runHook postBuild
        '';
        installPhase = ''
          runHook preInstall
          HOME=$NIX_BUILD_TOP python3 -m pip install --no-index --no-deps --no-build-isolation --no-compile \
              --disable-pip-version-check --prefix "$out" .
          runHook postInstall
        '';
        doInstallCheck = true;
        installCheckPhase = lib.concatMapStrings
          (module: ''
            (cd / && PYTHONPATH=$(echo "$out"/lib/python3*/site-packages) python3 -c 'import ${module}')
          '')
          pythonImportsCheck;
        passthru = { pythonNeeds = needs; } // passthru;
      }
    );

  python3 = link {
    name = "python3";
    programs = [ ];
    mainProgram = "python3";
    more = environment;
    passthru = {
      inherit withPackages;
      pkgs = packages;
      pythonVersion = "3";
      interpreter = "${python3}/bin/python3";
    };
  };
in
{
  inherit python3;
  python3Packages = packages;
}
