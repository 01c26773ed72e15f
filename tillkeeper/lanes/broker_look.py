"""Looks at the broker without changing it: whether it lets us in, and whether what workers declare is there."""

import contextlib

import msgspec
from aio_pika import Connection
from aiormq.exceptions import ChannelAccessRefused, ChannelNotFoundEntity, ChannelPreconditionFailed
from yarl import URL

from tillkeeper.lanes.base import LaneUnavailable
from tillkeeper.lanes.bounded import bounded
from tillkeeper.lanes.broker_connection import CLOSE_S, CONNECT_S, broker_urls
from tillkeeper.lanes.topology import Topology, declare


class BrokerLook(msgspec.Struct, frozen=True, kw_only=True):
    """What was found at one host."""

    host: str
    failure: str = ""  # why it could not be looked at
    missing: tuple[str, ...] = ()  # exchanges and queues that are not there
    differs: str = ""  # what RabbitMQ says where one is other than workers declare it


async def look_at_broker(broker_url: str, topology: Topology) -> list[BrokerLook]:
    """Looks at each host of the URL.  Raises nothing."""
    return [await _look(url, topology) for url in broker_urls(broker_url, name="tillkeeper check")]


async def _look(url: URL, topology: Topology) -> BrokerLook:
    host = f"{url.host}:{url.port or 5672}"
    connection = Connection(url)
    try:
        await bounded(connection.connect(timeout=CONNECT_S), timeout_s=CONNECT_S, what="connecting")
        missing = await bounded(_missing(connection, topology), timeout_s=CONNECT_S, what="looking at the queues")
        differs = (
            "" if missing else await bounded(_differs(connection, topology), timeout_s=CONNECT_S, what="comparing")
        )
    except LaneUnavailable as error:
        cause = error.__cause__
        return BrokerLook(host=host, failure=str(cause if cause is not None else error) or type(cause).__name__)
    finally:
        with contextlib.suppress(LaneUnavailable):
            await bounded(connection.close(), timeout_s=CLOSE_S, what="closing")
    return BrokerLook(host=host, missing=tuple(missing), differs=differs)


async def _missing(connection: Connection, topology: Topology) -> list[str]:
    queues = [*(topology.queue(shard) for shard in range(topology.shards)), topology.park]
    exchanges = [f"exchange {name}" for name in (topology.exchange, topology.park) if await _lacks(connection, name)]
    return exchanges + [f"queue {name}" for name in queues if await _lacks(connection, name, queue=True)]


async def _lacks(connection: Connection, name: str, *, queue: bool = False) -> bool:
    """Returns whether it is missing.  What this user may not look at counts as there: a receiver may not see all."""
    channel = await connection.channel(publisher_confirms=False)  # a refusal closes it
    try:
        if queue:
            await channel.declare_queue(name, passive=True)
        else:
            await channel.declare_exchange(name, passive=True)
    except ChannelNotFoundEntity:
        return True
    except ChannelAccessRefused:
        return False
    await channel.close()
    return False


async def _differs(connection: Connection, topology: Topology) -> str:
    """Declares again what is there, which RabbitMQ refuses where it is of another sort, and says how."""
    channel = await connection.channel(publisher_confirms=False)
    try:
        await declare(channel, topology)
    except ChannelPreconditionFailed as error:
        return str(error)
    except ChannelAccessRefused:
        return ""
    await channel.close()
    return ""
