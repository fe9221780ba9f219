# shellcheck shell=bash
# Sourced by the scripts that need PostgreSQL.

# Prints the folder of the newest PostgreSQL's binaries on this machine, fails below version 15.
# Debian keeps them off the PATH, one folder per version.
postgres_bin() {
    local folder version
    for folder in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort --version-sort --reverse) \
        "$(dirname "$(command -v postgres)" 2>/dev/null)"; do
        [ -x "$folder/initdb" ] || continue
        version=$("$folder/postgres" --version | grep -oE '[0-9]+' | head -n 1)
        if [ "$version" -ge 15 ]; then
            printf '%s' "$folder"
            return
        fi
    done
    return 1
}
