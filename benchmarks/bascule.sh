#!/usr/bin/env bash
# One measured run of bascule, driven by the same environment as every other peer: WORKLOAD, CLIENTS,
# SECONDS, PRELOAD, and PG_URL or DATA_DIR for what it stores. Prints one JSON line.
#
#   bascule.sh postgres|sqlite
set -euo pipefail
cd "$(dirname "$0")/.."
# Bash has a variable SECONDS of its own: ours stands in the environment it was started with.
seconds=$(tr '\0' '\n' </proc/$$/environ | sed -n 's/^SECONDS=//p')

case $WORKLOAD in
    append) workload=(append) ;;
    append10) workload=(append --batch 10) ;;
    readall) workload=(read --preload "$PRELOAD") ;;
    *) echo "there is no workload $WORKLOAD" >&2 && exit 2 ;;
esac
case $1 in
    postgres) store=$PG_URL ;;
    sqlite)
        if [ -z "${DATA_DIR:-}" ]; then
            DATA_DIR=$(mktemp -d)
            trap 'rm -rf "$DATA_DIR"' EXIT
        fi
        store=sqlite:$DATA_DIR/bascule.db
        ;;
    *) echo "there is no store $1" >&2 && exit 2 ;;
esac

# Nothing personal is stored: any key will do.
export BASCULE_MASTER_KEY=${BASCULE_MASTER_KEY:-$(printf '%064d' 0)}
"${BENCH_BIN:-target/release/bascule-bench}" "${workload[@]}" \
    --store "$store" --clients "$CLIENTS" --seconds "$seconds" --json
