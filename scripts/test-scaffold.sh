#!/usr/bin/env bash
# Writes the workspace of a service of payments, tests the module there, and has the system hand the
# module over to the service that was built from it, under load. The system must be built.
#
# Both workspaces share the folder of what is built, so that what they use from outside is compiled once.
# Cargo knows a crate by its name, version and place within its workspace: the service's are given a version
# of their own, or they were taken for the system's.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib/say.sh

system=$PWD
bascule=${BIN:-${CARGO_TARGET_DIR:-target}/debug/bascule}
[ -x "$bascule" ] || fail "$bascule does not exist" "Build it first: cargo build"
# The same place in every run: what did not change is not compiled again.
service=$system/target/scaffold/payments
programs=$system/target/scaffold/built
rm -rf "$service"

in_service() {
    (cd "$service" && CARGO_TARGET_DIR=$programs CARGO_BUILD_BUILD_DIR=$system/target "$@")
}

say "Generating the workspace of a service"
"$bascule" extract payments --scaffold "$service"
in_service cargo fmt --all --check
in_service sed --in-place '0,/^version = "[^"]*/s//&+service/' Cargo.toml
in_service cargo update --workspace --offline --quiet
grep -q '^version = ".*+service"' "$service/Cargo.lock" || fail "the service has the same version as the system"

say "Running the tests of its module and contracts"
# One choice of packages: with another cargo would choose other features, and compile again.
packages=(--package bascule --package payments --package '*-contract')
in_service cargo build --locked --offline --all-features "${packages[@]}" --all-targets
in_service "$system/scripts/with-postgres.sh" cargo nextest run --locked --offline --all-features \
    "${packages[@]}" --config-file "$system/.config/nextest.toml"
in_service "$programs/debug/bascule" contracts check

say "Handing the module over under load, and back"
BASCULE_TEST_SERVICE=$programs/debug/bascule scripts/with-postgres.sh cargo nextest run --locked \
    --workspace --all-features --run-ignored only \
    -E 'binary(it) & test(payments_leave_for_a_scaffolded_service)'
