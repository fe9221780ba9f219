#!/usr/bin/env bash
# Generates files from the code: the descriptions of the API and of the events, the schemas of new
# events and of imported states, the pages about the modules and about those states, and the table of
# calls in the page about the wire protocol.
#   scripts/generate.sh [FOLDER-OF-DESCRIPTIONS [FOLDER-OF-PAGES [PAGE-ABOUT-THE-WIRE-PROTOCOL]]]
#                                       openapi, docs/modules and docs/wire.md unless named
set -euo pipefail
cd "$(dirname "$0")/.."
openapi=${1:-openapi}
pages=${2:-docs/modules}
wire_page=${3:-docs/wire.md}
bascule=${BIN:-${CARGO_TARGET_DIR:-target}/debug/bascule}

# Written to a temporary file and renamed: a failing command leaves the old file.
print_into() {
    "$bascule" "$2" >"$1.new"
    mv "$1.new" "$1"
}

# Inserts the output of a command between the two marks of a page.
print_between_marks() {
    local page=$1 part
    shift
    part=$("$bascule" "$@")
    grep -q '^<!-- Written by `make generate`' "$page" && grep -q '^<!-- end -->$' "$page" || {
        printf '%s has no marks for generated content\n' "$page" >&2
        return 1
    }
    part=$part awk '
        /^<!-- Written by `make generate`/ { print; print "\n" ENVIRON["part"] "\n"; skips = 1 }
        /^<!-- end -->$/ { skips = 0 }
        !skips { print }
    ' "$page" >"$page.new"
    mv "$page.new" "$page"
}

mkdir -p "$openapi" "$pages"
print_into "$openapi/bascule.openapi.json" openapi
print_into "$openapi/asyncapi.json" asyncapi
"$bascule" contracts export --folder "$openapi/events"
"$bascule" modules export --folder "$pages"
"$bascule" mapping export --folder "$openapi/sync" --page "$pages/import-fields.md"
print_between_marks "$wire_page" wire calls
