#!/bin/bash
# Installs Prometheus and promtool from apt where that needs no question, and starts nothing: the tests of rules and
# dashboards run a server of their own.  Where it cannot be installed that is said in one line, and is no failure.
set -euo pipefail
. "$(dirname "$0")/apt.sh"

installed() { command -v prometheus >/dev/null && command -v promtool >/dev/null; }

installed && exit 0
if can_install; then
    echo "Installing Prometheus with apt (once; no service is started) ..."
    (install_quietly prometheus prometheus.service) || true
fi
installed || echo "Prometheus is not installed and cannot be installed here: the tests of alerts and dashboards are skipped."
