#!/bin/bash
# Installs RabbitMQ from apt where that needs no question, and starts nothing: the sandbox and the tests run nodes of
# their own.  Where it cannot be installed that is said in one line, and is no failure.
set -euo pipefail
. "$(dirname "$0")/apt.sh"

installed() { compgen -G '/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin' >/dev/null || command -v rabbitmq-server >/dev/null; }

installed && exit 0
if can_install; then
    echo "Installing RabbitMQ with apt (once; no service is started) ..."
    (install_quietly rabbitmq-server rabbitmq-server.service epmd.service epmd.socket) || true
fi
installed || echo "RabbitMQ is not installed and cannot be installed here: the PostgreSQL lane alone is used."
