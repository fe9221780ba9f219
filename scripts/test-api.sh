#!/usr/bin/env bash
# Tests the real server against its own OpenAPI description with schemathesis: no 5xx, no answer
# outside the schema, invalid input refused. The same requests every time; about two minutes.
#
#   MAX_EXAMPLES  100  generated cases per operation and phase
#   SEED          1    of the generator
#   BIN           target/debug/bascule
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib/say.sh
. scripts/lib/server.sh

say "Testing the API against its OpenAPI description with schemathesis"
[ -x .venv/bin/schemathesis ] || fail "schemathesis is not installed" "Run: make test-tools"
new_workspace
start_empty_server

# Generated ids would only ever meet 404: the tests are given some that exist.
place_an_order
wait_until_confirmed
invoice_id=$(get "/api/v1/billing/invoices?order_id=$order_id" | jq -er '.items[0].id')
payment_id=$(get "/api/v1/payments?invoice_id=$invoice_id" | jq -er '.items[0].id')
sed -e "s/\${CUSTOMER_ID}/$customer_id/" -e "s/\${ORDER_ID}/$order_id/" \
    -e "s/\${INVOICE_ID}/$invoice_id/" -e "s/\${PAYMENT_ID}/$payment_id/" \
    scripts/schemathesis.toml >"$workspace/schemathesis.toml"

mkdir -p target
# The timeout is a safety net: the number of cases limits the run.
timeout 600 .venv/bin/schemathesis --config-file "$workspace/schemathesis.toml" --no-color \
    run "$http/openapi.json" --url "$http" \
    --seed "${SEED:-1}" --max-examples "${MAX_EXAMPLES:-100}" \
    --report junit --report-junit-path target/schemathesis.xml

# A server that is not ready after the tests is a finding, too.
get "/api/v1/orders/$order_id" >/dev/null
curl --silent --show-error --fail --max-time 5 --output /dev/null "$admin/readyz" ||
    fail "the server is no longer ready after the tests"
if grep -qE "panicked at" "$server_log"; then
    fail "a request made the server panic: $(grep -m1 -E 'panicked at' "$server_log")"
fi
stop_server
