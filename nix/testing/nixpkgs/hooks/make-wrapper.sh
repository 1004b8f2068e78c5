# makeWrapper PROGRAM WRAPPER [--set NAME VALUE | --set-default … | --unset NAME | --prefix NAME SEPARATOR VALUE |
# --suffix … | --add-flags FLAGS | --append-flags FLAGS | --chdir DIR | --run COMMAND | --inherit-argv0 | --argv0 NAME]…
makeWrapper() {
    local program=$1 wrapper=$2 before= after= argv0='$0' head
    head="#!${SHELL} -e"$'\n'
    shift 2
    [ -x "$program" ] || { echo "makeWrapper: $program is not an executable file" >&2; return 1; }
    while [ $# -gt 0 ]; do
        case $1 in
        --set) head+="export $2=${3@Q}"$'\n'; shift 3 ;;
        --set-default) head+="export $2=\${$2-${3@Q}}"$'\n'; shift 3 ;;
        --unset) head+="unset $2"$'\n'; shift 2 ;;
        --prefix) head+="export $2=${4@Q}\${$2:+${3@Q}}\${$2-}"$'\n'; shift 4 ;;
        --suffix) head+="export $2=\${$2-}\${$2:+${3@Q}}${4@Q}"$'\n'; shift 4 ;;
        --add-flags) before+=" $2"; shift 2 ;;
        --append-flags) after+=" $2"; shift 2 ;;
        --chdir) head+="cd ${2@Q}"$'\n'; shift 2 ;;
        --run) head+="$2"$'\n'; shift 2 ;;
        --inherit-argv0) shift ;;
        --argv0) argv0=$2; shift 2 ;;
        *) echo "makeWrapper doesn't understand the arg $1" >&2; return 1 ;;
        esac
    done
    mkdir -p "${wrapper%/*}"
    printf '%sexec -a "%s" %q %s "$@" %s\n' "$head" "$argv0" "$program" "$before" "$after" >"$wrapper"
    chmod +x "$wrapper"
}
makeShellWrapper() { makeWrapper "$@"; }
makeBinaryWrapper() { makeWrapper "$@"; }
wrapProgram() {
    local program=$1 hidden
    hidden=${program%/*}/.${program##*/}-wrapped
    shift
    mv "$program" "$hidden"
    makeWrapper "$hidden" "$program" --inherit-argv0 "$@"
}
wrapProgramShell() { wrapProgram "$@"; }
