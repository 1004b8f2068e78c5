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

  # What Debian's package of a Python package consists of, in its dist-packages.
  fromDebian = name: { debian ? "python3-${name}", files ? [ (builtins.replaceStrings [ "-" ] [ "_" ] name) ], needs ? [ ] }:
    link {
      name = "python3-${name}";
      inherit debian;
      programs = [ ];
      mainProgram = "";
      more = ''
        exe=$(real python3)
        site=$out/lib/''${exe##*/}/site-packages
        debian mkdir -p "$site"
        for name in ${toString files}; do
            found=
            for path in /debian/lib/python3/dist-packages/$name /debian/lib/python3/dist-packages/$name-[0-9]* /debian/lib/python3/dist-packages/$name.*; do
                if [ -e "$path" ]; then debian ln -s "$path" "$site/"; found=1; fi
            done
            if [ -z "$found" ]; then
                echo "error: Python has no $name on this machine" >&2
                echo "hint: apt-get install $debianPackage" >&2
                exit 1
            fi
        done
      '';
      passthru = { pythonNeeds = map (need: packages.${need}) needs; };
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
    lib.mapAttrs fromDebian {
      setuptools = { files = [ "setuptools" "pkg_resources" "_distutils_hack" ]; };
      wheel = { };
      pip = { };
      argcomplete = { };
      bitstring = { };
      cffi = { files = [ "cffi" "_cffi_backend" ]; needs = [ "pycparser" ]; };
      click = { };
      colorama = { };
      cryptography = { needs = [ "cffi" ]; };
      ecdsa = { needs = [ "six" ]; };
      intelhex = { };
      jsonref = { };
      packaging = { };
      psutil = { };
      pycparser = { files = [ "pycparser" "ply" ]; };
      pydantic = { needs = [ "typing-extensions" ]; };
      pydantic-core = { };
      pydantic-settings = { };
      pyelftools = { files = [ "elftools" "pyelftools" ]; };
      pyparsing = { };
      pyserial = { debian = "python3-serial"; files = [ "serial" "pyserial" ]; };
      pyyaml = { debian = "python3-yaml"; files = [ "yaml" "_yaml" ]; };
      reedsolo = { };
      requests = { needs = [ "urllib3" "idna" "chardet" "certifi" ]; };
      requests-file = { };
      requests-toolbelt = { };
      rich = { };
      "ruamel-yaml" = { debian = "python3-ruamel.yaml"; files = [ "ruamel" ]; };
      six = { };
      idna = { };
      chardet = { };
      certifi = { };
      tqdm = { };
      truststore = { };
      typing-extensions = { };
      urllib3 = { };
    }
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
        installCheckPhase = lib.concatMapStrings (module: ''
          (cd / && PYTHONPATH=$(echo "$out"/lib/python3*/site-packages) python3 -c 'import ${module}')
        '') pythonImportsCheck;
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
