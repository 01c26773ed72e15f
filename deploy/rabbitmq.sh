#!/bin/bash
# rabbitmq.sh [DIRECTORY]: a user for each of Tillkeeper's roles on RabbitMQ, with what the role needs and nothing else.
#
#     role     may                                                                 and may not
#     ingest   publish to <prefix>.events                                          read, declare or delete anything
#     work     declare the exchanges and queues of events, and consume from them   publish to <prefix>.events
#     notify   declare <prefix>.notices, and publish to it                         read anything, or publish events
#
# The sweep uses no broker.  Passwords are kept in DIRECTORY (default: secrets beside this script) as
# rabbitmq_ROLE_password, made where there are none; broker_url_ROLE beside them is what the role's broker_url names.
# Run it on the broker's machine, as a user who may call rabbitmqctl; it is safe to repeat.  Start a worker before the
# first receiver: a receiver that may not declare takes the PostgreSQL lane until the queues are there.
#
# Environment: RABBITMQCTL (rabbitmqctl), VHOST (tillkeeper), PREFIX (tillkeeper: broker_prefix), HOST (rabbitmq:5672).
set -euo pipefail
umask 077
directory=${1:-$(dirname "$0")/secrets}
ctl=${RABBITMQCTL:-rabbitmqctl}
vhost=${VHOST:-tillkeeper}
host=${HOST:-rabbitmq:5672}
prefix=$(printf '%s' "${PREFIX:-tillkeeper}" | sed 's/\./\\./g')
mkdir -p "$directory"

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

# grant ROLE CONFIGURE WRITE READ: makes the user tillkeeper-ROLE, or sets the password and permissions of the one there is.
grant() {
    local user=tillkeeper-$1 password=$directory/rabbitmq_$1_password
    [ -e "$password" ] || random >"$password"
    # The password goes in by standard input: arguments show in the list of processes.
    if "$ctl" --quiet list_users --no-table-headers | cut -f1 | grep -qx "$user"; then
        "$ctl" --quiet change_password "$user" <"$password"
    else
        "$ctl" --quiet add_user "$user" <"$password"
    fi
    "$ctl" --quiet set_permissions --vhost "$vhost" "$user" "$2" "$3" "$4"
    printf 'amqp://%s:%s@%s/%s\n' "$user" "$(cat "$password")" "$host" "${vhost//\//%2F}" >"$directory/broker_url_$1"
    echo "$user may configure '$2', write '$3', read '$4'"
}

none='^$'
grant ingest "$none" "^$prefix\.events\$" "$none"
grant work "^$prefix\.(events(\.[0-9]+)?|park)\$" "^$prefix\.(events\.[0-9]+|park)\$" "^$prefix\.(events(\.[0-9]+)?|park)\$"
grant notify "^$prefix\.notices\$" "^$prefix\.notices\$" "$none"
