# shellcheck shell=bash
# Sourced by the install scripts. Needs say.sh.

# Installs Debian or Ubuntu packages, as root or through sudo. Arguments: package names.
install_debian_packages() {
    local as_root=()
    if ! command -v apt-get >/dev/null; then
        fail "missing on this machine: $*" \
            "It has no apt-get: install them with its own package manager, then run this again."
    fi
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "missing on this machine: $*" \
            "Installing them needs root, and there is no sudo. As root:  apt-get install $*"
        as_root=(sudo)
    fi
    say "Installing Debian packages: $*"
    "${as_root[@]}" apt-get update -qq ||
        note "apt-get update failed; using the existing package lists"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "$@"
}

# Installs one Cargo tool from crates.io unless it is there, whatever its version.
# Arguments: subcommand, crate, version.
install_cargo_tool() {
    local subcommand=$1 crate=$2 version=$3
    if cargo "$subcommand" --version >/dev/null 2>&1; then
        return
    fi
    say "Installing $crate $version from crates.io (a few minutes, once per machine)"
    # Lightly optimised: the tool runs for seconds, compiling it with its own release profile takes
    # longer than it ever saves here.
    CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
        CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_DEBUG=0 \
        cargo install --quiet --locked "$crate" --version "$version"
}
