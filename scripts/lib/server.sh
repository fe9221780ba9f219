# shellcheck shell=bash
# Sourced by the scripts that test a running server. Needs say.sh, jq and curl.
#
# A script calls `new_workspace` once, starts the server with `start_server`, and may end it with
# `stop_server`, which insists on a clean end. Whatever happens, the server is stopped and the
# workspace removed when the script ends; after a failure the server's log is shown first.

BIN=${BIN:-${CARGO_TARGET_DIR:-target}/debug/bascule}

new_workspace() {
    workspace=$(mktemp -d)
    server_pid=
    server_log=$workspace/server.log
    trap 'clean_up $?' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

clean_up() {
    local status=$1
    trap - EXIT
    if [ -n "$server_pid" ]; then
        kill -TERM "$server_pid" 2>/dev/null || true
        # A server that does not stop must not block the script.
        wait_until 10 server_has_ended || kill -KILL "$server_pid" 2>/dev/null || true
        wait "$server_pid" 2>/dev/null || true
    fi
    if [ "$status" -ne 0 ] && [ -s "$server_log" ]; then
        printf '\n--- last lines of the server log ---\n' >&2
        tail -n 40 "$server_log" >&2
        printf -- '--- end of the server log ---\n' >&2
    fi
    rm -rf "$workspace"
    exit "$status"
}

# Repeats a command until it succeeds. Arguments: timeout in seconds, command.
wait_until() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.1
    done
}

server_has_ended() { ! kill -0 "$server_pid" 2>/dev/null; }

server_is_ready_or_gone() { [ -s "$BASCULE_ADDRESS_FILE" ] || server_has_ended; }

# Runs a command as the server in the background, on addresses that it selects itself.
# Sets server_pid, http (its address) and admin. Arguments: the command.
start_server() {
    # The server writes this file atomically when it is ready:
    # {"http":"http://127.0.0.1:40001","admin":"http://127.0.0.1:40002"}
    export BASCULE_ADDRESS_FILE=$workspace/addresses.json
    rm -f "$BASCULE_ADDRESS_FILE"
    "$@" >"$server_log" 2>&1 </dev/null &
    server_pid=$!
    wait_until 60 server_is_ready_or_gone ||
        fail "the server was not ready within 60 seconds: $*"
    [ -s "$BASCULE_ADDRESS_FILE" ] || {
        wait "$server_pid" && status=0 || status=$?
        server_pid=
        fail "the server ended with code $status before it was ready: $*"
    }
    http=$(jq -er .http "$BASCULE_ADDRESS_FILE")
    admin=$(jq -er .admin "$BASCULE_ADDRESS_FILE")
    note "server $server_pid: API $http, admin $admin"
}

# `start_server` with the usual arguments, on an empty store.
start_empty_server() {
    [ -x "$BIN" ] || fail "$BIN does not exist" "Build it first: cargo build"
    start_server "$BIN" serve --store "sqlite:$workspace/bascule.db" \
        --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0
}

# Stops the server. Fails unless it ends with exit code 0.
stop_server() {
    kill -TERM "$server_pid" 2>/dev/null || true
    wait_until 30 server_has_ended || fail "the server did not stop within 30 seconds after SIGTERM"
    local status=0
    wait "$server_pid" || status=$?
    server_pid=
    [ "$status" -eq 0 ] || fail "the server ended with code $status after SIGTERM, expected 0"
    note "the server stopped cleanly"
}

# Sends JSON and prints the answer; any status but 2xx ends the script, showing it.
# Arguments: path, body.
post() {
    local answer
    answer=$(curl --silent --show-error --fail-with-body --max-time 20 \
        --header 'Content-Type: application/json' --data "$2" "$http$1") ||
        fail "POST $1 was refused: $answer"
    printf '%s' "$answer"
}

# Prints the answer to a GET; any status but 2xx ends the script, showing it. Argument: path.
get() {
    local answer
    answer=$(curl --silent --show-error --fail-with-body --max-time 20 "$http$1") ||
        fail "GET $1 failed: $answer"
    printf '%s' "$answer"
}

# Registers a customer and places an order that can be paid. Sets customer_id and order_id.
place_an_order() {
    customer_id=$(post /api/v1/customers '{"kind":"person","name":"Ada Martin",
        "email":"ada@exemple.fr","address":{"line1":"1 rue de la Paix","postal_code":"75002",
        "city":"Paris","country":"FR"}}' | jq -er .id)
    order_id=$(post /api/v1/orders '{"customer_id":"'"$customer_id"'","currency":"EUR",
        "payment_method":"sandbox:ok","lines":[{"sku":"CH-1","description":"Chaise",
        "quantity":"2","unit_price":"49.90","vat_rate":"20"}]}' | jq -er .id)
    note "customer $customer_id, order $order_id"
}

# Quietly: the order may not be in the read model yet.
order_is_confirmed() {
    [ "$(get "/api/v1/orders/$order_id" 2>/dev/null | jq -r .status)" = confirmed ]
}

# Waits until the order is confirmed, which it is once its invoice is paid.
wait_until_confirmed() {
    wait_until 30 order_is_confirmed ||
        fail "order $order_id was not confirmed within 30 seconds: $(get "/api/v1/orders/$order_id")"
}
