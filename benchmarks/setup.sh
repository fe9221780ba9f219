#!/usr/bin/env bash
# Installs everything that bascule is compared with under $PEERS_DIR, target/peers unless set. Takes
# about ten minutes the first time; what is there already is skipped.
#
# Needs cargo, a C compiler, python3 with venv, Node.js 20 with npm, and PostgreSQL 15.
set -euo pipefail
cd "$(dirname "$0")"
. ../scripts/lib/say.sh
. ../scripts/lib/postgres.sh

# In step with umadb-client in peers/Cargo.toml.
umadb_version=0.7.8
grpcio_tools_version=1.85.1
cmake_version=4.1.2

peers=${PEERS_DIR:-../target/peers}
mkdir -p "$peers"
peers=$(cd "$peers" && pwd)

postgres_bin >/dev/null || fail "there is no PostgreSQL 15 or newer on this machine" \
    "Run scripts/install-test-tools.sh, which installs it."
for tool in cargo npm python3; do
    command -v "$tool" >/dev/null || fail "there is no $tool on this machine" \
        "The benchmarks need it to install what bascule is compared with."
done

# A tool that is not on this machine, from PyPI.
from_pypi() {
    say "Installing $1 $2"
    [ -x "$peers/venv/bin/pip" ] || python3 -m venv "$peers/venv"
    "$peers/venv/bin/pip" install --quiet "$1==$2"
}

# UmaDB's build scripts call cmake and protoc: those on the PATH, else those on PyPI.
if ! command -v cmake >/dev/null; then
    [ -x "$peers/venv/bin/cmake" ] || from_pypi cmake "$cmake_version"
    export PATH=$PATH:$peers/venv/bin
fi
PROTOC=${PROTOC:-$(command -v protoc || true)}
if [ -z "$PROTOC" ]; then
    PROTOC=$peers/protoc
    if ! "$PROTOC" --version >/dev/null 2>&1; then
        from_pypi grpcio-tools "$grpcio_tools_version"
        include=$("$peers/venv/bin/python" -c \
            'import grpc_tools, os; print(os.path.join(os.path.dirname(grpc_tools.__file__), "_proto"))')
        printf '#!/bin/sh\nexec "%s" -m grpc_tools.protoc "$@" -I"%s"\n' \
            "$peers/venv/bin/python" "$include" >"$PROTOC"
        chmod +x "$PROTOC"
    fi
fi
export PROTOC

# One target folder for server and clients: they share most of what they depend on.
export CARGO_TARGET_DIR=$peers/target
if ! "$peers/bin/umadb" --version 2>/dev/null | grep -qwF "$umadb_version"; then
    say "Installing UmaDB $umadb_version"
    cargo install --quiet umadb --version "$umadb_version" --locked --root "$peers"
fi
say "Building the peers' clients, the plain handler and the load driver"
cargo build --quiet --release --locked

if ! cmp -s emmett/package-lock.json "$peers/emmett/installed-lock.json"; then
    say "Installing Emmett"
    mkdir -p "$peers/emmett"
    cp emmett/package.json emmett/package-lock.json "$peers/emmett/"
    (cd "$peers/emmett" && npm ci --silent)
    cp emmett/package-lock.json "$peers/emmett/installed-lock.json"
fi
cp emmett/emmett.mjs "$peers/emmett/" # beside its node_modules

note "everything is in $peers"
