# buildRustPackage: cargo without network, from the vendored crates, in its phases.
cargoSetupPostUnpack() {
    local vendor=$NIX_BUILD_TOP/cargo-vendor-dir
    cp -r --no-preserve=mode "$cargoDeps" "$vendor"
    mkdir -p .cargo
    sed "s,@vendor@,$vendor," "$cargoDeps/.cargo/config.toml" >>.cargo/config.toml
    export CARGO_HOME=$NIX_BUILD_TOP/.cargo-home
}
cargoSetupPostPatch() {
    if ! cmp "$cargoDeps/Cargo.lock" "${cargoRoot:+$cargoRoot/}Cargo.lock"; then
        echo "ERROR: Cargo.lock is not the same in $cargoDeps" >&2
        exit 1
    fi
}
postUnpackHooks+=(cargoSetupPostUnpack)
postPatchHooks+=(cargoSetupPostPatch)

_cargo() {
    local -a _items
    local command=$1
    shift
    _collect "$@"
    local profile=${cargoBuildType-release}
    (
        set -x
        cargo "$command" -j "$NIX_BUILD_CORES" --target @target@ --frozen --profile "${profile/debug/dev}" "${_items[@]}"
    )
}
cargoBuildHook() {
    runHook preBuild
    local features=${cargoBuildFeatures:+--features=${cargoBuildFeatures// /,}}
    export "CARGO_PROFILE_${cargoBuildType@U}_STRIP=false"
    _cargo build features cargoBuildFlags
    runHook postBuild
}
cargoCheckHook() {
    runHook preCheck
    local features=${cargoCheckFeatures:+--features=${cargoCheckFeatures// /,}} end=-- threads=--test-threads=$NIX_BUILD_CORES
    _cargo test features cargoTestFlags end threads checkFlags checkFlagsArray
    runHook postCheck
}
cargoInstallHook() {
    runHook preInstall
    mkdir -p "$out/bin"
    find "target/@target@/$cargoBuildType" -maxdepth 1 -type f -perm -0100 ! -name '*.so' -exec cp -t "$out/bin" {} +
    rmdir --ignore-fail-on-non-empty "$out/bin"
    runHook postInstall
}
if [ -z "${buildPhase-}" ]; then buildPhase=cargoBuildHook; fi
if [ -z "${checkPhase-}" ]; then checkPhase=cargoCheckHook; fi
if [ -z "${installPhase-}" ]; then installPhase=cargoInstallHook; fi
