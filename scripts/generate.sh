#!/usr/bin/env bash
# Writes what is made from the code: the descriptions of the API and of the events, the schemas of new
# events and of imported states, the pages about the modules and about those states.
#   scripts/generate.sh [FOLDER-OF-DESCRIPTIONS [FOLDER-OF-PAGES]]      openapi and docs/modules
set -euo pipefail
cd "$(dirname "$0")/.."
openapi=${1:-openapi}
pages=${2:-docs/modules}
bascule=${BIN:-target/debug/bascule}

# Written aside and moved: a command that fails leaves what there was.
print_into() {
    "$bascule" "$2" >"$1.new"
    mv "$1.new" "$1"
}

mkdir -p "$openapi" "$pages"
print_into "$openapi/bascule.openapi.json" openapi
print_into "$openapi/asyncapi.json" asyncapi
"$bascule" contracts export --folder "$openapi/events"
"$bascule" modules export --folder "$pages"
"$bascule" mapping export --folder "$openapi/sync" --page "$pages/import-fields.md"
