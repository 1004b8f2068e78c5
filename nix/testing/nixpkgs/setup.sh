# What runs in a build: the walk over its inputs, the phases, and the functions they may use, as the
# stdenv chapter of nixpkgs' manual describes them, for what this project asks of them.
set -eu
set -o pipefail
shopt -s nullglob inherit_errexit

# --- Attributes: strings, or arrays under __structuredAttrs ---

if [ -n "${NIX_ATTRS_JSON_FILE-}" ]; then
    __structuredAttrs=1
    # Nix 2.8 names the files where they are outside the sandbox.
    [ -e "$NIX_ATTRS_JSON_FILE" ] || export NIX_ATTRS_JSON_FILE=$NIX_BUILD_TOP/.attrs.json NIX_ATTRS_SH_FILE=$NIX_BUILD_TOP/.attrs.sh
    _outputs=("${!outputs[@]}")
    for _name in "${_outputs[@]}"; do export "$_name=${outputs[$_name]}"; done
    for _name in "${!env[@]}"; do export "$_name=${env[$_name]}"; done
else
    __structuredAttrs=
    _outputs=($outputs)
fi

# Sets `_items` to the elements of all the named variables. What is not a derivation's begins with _:
# an attribute may have any other name.
_collect() {
    local _name _declared
    _items=()
    for _name; do
        _declared=$(declare -p "$_name" 2>/dev/null) || continue
        local -n _value=$_name
        case $_declared in
        "declare -a"*) _items+=("${_value[@]}") ;;
        *) _items+=($_value) ;;
        esac
        unset -n _value
    done
}

_is_array() {
    case $(declare -p "$1" 2>/dev/null) in
    "declare -a"*) true ;;
    "") [ -n "$__structuredAttrs" ] ;;
    *) false ;;
    esac
}
appendToVar() {
    local -n _variable=$1
    if _is_array "$1"; then _variable+=("${@:2}"); else _variable="${_variable-} ${*:2}"; fi
}
prependToVar() {
    local -n _variable=$1
    if _is_array "$1"; then _variable=("${@:2}" ${_variable+"${_variable[@]}"}); else _variable="${*:2} ${_variable-}"; fi
}

addToSearchPath() {
    local -n _path=$1
    if [ -d "$2" ] && [[ :${_path-}: != *:"$2":* ]]; then
        export "$1=${_path-}${_path:+:}$2"
    fi
}

# --- Hooks ---

# Runs the function or the text of that name, then what has been added to the array NAMEHooks.
runHook() {
    local hook
    local -n hooks=${1%Hook}Hooks
    if declare -F "$1" >/dev/null; then "$1"; elif [ -n "${!1-}" ]; then eval "${!1}"; fi
    for hook in ${hooks+"${hooks[@]}"}; do
        if declare -F "$hook" >/dev/null; then "$hook" "${@:2}"; else eval "$hook"; fi
    done
}

# --- Inputs ---

export SHELL CONFIG_SHELL=$SHELL TZ=UTC SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-315532800}" NIX_BUILD_CORES
export NIX_SSL_CERT_FILE=/no-cert-file.crt SSL_CERT_FILE=/no-cert-file.crt
prefix=${prefix:-$out}

_tools=() _libraries=() _tool_hooks=() _library_hooks=()

# Functions to be called with each input: with tools, or with libraries.
addEnvHooks() { if [ "$1" = -1 ]; then _tool_hooks+=("${@:2}"); else _library_hooks+=("${@:2}"); fi; }

# Adds an input and what it propagates to `_tools` or `_libraries`. The tools of a tool are of no use here.
_walk() {
    local -n found=$1
    local next
    case " ${found[*]} " in *" $2 "*) return 0 ;; esac
    [ -e "$2" ] || { echo "build input $2 does not exist" >&2; exit 1; }
    found+=("$2")
    unset -n found
    if [ "$1" = _libraries ] && [ -f "$2/nix-support/propagated-native-build-inputs" ]; then
        for next in $(<"$2/nix-support/propagated-native-build-inputs"); do _walk _tools "$next"; done
    fi
    if [ -f "$2/nix-support/propagated-build-inputs" ]; then
        for next in $(<"$2/nix-support/propagated-build-inputs"); do _walk "$1" "$next"; done
    fi
}
# A declared input that is a file is a hook itself.
_activate() {
    if [ -f "$1" ]; then . "$1"; elif [ -f "$1/nix-support/setup-hook" ]; then . "$1/nix-support/setup-hook"; fi
}

_find_inputs() {
    local -a _items
    local package
    PATH= HOST_PATH=
    _collect depsBuildBuild nativeBuildInputs propagatedNativeBuildInputs
    for package in "${_items[@]}"; do _walk _tools "$package"; done
    _collect buildInputs propagatedBuildInputs
    for package in "${_items[@]}"; do _walk _libraries "$package"; done
    for package in $defaultNativeBuildInputs; do _walk _tools "$package"; done
    for package in "${_tools[@]}"; do addToSearchPath PATH "$package/bin"; done
    for package in "${_libraries[@]}"; do
        addToSearchPath HOST_PATH "$package/bin"
        [ -n "${strictDeps-}" ] || addToSearchPath PATH "$package/bin"
    done
    for package in $initialPath; do
        addToSearchPath PATH "$package/bin"
        [ -n "${strictDeps-}" ] || addToSearchPath HOST_PATH "$package/bin"
    done
}
_use_inputs() {
    local package hook
    for package in "${_tools[@]}"; do hostOffset=-1 targetOffset=0 _activate "$package"; done
    for package in "${_libraries[@]}"; do hostOffset=0 targetOffset=1 _activate "$package"; done
    if [ -n "${strictDeps-}" ]; then
        for package in "${_tools[@]}"; do for hook in "${_tool_hooks[@]}"; do "$hook" "$package"; done; done
        for package in "${_libraries[@]}"; do for hook in "${_library_hooks[@]}"; do "$hook" "$package"; done; done
    else
        for package in "${_tools[@]}" "${_libraries[@]}"; do
            for hook in "${_tool_hooks[@]}" "${_library_hooks[@]}"; do "$hook" "$package"; done
        done
    fi
}

_find_inputs
runHook preHook
_use_inputs

# --- Functions for phases ---

stripHash() {
    local name=${1##*/}
    if [[ $name =~ ^[0-9a-z]{32}- ]]; then name=${name:33}; fi
    echo "$name"
}

# substitute FROM TO [--replace-fail|--replace-warn|--replace-quiet TEXT TEXT | --subst-var NAME |
# --subst-var-by NAME TEXT]…
substitute() {
    local from=$1 to=$2 content mode pattern replacement
    shift 2
    [ -f "$from" ] || { echo "substitute(): ERROR: file '$from' does not exist" >&2; return 1; }
    IFS= read -r -d '' content <"$from" || true
    while [ $# -gt 0 ]; do
        mode=$1 pattern=@${2-}@
        case $mode in
        --replace | --replace-fail | --replace-warn | --replace-quiet) pattern=$2 replacement=$3 ;;
        --subst-var-by) replacement=$3 ;;
        --subst-var) replacement=${!2?"substitute(): ERROR: variable $2 is unset"} ;;
        *) echo "substitute(): ERROR: Invalid command line argument: $mode" >&2; return 1 ;;
        esac
        if [ "$mode" = --subst-var ]; then shift 2; else shift 3; fi
        if [[ $mode == --replace-fail || $mode == --replace-warn || $mode == --replace ]] && [[ $content != *"$pattern"* ]]; then
            echo "substitute(): pattern $pattern doesn't match anything in file '$from'" >&2
            [ "$mode" != --replace-fail ] || return 1
        fi
        content=${content//"$pattern"/"$replacement"}
    done
    if [ -e "$to" ]; then chmod +w "$to"; fi
    printf %s "$content" >"$to"
}
substituteInPlace() {
    local -a files=()
    local file
    while [[ ${1---} != --* ]]; do files+=("$1"); shift; done
    for file in "${files[@]}"; do substitute "$file" "$file" "$@"; done
}

isELF() { local magic; LC_ALL=C read -r -n 4 magic <"$1" 2>/dev/null || true; [ "$magic" = $'\x7fELF' ]; }

# --- Phases ---

unpackFile() {
    echo "unpacking source archive $1"
    if [ -d "$1" ]; then
        cp -r --preserve=mode,timestamps,links --reflink=auto -- "$1" "$(stripHash "$1")"
        return
    fi
    case $1 in
    *.tar | *.tar.* | *.tgz | *.txz | *.tbz | *.tbz2) tar xf "$1" --mode=+w --warning=no-timestamp ;;
    *) echo "do not know how to unpack source archive $1" >&2; exit 1 ;;
    esac
}

unpackPhase() {
    runHook preUnpack
    local -a _items
    local before=: name
    if [ -n "${srcs-}" ]; then _collect srcs; else _items=("${src?variable \$src or \$srcs should point to the source}"); fi
    for name in */; do before+=$name:; done
    for name in "${_items[@]}"; do unpackFile "$name"; done
    if [ -z "${sourceRoot-}" ]; then
        for name in */; do
            [[ $before != *:"$name":* ]] || continue
            [ -z "${sourceRoot-}" ] || { echo "unpacker produced multiple directories" >&2; exit 1; }
            sourceRoot=${name%/}
        done
        [ -n "${sourceRoot-}" ] || { echo "unpacker appears to have produced no directories" >&2; exit 1; }
    fi
    echo "source root is $sourceRoot"
    [ -n "${dontMakeSourcesWritable-}" ] || chmod -R u+w -- "$sourceRoot"
    runHook postUnpack
}

patchPhase() {
    runHook prePatch
    local -a _items
    local one
    _collect patchFlags
    local flags=("${_items[@]}")
    _collect patches
    for one in "${_items[@]}"; do
        echo "applying patch $one"
        patch "${flags[@]:--p1}" <"$one"
    done
    runHook postPatch
}

configurePhase() {
    runHook preConfigure
    if [ -x "${configureScript:-./configure}" ]; then
        local -a _items
        _collect configureFlags configureFlagsArray
        "${configureScript:-./configure}" ${dontAddPrefix-"--prefix=$prefix"} "${_items[@]}"
    else
        echo "no configure script, doing nothing"
    fi
    runHook postConfigure
}

# make, with the flags of the named variables.
_make() {
    local -a _items
    _collect makeFlags makeFlagsArray "$@"
    make ${makefile:+-f "$makefile"} ${parallel:+-j"$NIX_BUILD_CORES"} SHELL="$SHELL" "${_items[@]}"
}
_has_makefile() { [ -n "${makeFlags-}${makefile-}" ] || [ -e Makefile ] || [ -e makefile ] || [ -e GNUmakefile ]; }

buildPhase() {
    runHook preBuild
    if _has_makefile; then
        parallel=${enableParallelBuilding-} _make buildFlags buildFlagsArray
    else
        echo "no Makefile or custom buildPhase, doing nothing"
    fi
    runHook postBuild
}

checkPhase() {
    runHook preCheck
    local target
    for target in ${checkTarget-check test}; do
        if [ -n "${checkTarget-}" ] || { _has_makefile && make -n ${makefile:+-f "$makefile"} "$target" >/dev/null 2>&1; }; then
            parallel=${enableParallelChecking-} _make checkFlags checkFlagsArray target
            break
        fi
    done
    runHook postCheck
}

installPhase() {
    runHook preInstall
    if _has_makefile; then
        local target=${installTargets:-install}
        parallel= _make installFlags installFlagsArray target
    else
        echo "no Makefile or custom installPhase, doing nothing"
    fi
    runHook postInstall
}

fixupPhase() {
    local -a _items
    local output
    for output in "${_outputs[@]}"; do
        if [ -e "${!output}" ]; then chmod -R u+w,u-s,g-s "${!output}"; fi
    done
    runHook preFixup
    for output in "${_outputs[@]}"; do prefix=${!output} runHook fixupOutput; done
    local main=${dev-$out} kind
    for kind in propagatedNativeBuildInputs:propagated-native-build-inputs propagatedBuildInputs:propagated-build-inputs; do
        _collect "${kind%:*}"
        [ ${#_items[@]} = 0 ] || { mkdir -p "$main/nix-support"; echo "${_items[*]}" >"$main/nix-support/${kind#*:}"; }
    done
    if [ -n "${setupHook-}" ]; then
        mkdir -p "$main/nix-support"
        substitute "$setupHook" "$main/nix-support/setup-hook" --subst-var out
    fi
    runHook postFixup
}

installCheckPhase() {
    runHook preInstallCheck
    if _has_makefile; then
        local target=${installCheckTarget:-installcheck}
        parallel= _make installCheckFlags installCheckFlagsArray target
    fi
    runHook postInstallCheck
}

_skipped() {
    local name=${1%Phase}
    case $name in
    check | installCheck | dist) name=do${name^}; [ -z "${!name-}" ] ;;
    *) name=dont${name^}; [ -n "${!name-}" ] ;;
    esac
}

runPhase() {
    if _skipped "$1"; then return 0; fi
    echo "Running phase: $1"
    # The derivation's own text comes before the function of that name.
    eval "${!1:-$1}"
    if [ "$1" = unpackPhase ]; then cd -- "${sourceRoot:-.}"; fi
}

genericBuild() {
    if [ -f "${buildCommandPath-}" ]; then . "$buildCommandPath"; return; fi
    if [ -n "${buildCommand-}" ]; then eval "$buildCommand"; return; fi
    local phase
    if [ -z "${phases[*]-}" ]; then
        phases="${prePhases[*]-} unpackPhase patchPhase ${preConfigurePhases[*]-} configurePhase ${preBuildPhases[*]-} buildPhase
            checkPhase ${preInstallPhases[*]-} installPhase ${preFixupPhases[*]-} fixupPhase installCheckPhase
            ${preDistPhases[*]-} distPhase ${postPhases[*]-}"
    fi
    for phase in ${phases[*]}; do runPhase "$phase"; done
}

runHook postHook
# Phases may name variables that are not set.
set +u
