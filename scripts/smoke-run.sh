#!/usr/bin/env bash
# Does what a newcomer does: `make run`, the curl lines that it prints, an order until it is paid,
# Ctrl-C. Only the addresses and the store differ, and the binary (BIN, the debug one).
#
#   STORE   an empty store, such as postgres://…; an embedded one of its own unless given
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib/say.sh
. scripts/lib/server.sh

[ -x "$BIN" ] || fail "$BIN does not exist" "Build it first: cargo build"
new_workspace
store=${STORE:-sqlite:$workspace/data/bascule.db}
say "Smoke test of make run with $BIN on ${store%%:*}"
start_server env BIN="$BIN" STORE="$store" BASCULE_MASTER_KEY_FILE="$workspace/master.key" \
    LISTEN=127.0.0.1:0 ADMIN_LISTEN=127.0.0.1:0 bash scripts/run.sh

note "the API shows the imported orders"
get '/api/v1/orders?limit=1' | jq -e '.items | length == 1' >/dev/null ||
    fail "GET /api/v1/orders shows no order after the import"

# The lines a reader pastes: indented or not, `curl …`, `until curl …` or `NAME=$(curl …)`, one command per line.
sed -nE 's/^[[:space:]]*((curl|until curl|[A-Za-z_]+=\$\(curl) .*)$/\1/p' "$server_log" >"$workspace/printed.sh"
count=$(wc -l <"$workspace/printed.sh")
[ "$count" -ge 3 ] ||
    fail "the server printed $count curl lines, expected the three that place an order and show it paid"
note "the $count curl lines that the server printed work"
timeout 60 bash -euo pipefail "$workspace/printed.sh" >"$workspace/printed.out" 2>&1 ||
    fail "a printed curl line failed: $(cat "$workspace/printed.sh" "$workspace/printed.out")"

note "an order is confirmed and paid"
place_an_order
wait_until_confirmed
invoice=$(get "/api/v1/billing/invoices?order_id=$order_id" | jq -c '.items[0]')
[ "$(jq -r .status <<<"$invoice")" = paid ] ||
    fail "order $order_id is confirmed, its invoice is not paid: $invoice"

stop_server
