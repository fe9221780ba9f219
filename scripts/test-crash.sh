#!/usr/bin/env bash
# Runs the proofs of `make test` with many rounds: servers and PostgreSQL are killed, paused
# and stopped at random moments under load, and clients race on few streams. Writes the results into
# docs/proof.md.
#
#   ROUNDS  200   rounds of SIGKILL per engine; a quarter of them where a round takes longer
#   SEED    new   repeats the choices of an earlier run
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib/say.sh

export ROUNDS=${ROUNDS:-200}
[[ $ROUNDS =~ ^[1-9][0-9]*$ ]] || fail "ROUNDS=$ROUNDS is not a number of rounds"
page=docs/proof.md
output=$(mktemp)
trap 'rm -f "$output" "$page.new"' EXIT

say "Histories of racing clients, repeatedly"
scripts/with-postgres.sh cargo nextest run --locked --workspace --all-features --profile crash \
    --stress-count "$((ROUNDS / 10 + 1))" -E 'package(testkit) and binary(histories)'

say "Killing, pausing and stopping, $ROUNDS rounds"
scripts/with-postgres.sh cargo nextest run --locked --workspace --all-features --profile crash \
    --no-capture -E 'binary(it) and test(proofs::)' | tee "$output"

# The results that the tests printed, as rows of a table.
rows=$(sed -n 's/^RESULT //p' "$output")
[ -n "$rows" ] || fail "no test printed a result"
commit=$(git rev-parse --short HEAD)
machine=$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)
summary="$(date -u +%F), commit $commit, $(nproc) cores (${machine:-unknown}), debug build:"
ROWS="$rows" SUMMARY="$summary" awk '
    /<!-- results -->/ {
        print; print ""; print ENVIRON["SUMMARY"]; print ""
        print "| what happened | rounds | requests acknowledged | of them cut off before | events | seconds | seed |"
        print "|---|--:|--:|--:|--:|--:|--:|"
        print ENVIRON["ROWS"]; print ""
        skipping = 1
    }
    /<!-- end of results -->/ { skipping = 0 }
    !skipping { print }
' "$page" >"$page.new"
mv "$page.new" "$page"
say "Results are written to $page"
printf '%s\n' "$rows"
