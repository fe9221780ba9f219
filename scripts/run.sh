#!/usr/bin/env bash
# Implements `make run`: builds bascule, imports the example feed of a real ERP and starts the server.
#
#   STORE         sqlite:./data/bascule.db   URL of the store of events and read models; or postgres://…
#                                            (its master key is then in ./data/bascule.key)
#   LISTEN        127.0.0.1:8080             address of the API and its documentation
#   ADMIN_LISTEN  127.0.0.1:9090             address of probes and metrics
#   BIN           (built)                    a binary to use instead of building one
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib/say.sh

STORE=${STORE:-sqlite:./data/bascule.db}
LISTEN=${LISTEN:-127.0.0.1:8080}
ADMIN_LISTEN=${ADMIN_LISTEN:-127.0.0.1:9090}
feed=tests/data/tryton-small.jsonl.gz
mapping=docs/examples/tryton/mapping.toml

if [ -z "${BIN:-}" ]; then
    command -v cargo >/dev/null || fail "cargo is not on the PATH" \
        "Install Rust from https://rustup.rs, open a new shell, and run this again."
    command -v cc >/dev/null || fail "no C compiler found; it is needed to build SQLite" \
        "On Debian or Ubuntu: apt-get install gcc libc6-dev"
    say "Building the release binary (some minutes the first time, seconds afterwards)"
    cargo build --locked --release
    BIN=${CARGO_TARGET_DIR:-target}/release/bascule
fi

case $STORE in
    sqlite:*) mkdir -p "$(dirname "${STORE#sqlite:}")" ;;
esac

# Without a password.
shown=$(sed -E 's#(//[^:/@]+):[^@]*@#\1:***@#' <<<"$STORE")
say "Importing $feed into $shown (importing it again changes nothing)"
"$BIN" import --store "$STORE" --mapping "$mapping" --format debezium "$feed"

say "Starting the server on $shown (Ctrl-C stops it)"
# The server prints its addresses.
exec "$BIN" serve --store "$STORE" --listen "$LISTEN" --admin-listen "$ADMIN_LISTEN"
