#!/usr/bin/env bash
# Measures the release binary on this machine: import rate, cold start, memory after the import,
# and the latency of POST /orders at 50 requests/s. Prints figures; asserts nothing.
#
#   RATE     50   requests per second
#   SECONDS_ 20   duration in seconds
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib/say.sh
. scripts/lib/server.sh

BIN=${RELEASE_BIN:-${CARGO_TARGET_DIR:-target}/release/bascule}
[ -x "$BIN" ] || fail "$BIN does not exist" "Build it first: cargo build --release"
say "Figures of $BIN ($(nproc) cores, load $(cut -d' ' -f1 /proc/loadavg))"

new_workspace
note "cold start on an empty store, five times"
for _ in 1 2 3 4 5; do
    rm -rf "$workspace/cold"
    start_server "$BIN" serve --store "sqlite:$workspace/cold/bascule.db" \
        --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0
    grep -E '^bascule is ready' "$server_log"
    stop_server >/dev/null
done

note "import of the example feed"
"$BIN" import --store "sqlite:$workspace/imported/bascule.db" \
    --mapping docs/examples/tryton/mapping.toml --format debezium tests/data/tryton-small.jsonl.gz | head -n 2

note "POST /orders at ${RATE:-50} requests/s, on the imported store"
start_server "$BIN" serve --store "sqlite:$workspace/imported/bascule.db" \
    --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0
get '/api/v1/orders?limit=1' >/dev/null
curl -fsS "$admin/metrics" | sed -nE 's/^process_resident_memory_bytes ([0-9]+)$/\1/p' |
    awk '{printf "resident memory after the import: %.0f MiB\n", $1 / 1048576}'
python3 scripts/load.py "$http" --rate "${RATE:-50}" --seconds "${SECONDS_:-20}"
curl -fsS "$admin/metrics" | sed -nE 's/^process_resident_memory_bytes ([0-9]+)$/\1/p' |
    awk '{printf "resident memory after the load: %.0f MiB\n", $1 / 1048576}'
stop_server
