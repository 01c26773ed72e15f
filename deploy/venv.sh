#!/bin/bash
# venv.sh DIRECTORY: a virtual environment with uv (UV_VERSION) in it, made by whatever this machine's Python offers.
set -euo pipefail
venv=$1

fail() { echo "$1" >&2; exit 1; }

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

find_python() {
    local name
    for name in "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11; do
        [ -n "$name" ] && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$name" && return
    done
    return 1
}

# Debian's python3 comes without ensurepip and pip; pip of the machine can serve a virtual environment without its own.
make_venv() {
    if "$python" -c 'import ensurepip' 2>/dev/null; then
        "$python" -m venv --clear "$venv"
        "$venv/bin/python" -m pip install --quiet "uv==$UV_VERSION"
    elif "$python" -m pip --version >/dev/null 2>&1; then
        "$python" -m venv --clear --without-pip "$venv"
        "$python" -m pip --python "$venv/bin/python" install --quiet "uv==$UV_VERSION"
    else
        return 1
    fi
}

if [ -x "$venv/bin/python" ] && "$venv/bin/uv" --version 2>/dev/null | grep -qF " $UV_VERSION "; then
    exit 0
fi
python=$(find_python) || fail "Tillkeeper needs Python 3.11 or later, and finds none (PYTHON=... names one)."
make_venv && exit 0
if command -v apt-get >/dev/null && as_root true 2>/dev/null; then
    echo "This Python lacks both venv and pip: installing python3-venv with apt."
    as_root apt-get update -qq && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null
    make_venv && exit 0
fi
fail "This Python lacks both venv and pip: install one of them first, on Debian with: apt install python3-venv"
