#!/usr/bin/env bash
# Installs the Cargo tools that `make test` and `make lint` use, where they are missing.
# Arguments: which of them, `nextest` or `deny`; both without arguments.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib/say.sh
. scripts/lib/install.sh

command -v cargo >/dev/null || fail "cargo is not on the PATH" \
    "Install Rust from https://rustup.rs, open a new shell, and run this again."
command -v cc >/dev/null || install_debian_packages gcc libc6-dev

[ $# -gt 0 ] || set -- nextest deny
for tool in "$@"; do
    case $tool in
        nextest) install_cargo_tool nextest cargo-nextest 0.9.151 ;;
        deny) install_cargo_tool deny cargo-deny 0.20.2 ;;
        *) fail "unknown tool: $tool" "Known tools: nextest, deny." ;;
    esac
done
