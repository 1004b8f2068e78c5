# patchShebangs [--build|--host] PATH…: scripts get interpreters from PATH (--build) or from what
# runs with the package (--host). One that is not found there stays as it is.
patchShebangs() {
    local search=$PATH update=
    while [[ ${1-} == --* ]]; do
        case $1 in
        --host) search=$HOST_PATH ;;
        --build) search=$PATH ;;
        --update) update=1 ;;
        --) shift; break ;;
        *) echo "patchShebangs: unknown argument $1" >&2; return 1 ;;
        esac
        shift
    done
    echo "patching script interpreter paths in $*"
    local file line interpreter arguments name found stamp
    while IFS= read -r -d '' file; do
        IFS= read -r line <"$file" || [ -n "$line" ] || continue
        line=${line//$'\0'/}
        [[ $line == '#!'* ]] || continue
        read -r interpreter arguments <<<"${line#??}"
        [ -n "$interpreter" ] || continue
        if [[ $interpreter == "$NIX_STORE"/* && -z $update ]]; then continue; fi
        if [[ $interpreter == */bin/env && $arguments == -S\ * ]]; then
            # env stays, for it splits the arguments; both must be found.
            read -r _ name arguments <<<"$arguments"
            found=$(PATH=$search type -P env) && name=$(PATH=$search type -P "$name") || continue
            found+=" -S $name"
        else
            name=${interpreter##*/}
            if [ "$name" = env ]; then
                if [[ $arguments == -* || $arguments == *=* ]]; then
                    echo "$file: unsupported interpreter directive \"$line\" (set dontPatchShebangs=1 and handle shebang patching yourself)" >&2
                    return 1
                fi
                read -r name arguments <<<"$arguments"
            fi
            found=$(PATH=$search type -P "$name") || continue
        fi
        [ "$found" != "$interpreter" ] || continue
        echo "$file: interpreter directive changed from \"$line\" to \"#!$found${arguments:+ $arguments}\""
        stamp=$(stat -c %y "$file")
        sed -i -e "1 s|.*|#!${found//&/\\&}${arguments:+ ${arguments//&/\\&}}|" "$file"
        touch --date "$stamp" "$file"
    done < <(find "$@" -type f -perm -0100 -print0)
}
_patch_output_shebangs() { if [ -z "${dontPatchShebangs-}" ] && [ -e "$prefix" ]; then patchShebangs --host "$prefix"; fi; }
fixupOutputHooks+=(_patch_output_shebangs)
