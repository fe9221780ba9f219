#!/usr/bin/env bash
# Everything that is checked without running a test: format, lints, licences and sources of the
# dependencies, documentation, generated files.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib/say.sh

say "Format (fix it with: make fmt)"
cargo fmt --all --check

say "Lints"
cargo clippy --locked --workspace --all-targets --all-features -- -D warnings

say "Lints of the program without the features that a single-module service lacks"
cargo clippy --locked --package program --all-targets -- -D warnings

say "Licences, bans and sources of the dependencies"
# Duplicate versions of a crate are warnings: list them with `cargo deny check bans`.
cargo deny --all-features --log-level error check bans licenses sources

say "Documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --locked --quiet --workspace --no-deps --all-features

say "Generated files are up to date"
cargo build --locked --workspace --all-targets --all-features
generated=$(mktemp -d)
trap 'rm -rf "$generated"' EXIT
mkdir "$generated/openapi" "$generated/modules"
# Only schemas of new or extended events are written: the others are the record of what was published.
cp -r openapi/events "$generated/openapi/events"
cp docs/wire.md "$generated/wire.md"
scripts/generate.sh "$generated/openapi" "$generated/modules" "$generated/wire.md"
for kept in openapi docs/modules docs/wire.md; do
    if ! diff -ruN "$kept" "$generated/$(basename "$kept")" | head -n 60; then
        fail "$kept does not match the code" "Run: make generate    and commit the result."
    fi
done

scripts/make-example-feeds.py "$generated/examples"
for example in gescom boutique; do
    for file in feed.jsonl expected.json; do
        diff -u "docs/examples/$example/$file" "$generated/examples/$example/$file" | head -n 20 ||
            fail "docs/examples/$example/$file does not match scripts/make-example-feeds.py" \
                "Run: scripts/make-example-feeds.py    and commit the result."
    done
done

say "Contracts are compatible with the published events"
# Compares with the merge base of this branch and main, or else with the checked-out commit: with the
# record there and at every commit before it, back to its beginning. A shallow clone has fewer commits.
beginning=$(git log -1 --format=%H -- openapi/events/BEGINNING.md)
for main in origin/main main HEAD; do
    base=$(git merge-base HEAD "$main" 2>/dev/null) || continue
    git merge-base --is-ancestor "$beginning" "$base" || continue
    "${BIN:-${CARGO_TARGET_DIR:-target}/debug/bascule}" contracts check --against "$base"
    break
done
"${BIN:-${CARGO_TARGET_DIR:-target}/debug/bascule}" contracts check

# Uses the Node.js of .venv, if there is one.
PATH=$PWD/.venv/bin:$PATH

say "The OpenAPI description is valid"
REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true node_modules/.bin/redocly lint bascule

say "The AsyncAPI description is valid"
node scripts/check-asyncapi.mjs openapi/asyncapi.json
