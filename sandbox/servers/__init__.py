"""Servers of one's own: a PostgreSQL and a RabbitMQ on loopback, in a directory of theirs, that end when we do."""

from tillkeeper.sandbox.servers.child import ServerFailed
from tillkeeper.sandbox.servers.postgres import Postgres
from tillkeeper.sandbox.servers.rabbitmq import RabbitMQ

__all__ = ["Postgres", "RabbitMQ", "ServerFailed"]
