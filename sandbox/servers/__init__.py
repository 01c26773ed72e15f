"""Private servers: PostgreSQL, RabbitMQ and Prometheus on loopback, in directories of their own, that end with this
process."""

from tillkeeper.sandbox.servers.child import ServerFailed
from tillkeeper.sandbox.servers.postgres import Backup, Postgres
from tillkeeper.sandbox.servers.prometheus import Prometheus
from tillkeeper.sandbox.servers.rabbitmq import RabbitMQ

__all__ = ["Backup", "Postgres", "Prometheus", "RabbitMQ", "ServerFailed"]
