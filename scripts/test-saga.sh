#!/usr/bin/env bash
# The benchmark of the saga for some seconds with the built server: that it runs, that what was taken in
# is confirmed in the end, and that the books agree. No figure is judged.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib/say.sh

say "Short benchmark of the saga under load"
bascule=${BIN:-${CARGO_TARGET_DIR:-target}/debug/bascule}
export CARGO_TARGET_DIR=$PWD/target/load-driver
cargo build --quiet --locked --manifest-path benchmarks/Cargo.toml -p http-load
RELEASE_BIN=$bascule HTTP_LOAD=$CARGO_TARGET_DIR/debug/http-load \
    benchmarks/saga.py --seconds "${SECONDS_OF_LOAD:-2}" --sides admission >/dev/null
