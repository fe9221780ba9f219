#!/usr/bin/env bash
# Runs the commands of the README, or of the page in README=, against a real server to keep them up to date.
#
# A block of shell commands (```sh, ```bash, ```shell, ```console) says in an HTML comment on the line
# before it what runs it:
#   <!-- ci: run -->               this script runs it. All such blocks are one script, in order: a
#                                  variable set in one is there in the next.
#   <!-- ci: covered by WHAT -->   something else runs it, such as `make test` in CI.
# A block without either is an error. Any block may show the output of the commands:
#   <!-- ci: output -->            the output of the commands contains each of its lines, except `…`.
#
# The commands meet a server on its default addresses in the README and on free ports here, its
# store in a temporary folder, and `bascule` or `target/release/bascule` is BIN.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib/say.sh
. scripts/lib/server.sh

readme=${README:-README.md}
say "Running the commands of $readme"
new_workspace

# Extracts the blocks to run, each after a command that prints its location.
awk -v file="$readme" '
    /^<!-- ci: run -->$/               { marker = "run"; next }
    /^<!-- ci: covered by .+ -->$/     { marker = "covered"; next }
    !inside && /^```(sh|bash|shell|console)[[:space:]]*$/ {
        if (marker == "") {
            printf "%s:%d: block of commands without a marker\n", file, NR > "/dev/stderr"
            bad = 1
        }
        inside = 1
        running = (marker == "run")
        if (running) printf "printf \"    %s:%d\\n\"\n", file, NR
        marker = ""
        next
    }
    !inside && /^```/   { inside = 1; running = 0; marker = ""; next }
    inside && /^```[[:space:]]*$/ { inside = 0; running = 0; next }
    running             { print }
    !inside && NF       { marker = "" }
    END {
        if (inside) { printf "%s: unclosed block\n", file > "/dev/stderr"; bad = 1 }
        exit bad
    }
' "$readme" >"$workspace/commands.sh" ||
    fail "$readme has commands that no test runs" \
        "Put <!-- ci: run --> or <!-- ci: covered by … --> on the line before each such block."
[ -s "$workspace/commands.sh" ] || fail "$readme has no block marked <!-- ci: run -->"

awk '
    /^<!-- ci: output -->$/            { shown = 1; next }
    !inside && /^```/                  { inside = 1; next }
    inside && /^```[[:space:]]*$/      { inside = 0; shown = 0; next }
    inside && shown && NF && !/^ *…$/  { print }
' "$readme" >"$workspace/shown.txt"

start_empty_server
mkdir "$workspace/bin"
ln -s "$(realpath "$BIN")" "$workspace/bin/bascule"
sed -i \
    -e "s#http://\(127\.0\.0\.1\|localhost\):8080#$http#g" \
    -e "s#http://\(127\.0\.0\.1\|localhost\):9090#$admin#g" \
    -e "s#\(\./\)\?target/\(release\|debug\)/bascule#bascule#g" \
    -e "s#sqlite:\(\./\)\?data/bascule\.db#sqlite:$workspace/bascule.db#g" \
    "$workspace/commands.sh"

PATH=$workspace/bin:$PATH timeout 300 bash -euo pipefail "$workspace/commands.sh" \
    >"$workspace/commands.out" 2>&1 </dev/null ||
    fail "a command of $readme failed; its output so far:" "$(cat "$workspace/commands.out")"
while IFS= read -r line; do
    grep -qF -- "$line" "$workspace/commands.out" ||
        fail "$readme shows output that its commands do not print: $line" "$(cat "$workspace/commands.out")"
done <"$workspace/shown.txt"
grep -o "    $readme:[0-9]*" "$workspace/commands.out"
stop_server
