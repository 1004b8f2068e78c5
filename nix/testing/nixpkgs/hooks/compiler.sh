# The compiler is known by these names, and finds headers and libraries of the declared inputs.
_compiler_paths() {
    if [ -d "$1/include" ]; then NIX_CFLAGS_COMPILE+=" -isystem $1/include"; fi
    if [ -d "$1/lib" ]; then NIX_LDFLAGS+=" -L$1/lib"; fi
}
addEnvHooks "$targetOffset" _compiler_paths
# Names that the compiler makes up depend on nothing else.
export NIX_CFLAGS_COMPILE="${NIX_CFLAGS_COMPILE--frandom-seed=${out##*/}}" NIX_LDFLAGS=${NIX_LDFLAGS-}
export CC=@prefix@gcc CXX=@prefix@g++
export AR=@prefix@ar AS=@prefix@as LD=@prefix@ld NM=@prefix@nm OBJCOPY=@prefix@objcopy OBJDUMP=@prefix@objdump
export RANLIB=@prefix@ranlib READELF=@prefix@readelf SIZE=@prefix@size STRINGS=@prefix@strings STRIP=@prefix@strip
