"""One handle for both lanes: what the contract suite needs to put, take, kill and restart."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, Self, TypeVar

import asyncpg

from tillkeeper import clock
from tillkeeper.lanes.base import LaneMessage, LaneUnavailable, Receiver, Sender
from tillkeeper.lanes.rabbitmq_receiver import RabbitReceiver
from tillkeeper.lanes.rabbitmq_sender import RabbitSender
from tillkeeper.lanes.spool import SpoolReceiver, SpoolSender
from tillkeeper.lanes.topology import Topology
from tillkeeper.loops import pause
from tillkeeper.sandbox.servers import Postgres, RabbitMQ

WITHIN_S = 120.0
Answer = TypeVar("Answer")


class Lane(Protocol):
    sender: Sender

    async def receiver(self) -> Receiver: ...

    async def let_die(self, receiver: Receiver) -> None:
        """What the receiver holds comes again as after its death."""
        ...

    async def settle(self) -> None:
        """The server could now be killed without damage of its own."""
        ...

    async def kill_server(self) -> None: ...

    async def start_server(self) -> None: ...


class RabbitLane:
    def __init__(self, node: RabbitMQ, prefix: str, *, shards: int = 1) -> None:
        self.node = node
        self.topology = Topology(prefix=prefix, shards=shards)
        self.sender: RabbitSender
        self._receivers: list[RabbitReceiver] = []

    async def __aenter__(self) -> Self:
        self.sender = await RabbitSender.open(self.node.url, self.topology)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(self.sender.close(), *(each.close() for each in self._receivers))

    async def receiver(self, **options) -> RabbitReceiver:
        receiver = await RabbitReceiver.open(self.node.url, self.topology, **options)
        self._receivers.append(receiver)
        return receiver

    async def let_die(self, receiver: Receiver) -> None:
        session = receiver._session
        session.lost.set()
        await eventually(lambda: receiver._session is not None and receiver._session is not session)

    async def settle(self) -> None:
        # A node writes down that a quorum queue exists within half a second of its declaration.  Killed before that,
        # 3.10 brings the queue back without a leader, for good.
        await pause(asyncio.Event(), 1.0)

    async def kill_server(self) -> None:
        await self.node.kill()

    async def start_server(self) -> None:
        await self.node.start()


class SpoolLane:
    def __init__(self, server: Postgres, pool: asyncpg.Pool, database: str) -> None:
        self.server = server
        self.pool = pool
        self.database = database
        self.sender = SpoolSender(pool)
        self._receivers: list[SpoolReceiver] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(each.close() for each in self._receivers))

    async def receiver(self) -> SpoolReceiver:
        receiver = await SpoolReceiver.open(self.pool, self.database)
        self._receivers.append(receiver)
        return receiver

    async def let_die(self, receiver: Receiver) -> None:
        ids = list(receiver._held)
        receiver._held.clear()
        await self.pool.execute("UPDATE spool SET leased_until = now() - interval '1 s' WHERE id = ANY($1)", ids)

    async def settle(self) -> None:
        pass

    async def kill_server(self) -> None:
        await self.server.kill()

    async def start_server(self) -> None:
        await self.server.start()


async def take_all(receiver: Receiver, count: int) -> list[LaneMessage]:
    """Exactly so many messages, in as many takes as it needs."""
    taken: list[LaneMessage] = []
    async with asyncio.timeout(WITHIN_S):
        while len(taken) < count:
            taken += await receiver.take(limit=count - len(taken), wait_s=WITHIN_S)
    return taken


async def nothing_left(receiver: Receiver) -> bool:
    return await receiver.take(limit=10, wait_s=0.3) == []


async def until_available(call: Callable[[], Awaitable[Answer]]) -> Answer:
    """What the call returns once it no longer raises Unavailable."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            try:
                return await call()
            except LaneUnavailable:
                await pause(asyncio.Event(), 0.02)


async def eventually(condition: Callable[[], object], *, within_s: float = WITHIN_S) -> None:
    """Returns as soon as the condition holds; fails when it does not within the time."""
    until_s = clock.monotonic_s() + within_s
    while not condition():
        assert clock.monotonic_s() < until_s, "it did not come to pass"
        await pause(asyncio.Event(), 0.01)


async def until_true(database: asyncpg.Pool | asyncpg.Connection, query: str) -> None:
    """Returns as soon as the query's answer is true."""
    async with asyncio.timeout(WITHIN_S):
        while not await database.fetchval(query):
            await pause(asyncio.Event(), 0.02)
