# The Python that ESP-IDF's build runs: nixpkgs' own, with the packages that it lacks or has in other
# versions, from their source distributions by the hashes of nix/pins/python.json.
{ lib, python3, fetchPypi, pins }:
let
  inherit (lib) attrVals mapAttrs;
  build = pythonPackages: name: it: pythonPackages.buildPythonPackage {
    pname = name;
    inherit (it) version;
    pyproject = true;
    src = fetchPypi {
      pname = it.sdist;
      inherit (it) version hash;
    };
    build-system = [ pythonPackages.setuptools ];
    dependencies = attrVals it.dependencies pythonPackages;
    # Their tests want the network and ESP-IDF. That they load is checked.
    doCheck = false;
    pythonImportsCheck = it.imports;
    # They name upper bounds that nixpkgs has passed, and that do not concern what a build uses.
    dontCheckRuntimeDeps = true;
    meta = {
      description = "${name}, for builds with ESP-IDF";
      license = lib.licenses.${it.license};
    };
  };
in
python3.withPackages (pythonPackages: lib.attrValues (mapAttrs (build pythonPackages) pins.python.packages))
