#!/usr/bin/env bash
# Checks that Cargo.lock has every crate and dependency of the workspace. The builds are run with --locked:
# cargo alone then says only that the lock file would change.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib/say.sh

host=$(rustc -vV | sed -n 's/^host: //p')
complaint=$(cargo metadata --locked --format-version 1 --filter-platform "$host" 2>&1 >/dev/null) && exit
printf '%s\n' "$complaint" >&2
case $complaint in
    *"--locked was passed"*)
        fail "Cargo.lock lacks a new crate or dependency" \
            "Run once: cargo check    and commit Cargo.lock."
        ;;
    *) fail "cargo cannot read the workspace" ;;
esac
