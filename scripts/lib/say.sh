# shellcheck shell=bash
# Sourced by the other scripts: how they talk.

# What is about to be done.
say() { printf '\n==> %s\n' "$*"; }

# A detail of it.
note() { printf '    %s\n' "$*"; }

# What went wrong and what to do about it; ends the script.
fail() {
    printf '\nerror: %s\n' "$1" >&2
    shift
    for line in "$@"; do printf '       %s\n' "$line" >&2; done
    exit 1
}
