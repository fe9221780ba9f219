#!/usr/bin/env bash
# Everything that is checked without running a test: format, lints, licences and sources of the
# dependencies, documentation, generated files.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib/say.sh

say "Format (mend it with: make fmt)"
cargo fmt --all --check

say "Lints"
cargo clippy --locked --workspace --all-targets --all-features -- -D warnings

say "Licences, bans and sources of the dependencies"
# The several versions of one crate are warned of: read them with `cargo deny check bans`.
cargo deny --all-features --log-level error check bans licenses sources

say "Documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --locked --quiet --workspace --no-deps --all-features

say "Generated files are up to date"
cargo build --locked --workspace --all-targets --all-features
generated=$(mktemp)
trap 'rm -f "$generated"' EXIT
"${BIN:-target/debug/bascule}" openapi >"$generated"
if ! diff -u openapi/bascule.openapi.json "$generated" | head -n 60; then
    fail "openapi/bascule.openapi.json is not what the code says" \
        "Run: make openapi    and commit what it writes."
fi

say "The OpenAPI description is valid"
# Where .venv brings its own Node.js, that one.
PATH=$PWD/.venv/bin:$PATH REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true \
    node_modules/.bin/redocly lint bascule
