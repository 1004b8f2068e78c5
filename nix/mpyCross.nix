# mpy-cross, which compiles the Python that is frozen: built once for a source, whatever the board.
{ lib, stdenv, python3, ... }:
{ tree, release }:
stdenv.mkDerivation {
  pname = "mpy-cross";
  inherit (release) version;
  src = tree;
  nativeBuildInputs = [ python3 ];
  strictDeps = true;
  enableParallelBuilding = true;
  hardeningDisable = [ "all" ];
  dontConfigure = true;
  # It prints the version and a date; of a release both are known.
  preBuild = lib.optionalString release.isPinned ''
    export MICROPY_GIT_TAG=${release.name} MICROPY_GIT_HASH= SOURCE_DATE_EPOCH=${toString release.epoch}
  '';
  makeFlags = [ "-C" "mpy-cross" "BUILD=build" ];
  installPhase = ''
    runHook preInstall
    install -Dm755 mpy-cross/build/mpy-cross -t "$out/bin"
    runHook postInstall
  '';
  meta = {
    description = "MicroPython's cross compiler";
    homepage = "https://micropython.org";
    license = lib.licenses.mit;
    mainProgram = "mpy-cross";
  };
}
