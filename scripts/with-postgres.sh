#!/usr/bin/env bash
# Runs a command beside a throwaway PostgreSQL and ends with the command's exit code:
#
#   scripts/with-postgres.sh cargo nextest run -p store-sqlx
#
# The command finds
#   BASCULE_TEST_POSTGRES      the URL of the server, as its superuser
#   BASCULE_TEST_POSTGRES_BIN  the folder of its binaries, for tests that start servers of their own
#
# A BASCULE_TEST_POSTGRES that is already set is used as it is. Several invocations may run at once.
set -euo pipefail
here=$(dirname "$0")
. "$here/lib/say.sh"
. "$here/lib/postgres.sh"

[ $# -gt 0 ] || fail "no command given" "Usage: ${0##*/} COMMAND [ARGUMENT…]"

bin=$(postgres_bin) || fail "PostgreSQL 15 or newer is not installed on this machine" \
    "Run scripts/install-test-tools.sh, which installs it."
export BASCULE_TEST_POSTGRES_BIN=$bin
[ -z "${BASCULE_TEST_POSTGRES:-}" ] || exec "$@"

prefix=${TMPDIR:-/tmp}/bascule-postgres

# Removes the remains of killed invocations: their servers ended with them, see `start_server`.
for stale in "$prefix".*; do
    owner=$(cat "$stale/owner" 2>/dev/null) || continue
    [ -d "/proc/$owner" ] || rm -rf "$stale" 2>/dev/null || true
done

# PostgreSQL refuses to run as root.
as_postgres=()
[ "$(id -u)" -ne 0 ] || as_postgres=(--reuid=postgres --regid=postgres --clear-groups)

folder=$(mktemp -d "$prefix.XXXXXXXX")
server=
command=

clean_up() {
    local status=$?
    trap - EXIT
    # The data is disposable: stop at once.
    [ -z "$server" ] || { kill -QUIT "$server" && wait "$server"; } 2>/dev/null || true
    rm -rf "$folder"
    exit "$status"
}
trap clean_up EXIT
# The terminal sends Ctrl-C to the command as well; this script ends when the command has.
trap 'interrupted=130' INT
trap 'interrupted=143; [ -z "$command" ] || kill -TERM "$command" 2>/dev/null || true' TERM
interrupted=

printf '%s' $$ >"$folder/owner"
chmod 711 "$folder"
mkdir -m 700 "$folder/data"
password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
printf '%s' "$password" >"$folder/password"
[ ${#as_postgres[@]} -eq 0 ] || chown postgres:postgres "$folder/data" "$folder/password"
chmod 600 "$folder/password"

cd "$folder" # one that the user postgres may stand in
setpriv "${as_postgres[@]}" "$bin/initdb" --pgdata="$folder/data" --username=postgres \
    --pwfile="$folder/password" --auth-local=reject --auth-host=scram-sha-256 \
    --encoding=UTF8 --locale=C.UTF-8 --no-sync >"$folder/initdb.log" 2>&1 ||
    fail "initdb failed: $(tail -n 5 "$folder/initdb.log")"
cat >>"$folder/data/postgresql.conf" <<SETTINGS
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 300
# Throwaway data: nothing has to survive the machine.
fsync = off
full_page_writes = off
checkpoint_timeout = 30min
max_wal_size = 2GB
SETTINGS
cd "$OLDPWD"

server_is_ready() { grep -q '^ready' "$folder/data/postmaster.pid" 2>/dev/null; }
server_is_gone() { ! kill -0 "$server" 2>/dev/null; }

# Fails when the port was taken meanwhile. In a session of its own, out of reach of Ctrl-C; when
# this script is killed, so is the server.
start_server() {
    setsid setpriv "${as_postgres[@]}" --pdeathsig QUIT \
        "$bin/postgres" -D "$folder/data" -p "$1" >"$folder/server.log" 2>&1 </dev/null &
    server=$!
    until server_is_ready; do
        if server_is_gone; then
            server=
            return 1
        fi
        sleep 0.05
    done
}

for attempt in 1 2 3 4 5; do
    port=$((20000 + RANDOM % 12000))
    start_server "$port" && break
done
[ -n "$server" ] || fail "cannot start PostgreSQL: $(tail -n 5 "$folder/server.log")"
[ -z "$interrupted" ] || exit "$interrupted"
export BASCULE_TEST_POSTGRES=postgres://postgres:$password@127.0.0.1:$port/postgres

# In the background, so that a signal to this script is dealt with at once; with the terminal's
# input, and with the handling of Ctrl-C that Bash takes from background commands.
env --default-signal=INT,QUIT -- "$@" <&0 &
command=$!
# A signal interrupts `wait` before the command has ended.
status=0
wait "$command" || status=$?
while kill -0 "$command" 2>/dev/null; do
    status=0
    wait "$command" || status=$?
done
exit "$status"
