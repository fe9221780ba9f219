#!/usr/bin/env bash
# `make run STORE=postgres://…` on an empty database of its own, under scripts/with-postgres.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib/say.sh

: "${BASCULE_TEST_POSTGRES:?run this under scripts/with-postgres.sh}"
database=smoke_$$
PATH=$BASCULE_TEST_POSTGRES_BIN:$PATH
psql -Xqd "$BASCULE_TEST_POSTGRES" -c "CREATE DATABASE $database"
trap 'psql -Xqd "$BASCULE_TEST_POSTGRES" -c "DROP DATABASE IF EXISTS $database WITH (FORCE)"' EXIT
store=${BASCULE_TEST_POSTGRES%/*}/$database
# Only what is the product's own stays in its environment.
env -u BASCULE_TEST_POSTGRES -u BASCULE_TEST_POSTGRES_BIN STORE="$store" scripts/smoke-run.sh
