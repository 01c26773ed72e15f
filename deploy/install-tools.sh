#!/bin/bash
# Installs from apt what tests need, where that needs no question, and starts nothing: nginx, which stands before the
# receiver, systemd-analyze, which reads the units, Chromium, which opens the pages of the desk, and hledger, which reads
# the ledger.  What cannot be installed is said in one line.
set -euo pipefail
. "$(dirname "$0")/apt.sh"

# provide PROGRAM PACKAGE SERVICE
provide() {
    command -v "$1" >/dev/null && return
    if can_install; then
        echo "Installing $2 with apt (once; no service is started) ..."
        (install_quietly "$2" "$3") || true
    fi
    command -v "$1" >/dev/null || echo "$1 is not installed and cannot be installed here: the tests that need it are skipped."
}

provide nginx nginx-light nginx.service
provide systemd-analyze systemd systemd-networkd.service
provide chromium chromium chromium.service
provide hledger hledger hledger.service
command -v kubectl >/dev/null || echo "kubectl is not installed, and Debian's is too old: the tests that render kustomizations are skipped."
