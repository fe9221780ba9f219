# shellcheck shell=bash
# Sourced by the other scripts: functions for their messages.

# Prints the heading of a step.
say() { printf '\n==> %s\n' "$*"; }

# Prints a detail of the step.
note() { printf '    %s\n' "$*"; }

# Prints an error and its remedy, and ends the script.
fail() {
    printf '\nerror: %s\n' "$1" >&2
    shift
    for line in "$@"; do printf '       %s\n' "$line" >&2; done
    exit 1
}
