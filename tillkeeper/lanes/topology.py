"""What the RabbitMQ lane declares: an exchange, a quorum queue for each shard, and the park behind them.

    <prefix>.events (direct) ── "0" ──> <prefix>.events.0 ──┐
                             └─ "1" ──> <prefix>.events.1 ──┴─ past the delivery limit ──> <prefix>.park

The same declaration holds on RabbitMQ 3.10 to 4.x.  Arguments of a queue cannot be changed later, so that these are
all there are; lengths and the like belong in policies.  There is no alternate exchange, on purpose: a publish that no
queue takes must fail, so that the spool takes it (docs/decisions/002-no-alternate-exchange.md).
"""

from typing import Final

import msgspec
from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import ChannelAccessRefused
from pamqp.common import FieldTable

DELIVERY_LIMIT: Final = 20  # redeliveries; 4.x has this default, older ones none, so say it everywhere
PARK_DELIVERY_LIMIT: Final = 1_000_000_000  # in effect none: -1 drops at the first nack on 3.10, absent means 20 on 4.x


class Topology(msgspec.Struct, frozen=True, kw_only=True):
    """The names, and how many shards there are."""

    prefix: str = "tillkeeper"
    shards: int = 1

    @property
    def exchange(self) -> str:
        """Where the receiver publishes, with the shard as routing key."""
        return f"{self.prefix}.events"

    @property
    def park(self) -> str:
        """The queue of messages past the delivery limit, and the exchange before it."""
        return f"{self.prefix}.park"

    def queue(self, shard: int) -> str:
        """Where the workers consume."""
        return f"{self.prefix}.events.{shard}"


async def ensure(connection: AbstractConnection, topology: Topology) -> None:
    """Makes what is missing, or, for a user who may not (deploy/rabbitmq.sh), looks whether it is there.

    On a channel of its own, for the broker closes one that it refuses something.
    """
    channel = await connection.channel(publisher_confirms=False)
    try:
        await declare(channel, topology)
    except ChannelAccessRefused:
        channel = await connection.channel(publisher_confirms=False)
        await _look(channel, topology)
    await channel.close()


async def _look(channel: AbstractChannel, topology: Topology) -> None:
    """Raises the library's errors where something is missing.  Bindings cannot be looked at: a publish shows them."""
    await channel.declare_exchange(topology.exchange, passive=True)
    for shard in range(topology.shards):
        await channel.declare_queue(topology.queue(shard), passive=True)


async def declare(channel: AbstractChannel, topology: Topology) -> None:
    """Makes what is missing.  Done at every connect, so that what somebody deleted heals itself."""
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
        "x-dead-letter-strategy": "at-least-once",  # in force only together with reject-publish, else silently not
        "x-overflow": "reject-publish",  # a full queue refuses the newest instead of dropping the oldest
    }


def _park_arguments() -> FieldTable:
    return {"x-queue-type": "quorum", "x-delivery-limit": PARK_DELIVERY_LIMIT, "x-overflow": "reject-publish"}
