# What quickstart and test share: installing what is missing on Debian and Ubuntu, and finding Rust.
# Sourced by them, with `set -euo pipefail` in force.

# The oldest Rust that builds the helper, as Cargo.toml declares it.
rust_minimum=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)

say() {
    if [ -t 2 ]; then printf '\n\033[1m%s\033[0m\n' "$*" >&2; else printf '\n%s\n' "$*" >&2; fi
}

die() {
    printf 'error: %s\n' "$1" >&2
    shift
    for hint in "$@"; do printf 'hint: %s\n' "$hint" >&2; done
    exit 3
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "installing packages needs root, and there is no sudo" "run this as root, or install: $*"
    fi
}

is_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

apt_knows() { apt-cache show "$1" >/dev/null 2>&1; }

# Installs those of the named packages that are missing. `a|b` takes the first that the release has.
install_packages() {
    command -v apt-get >/dev/null || die "there is no apt-get here" \
        "this script sets up Debian and Ubuntu; on another system 'micropython-builder doctor' says what to install"
    local missing=() wanted
    for wanted in "$@"; do
        local name found=
        for name in ${wanted//|/ }; do is_installed "$name" && found=1; done
        [ -n "$found" ] || missing+=("$wanted")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "Installing ${missing[*]}"
    as_root apt-get update -qq
    local names=()
    for wanted in "${missing[@]}"; do
        local name chosen=
        for name in ${wanted//|/ }; do
            if [ -z "$chosen" ] && apt_knows "$name"; then chosen=$name; fi
        done
        [ -n "$chosen" ] || die "no package ${wanted//|/ or } is known to apt"
        names+=("$chosen")
    done
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends "${names[@]}" >&2
}

# Whether version $1 is at least version $2.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

rust_version() { "$1" --version 2>/dev/null | awk '{ print $2 }'; }

# Makes sure that `cargo` is on PATH and new enough.
need_rust() {
    [ -d "$HOME/.cargo/bin" ] && PATH="$HOME/.cargo/bin:$PATH"
    if command -v cargo >/dev/null && command -v rustc >/dev/null && at_least "$(rust_version rustc)" "$rust_minimum"; then
        return 0
    fi
    # Debian keeps a current compiler for its browsers; Ubuntu has one package for each version.
    if [ "$(uname -s)" = Linux ] && command -v apt-get >/dev/null; then
        as_root apt-get update -qq
        if apt_knows rustc-web && at_least "$(apt-cache policy rustc-web | awk '/Candidate:/ { print $2 }')" "$rust_minimum"; then
            install_packages rustc-web cargo-web
            return 0
        fi
        local newest
        newest=$(apt-cache pkgnames rustc-1. | sed -n 's/^rustc-\(1\.[0-9]*\)$/\1/p' | sort -V | tail -n 1)
        if [ -n "$newest" ] && at_least "$newest" "$rust_minimum"; then
            install_packages "rustc-$newest" "cargo-$newest"
            PATH="/usr/lib/rust-$newest/bin:$PATH"
            return 0
        fi
    fi
    die "Rust $rust_minimum or newer is needed, and apt has none" "install it with rustup: https://rustup.rs"
}

# Makes sure that `cargo fmt` and `cargo clippy` are there too, from where the compiler is.
need_rust_lints() {
    need_rust
    if cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1; then
        return 0
    fi
    local sysroot
    sysroot=$(rustc --print sysroot)
    case $sysroot in
    /usr/lib/rust-*) install_packages "rustfmt-${sysroot##*-}" "rust-${sysroot##*-}-clippy" ;;
    /usr) if is_installed rustc-web; then install_packages rustfmt-web rust-web-clippy; fi ;;
    *) if command -v rustup >/dev/null; then rustup component add rustfmt clippy >&2; fi ;;
    esac
    cargo fmt --version >/dev/null && cargo clippy --version >/dev/null ||
        die "cargo fmt and cargo clippy are not there" "install rustfmt and clippy beside the Rust in $sysroot"
}

# RISC-V: QEMU's package was split after Debian 12.
riscv_packages="gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf qemu-system-riscv|qemu-system-misc"
