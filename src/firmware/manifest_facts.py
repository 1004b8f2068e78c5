"""Evaluates frozen manifests with MicroPython's own manifestfile.py and prints, as JSON, the modules
they freeze, or what went wrong. Takes the arguments that MicroPython's makemanifest.py takes."""

import argparse
import json
import os
import sys

parser = argparse.ArgumentParser()
parser.add_argument("-v", dest="variables", action="append", default=[])
for output_option in ("-o", "-b", "-f", "--mpy-tool-flags"):
    parser.add_argument(output_option)
parser.add_argument("manifests", nargs="+")
arguments = parser.parse_args()

variables = {}
for variable in arguments.variables:
    name, value = variable.split("=", 1)
    variables[name] = os.path.abspath(value) if os.path.exists(value) else value

sys.path.insert(0, os.path.join(variables["MPY_DIR"], "tools"))
import manifestfile

missing_packages = []


class Manifest(manifestfile.ManifestFile):
    def require(self, name, *args, **kwargs):
        try:
            super().require(name, *args, **kwargs)
        except ValueError:
            missing_packages.append(name)
            raise


facts = {"modules": [], "error": None, "missing_package": None}
manifest = Manifest(manifestfile.MODE_FREEZE, variables)
try:
    for text in arguments.manifests:
        manifest.execute(text)
    facts["modules"] = sorted({file.target_path for file in manifest.files()})
except manifestfile.ManifestFileError as error:
    facts["error"] = str(error)
    facts["missing_package"] = missing_packages[0] if missing_packages else None
print(json.dumps(facts))
