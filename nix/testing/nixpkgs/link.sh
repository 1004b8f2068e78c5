# Makes $out/bin of links to Debian's programs. Only built-in commands and Debian's, by full path.
set -eu
PATH=
debian() { local name=$1; shift; "/debian/bin/$name" "$@"; }

# Where a program lies once alternatives have been followed: they name /usr, which no build sees.
real() {
    local path=/debian/bin/$1 target
    while target=$(debian readlink "$path"); do
        case $target in
        /usr/*) path=/debian/${target#/usr/} ;;
        /*) path=$target ;;
        *) path=${path%/*}/$target ;;
        esac
    done
    if [ ! -x "$path" ]; then
        echo "error: there is no $1 on this machine" >&2
        echo "hint: apt-get install $debianPackage" >&2
        exit 1
    fi
    echo "$path"
}

debian mkdir -p "$out/bin" "$out/nix-support"
for alias in $programs $aliases; do
    path=$(real "${alias#*=}")
    debian ln -s "$path" "$out/bin/${alias%%=*}"
done
if [ -n "${hook-}" ]; then debian cp "$hook" "$out/nix-support/setup-hook"; fi
eval "$commands"
