"""Declares what the RabbitMQ lane needs: an exchange, a quorum queue for each shard, and the park queue.

    <prefix>.events (direct) ── "0" ──> <prefix>.events.0 ──┐
                             └─ "1" ──> <prefix>.events.1 ──┴─ past the delivery limit ──> <prefix>.park

The same declaration works on RabbitMQ 3.10 to 4.x.  Arguments of a queue cannot be changed later, so there are no
others; lengths and the like belong in policies.  There is no alternate exchange, on purpose: a publish that no queue
takes must fail, so that the spool takes it (docs/decisions/002-no-alternate-exchange.md).
"""

from typing import Final

import msgspec
from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import ChannelAccessRefused
from pamqp.common import FieldTable

DELIVERY_LIMIT: Final = 20  # redeliveries; the default of 4.x, while older versions have none
PARK_DELIVERY_LIMIT: Final = 1_000_000_000  # in effect none: on 3.10 -1 drops at the first nack, on 4.x unset means 20


class Topology(msgspec.Struct, frozen=True, kw_only=True):
    """The names of exchange and queues, and the number of shards."""

    prefix: str = "tillkeeper"
    shards: int = 1

    @property
    def exchange(self) -> str:
        """Returns the exchange that receivers publish to, with the shard as routing key."""
        return f"{self.prefix}.events"

    @property
    def park(self) -> str:
        """Returns the name of the queue of messages past the delivery limit, and of its exchange."""
        return f"{self.prefix}.park"

    def queue(self, shard: int) -> str:
        """Returns the name of the queue that workers consume from."""
        return f"{self.prefix}.events.{shard}"


async def ensure(connection: AbstractConnection, topology: Topology) -> None:
    """Declares what is missing; for a user who may not (deploy/rabbitmq.sh), checks that it exists.

    Each uses a channel of its own, for the broker closes a channel after a refusal.
    """
    channel = await connection.channel(publisher_confirms=False)
    try:
        await declare(channel, topology)
    except ChannelAccessRefused:
        channel = await connection.channel(publisher_confirms=False)
        await _look(channel, topology)
    await channel.close()


async def _look(channel: AbstractChannel, topology: Topology) -> None:
    """Raises the library's errors where something is missing.  Bindings cannot be checked: a publish shows them."""
    await channel.declare_exchange(topology.exchange, passive=True)
    for shard in range(topology.shards):
        await channel.declare_queue(topology.queue(shard), passive=True)


async def declare(channel: AbstractChannel, topology: Topology) -> None:
    """Declares what is missing, at every connect, so that what somebody deleted comes back."""
    await channel.declare_exchange(topology.park, ExchangeType.FANOUT, durable=True)
    park = await channel.declare_queue(topology.park, durable=True, arguments=_park_arguments())
    await park.bind(topology.park, routing_key="")
    await channel.declare_exchange(topology.exchange, ExchangeType.DIRECT, durable=True)
    for shard in range(topology.shards):
        queue = await channel.declare_queue(topology.queue(shard), durable=True, arguments=_arguments(topology))
        await queue.bind(topology.exchange, routing_key=str(shard))


def _arguments(topology: Topology) -> FieldTable:
    return {
        "x-queue-type": "quorum",
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": topology.park,
        "x-dead-letter-strategy": "at-least-once",  # has an effect only together with reject-publish
        "x-overflow": "reject-publish",  # a full queue refuses the newest instead of dropping the oldest
    }


def _park_arguments() -> FieldTable:
    return {"x-queue-type": "quorum", "x-delivery-limit": PARK_DELIVERY_LIMIT, "x-overflow": "reject-publish"}
