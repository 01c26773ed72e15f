"""Looks at how many messages wait in RabbitMQ, over a connection of its own that it keeps."""

import contextlib

import structlog
from aio_pika import Connection
from aio_pika.abc import AbstractChannel

from tillkeeper.lanes.base import LaneUnavailable
from tillkeeper.lanes.bounded import bounded
from tillkeeper.lanes.broker_connection import CLOSE_S, CONNECT_S, broker_urls
from tillkeeper.lanes.topology import Topology

log = structlog.get_logger()


class QueueDepth:
    """The messages that wait; None while they cannot be counted."""

    def __init__(self, broker_url: str, topology: Topology) -> None:
        self._broker_url = broker_url
        self._topology = topology
        self._connection: Connection | None = None
        self._channel: AbstractChannel | None = None
        self._at = 0  # which host of the URL
        self.ready: int | None = None

    async def look_once(self) -> int:
        """Counts them, as one pass of a loop.  It has nothing to handle."""
        try:
            self.ready = await bounded(self._count(), timeout_s=CONNECT_S, what="looking at the queues")
        except LaneUnavailable as error:
            if self.ready is not None:
                log.warning("queues_not_readable", error=str(error))
            self.ready = None
            self._at += 1
            await self.close()
        return 0

    async def close(self) -> None:
        """Closes the connection, if there is one."""
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            with contextlib.suppress(LaneUnavailable):
                await bounded(connection.close(), timeout_s=CLOSE_S, what="closing")

    async def _count(self) -> int:
        if self._channel is None:
            urls = broker_urls(self._broker_url, name="tillkeeper desk")
            self._connection = Connection(urls[self._at % len(urls)])
            await self._connection.connect(timeout=CONNECT_S)
            self._channel = await self._connection.channel(publisher_confirms=False)
        names = [self._topology.queue(shard) for shard in range(self._topology.shards)]
        queues = [await self._channel.declare_queue(name, passive=True) for name in names]
        return sum(queue.declaration_result.message_count or 0 for queue in queues)
