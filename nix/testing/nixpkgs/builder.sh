# The builder of every mkDerivation.
if [ -f "${NIX_ATTRS_SH_FILE-}" ]; then
    . "$NIX_ATTRS_SH_FILE"
elif [ -f .attrs.sh ]; then
    . .attrs.sh
fi
. "$stdenv/setup"
genericBuild
