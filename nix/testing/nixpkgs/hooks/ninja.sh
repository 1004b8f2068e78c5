# ninja as the build, check and install phases.
_ninja_hook=1
_ninja() { local -a _items; _collect ninjaFlags ninjaFlagsArray; ninja -j"$NIX_BUILD_CORES" "${_items[@]}" "$@"; }
ninjaBuildPhase() { runHook preBuild; _ninja; runHook postBuild; }
ninjaCheckPhase() { runHook preCheck; _ninja "${checkTarget:-test}"; runHook postCheck; }
ninjaInstallPhase() { runHook preInstall; _ninja "${installTargets:-install}"; runHook postInstall; }
if [ -z "${dontUseNinjaBuild-}" ] && [ -z "${buildPhase-}" ]; then buildPhase=ninjaBuildPhase; fi
if [ -z "${dontUseNinjaCheck-}" ] && [ -z "${checkPhase-}" ]; then checkPhase=ninjaCheckPhase; fi
if [ -z "${dontUseNinjaInstall-}" ] && [ -z "${installPhase-}" ]; then installPhase=ninjaInstallPhase; fi
