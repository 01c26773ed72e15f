#!/bin/bash
# secrets.sh [DIRECTORY]: makes the secrets that compose.yaml needs and nobody has to choose; keeps those that are there.
#
# The directory is closed to others; the files in it are readable, for each is mounted alone into containers whose users
# are not this machine's.
set -euo pipefail
umask 022
directory=${1:-$(dirname "$0")/secrets}
mkdir -p "$directory"
chmod 700 "$directory"

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

# keep NAME TEXT: writes the file unless it is there; whole or not at all.
keep() {
    [ -e "$directory/$1" ] && return
    printf '%s\n' "$2" >"$directory/.new"
    mv "$directory/.new" "$directory/$1"
    echo "made $directory/$1"
}

keep postgres_password "$(random)"
keep rabbitmq_password "$(random)"
keep api_token "$(random)"
keep envelope_key "$(random)"
postgres=$(cat "$directory/postgres_password")
rabbitmq=$(cat "$directory/rabbitmq_password")
keep rabbitmq_user.conf "default_user = tillkeeper
default_pass = $rabbitmq"
keep database_url "postgresql://tillkeeper:$postgres@postgres:5432/tillkeeper"
keep broker_url "amqp://tillkeeper:$rabbitmq@rabbitmq:5672/tillkeeper"

here=$(dirname "$0")
grep -o '^[^#]*file:/run/secrets/[A-Za-z0-9_.]*' "$here/tillkeeper.toml" | sed 's|.*/||' | while read -r name; do
    [ -e "$directory/$name" ] || echo "still to come from your gateway: $directory/$name"
done
