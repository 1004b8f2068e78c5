# Debug symbols are removed from programs and libraries, by the directory they lie in.
_strip_output() {
    [ -z "${dontStrip-}" ] && type -P strip >/dev/null || return 0
    local -a _items
    local directory file
    _collect stripDebugList
    [ ${#_items[@]} -gt 0 ] || _items=(lib lib32 lib64 libexec bin sbin)
    for directory in "${_items[@]}"; do
        [ -d "$prefix/$directory" ] || continue
        while IFS= read -r -d '' file; do
            if isELF "$file" || [[ $file == *.a ]]; then strip -S -p "$file" 2>/dev/null || true; fi
        done < <(find "$prefix/$directory" -type f -print0)
    done
}
fixupOutputHooks+=(_strip_output)
