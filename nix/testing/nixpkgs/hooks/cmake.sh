# cmake as the configure phase.
_cmake_paths() { addToSearchPath CMAKE_PREFIX_PATH "$1"; }
addEnvHooks "$targetOffset" _cmake_paths
cmakeConfigurePhase() {
    runHook preConfigure
    local -a _items
    local directory=.
    if [ -z "${dontUseCmakeBuildDir-}" ]; then
        mkdir -p "${cmakeBuildDir:=build}"
        cd "$cmakeBuildDir"
        directory=..
    fi
    _collect cmakeFlags cmakeFlagsArray
    cmake "${cmakeDir:-$directory}" -DCMAKE_BUILD_TYPE="${cmakeBuildType:-Release}" -DCMAKE_INSTALL_PREFIX="$prefix" \
        ${_ninja_hook:+-GNinja} "${_items[@]}"
    runHook postConfigure
}
if [ -z "${dontUseCmakeConfigure-}" ] && [ -z "${configurePhase-}" ]; then configurePhase=cmakeConfigurePhase; fi
