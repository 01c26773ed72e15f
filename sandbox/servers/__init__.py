"""Private servers: a PostgreSQL and a RabbitMQ on loopback, in directories of their own, that end with this process."""

from tillkeeper.sandbox.servers.child import ServerFailed
from tillkeeper.sandbox.servers.postgres import Postgres
from tillkeeper.sandbox.servers.rabbitmq import RabbitMQ

__all__ = ["Postgres", "RabbitMQ", "ServerFailed"]
