#!/bin/bash
# Installs RabbitMQ from apt where that needs no question, and starts nothing: the sandbox and the tests run nodes of
# their own.  Where it cannot be installed that is said in one line, and is no failure.
set -euo pipefail

installed() { compgen -G '/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin' >/dev/null || command -v rabbitmq-server >/dev/null; }

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

policy=/usr/sbin/policy-rc.d  # asked by Debian's packages before they start a service; 101 forbids it

install() {
    as_root apt-get update -qq
    if [ ! -e "$policy" ]; then
        trap 'as_root rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod 755 "$policy"
    fi
    as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
        apt-get install -y -qq --no-install-recommends rabbitmq-server >/dev/null
    # Nor shall the next boot start what nobody asked for.
    if command -v systemctl >/dev/null; then
        as_root systemctl disable --quiet rabbitmq-server.service epmd.service epmd.socket 2>/dev/null || true
    fi
}

installed && exit 0
if command -v apt-get >/dev/null && as_root true 2>/dev/null; then
    echo "Installing RabbitMQ with apt (once; no service is started) ..."
    (install) || true
fi
installed || echo "RabbitMQ is not installed and cannot be installed here: the PostgreSQL lane alone is used."
