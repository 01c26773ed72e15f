"""The worker's end of the RabbitMQ lane: messages are prefetched, and acknowledged with as few frames as possible."""

import asyncio
import itertools
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final

import msgspec
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage, AbstractQueue

from tillkeeper.lanes.base import LaneMessage, LaneUnavailable
from tillkeeper.lanes.bounded import bounded
from tillkeeper.lanes.broker_connection import BrokerConnection
from tillkeeper.lanes.topology import Topology, ensure
from tillkeeper.loops import keep_running, pause, start

log = structlog.get_logger()

PREFETCH_MAX: Final = 200  # messages; more only moves the queue into the worker's memory
CALL_S: Final = 2.0  # an acknowledgement or a queue's length; only a hung node takes longer
WATCH_S: Final = 15.0  # a dead consumer is noticed within twice this


class _Session(msgspec.Struct, kw_only=True):
    """The state of one connection.  `unacknowledged` and `waiting` are by delivery tag, oldest first."""

    lost: asyncio.Event
    park: AbstractQueue
    aside: AbstractChannel
    unacknowledged: dict[int, AbstractIncomingMessage] = msgspec.field(default_factory=dict)
    waiting: deque[int] = msgspec.field(default_factory=deque)
    parked: dict[int, AbstractIncomingMessage] = msgspec.field(default_factory=dict)
    arrived: int = 0


class _Receipt(msgspec.Struct, frozen=True, kw_only=True):
    session: _Session
    tag: int
    parked: bool = False


class RabbitReceiver:
    """Takes from the queues of `shards`, by default all.  Made by `open`, closed by `close`.

    `release` keeps the messages here for the next `take`: returning them to the broker would count against the delivery
    limit, and an outage of the database would park them.
    """

    name: Final = "rabbitmq"

    def __init__(
        self, broker_url: str, topology: Topology, *, prefetch: int, priority: int, shards: Iterable[int] | None
    ) -> None:
        self._topology = topology
        self._prefetch = max(1, min(prefetch, PREFETCH_MAX))
        self._priority = priority
        self._shards = tuple(range(topology.shards) if shards is None else shards)
        self._session: _Session | None = None
        self._arrived = asyncio.Event()
        self._stop = asyncio.Event()
        self._seen_by_watch = (0, 0)
        self._connection = BrokerConnection(
            broker_url, name="tillkeeper consume", set_up=self._set_up, tear_down=self._tear_down
        )

    @classmethod
    async def open(
        cls,
        broker_url: str,
        topology: Topology,
        *,
        prefetch: int = PREFETCH_MAX,
        priority: int = 0,
        shards: Iterable[int] | None = None,
    ) -> "RabbitReceiver":
        """Opens a receiver that connects now, or as soon as the broker is available.

        A `prefetch` of twice the limit of a take holds the next batch ready while one is applied.  The broker delivers
        to receivers of a lower `priority` only what those above them have no room for."""
        receiver = cls(broker_url, topology, prefetch=prefetch, priority=priority, shards=shards)
        await receiver._connection.open()
        start(
            keep_running(receiver.watch_once, name="consumer watch", stop=receiver._stop, idle_s=WATCH_S),
            name="consumer watch",
        )
        return receiver

    async def take(self, *, limit: int, wait_s: float) -> list[LaneMessage]:
        """Takes up to `limit` messages, oldest first, and waits up to `wait_s` for the first."""
        if self._session is None or not self._session.waiting:
            self._arrived.clear()
            await pause(self._arrived, wait_s)
        session = self._connected()
        count = min(limit, len(session.waiting))
        return [_handed_out(session, session.waiting.popleft()) for _ in range(count)]

    async def acknowledge(self, taken: Sequence[LaneMessage]) -> None:
        """Acknowledges the messages.  Raises LaneUnavailable for those of a lost connection, which come again."""
        session = self._connected()
        receipts = [_receipt_of(one) for one in taken]
        current = [receipt for receipt in receipts if receipt.session is session]
        try:
            await bounded(_acknowledge(session, current), timeout_s=CALL_S, what="acknowledging")
        except LaneUnavailable:
            session.lost.set()
            raise
        if len(current) < len(receipts):
            raise LaneUnavailable("some messages were taken on a connection that is gone: they come again")

    async def release(self) -> None:
        """Makes all unacknowledged messages available to the next take.  Never raises."""
        session = self._session
        if session is None:
            return
        session.waiting = deque(session.unacknowledged)
        self._arrived.set()
        with suppress(LaneUnavailable):
            await bounded(_give_back(session.parked), timeout_s=CALL_S, what="giving back")

    async def take_parked(self, *, limit: int) -> list[LaneMessage]:
        """Takes messages past the delivery limit, from the park queue."""
        session = self._connected()
        try:
            return await bounded(_from_park(session, limit), timeout_s=CALL_S, what="looking into the park")
        except LaneUnavailable:
            session.lost.set()
            raise

    async def close(self) -> None:
        """Disconnects; the broker delivers what is held to others.  Safe to repeat."""
        self._stop.set()
        await self._connection.close()

    @property
    def held(self) -> int:
        """The messages that are here and not acknowledged."""
        return len(self._session.unacknowledged) if self._session is not None else 0

    async def ready(self) -> int:
        """Returns the number of messages that wait in the queues.  Raises LaneUnavailable."""
        return await bounded(self._ready(self._connected()), timeout_s=CALL_S, what="looking at the queues")

    async def watch_once(self) -> int:
        """Reconnects when messages wait in a queue and none has come since the last check.  Returns 0."""
        session = self._session
        if session is None or session.unacknowledged:
            return 0
        before, self._seen_by_watch = self._seen_by_watch, (id(session), session.arrived)
        if self._seen_by_watch != before:
            return 0
        try:
            count = await bounded(self._ready(session), timeout_s=CALL_S, what="looking at the queues")
        except LaneUnavailable as error:
            log.warning("queues_not_readable", error=str(error))
            session.lost.set()
            return 0
        if count and not session.unacknowledged and session.arrived == before[1]:
            log.warning("consumer_starved", ready=count)
            session.lost.set()
        return 0

    def _connected(self) -> _Session:
        if self._session is None or self._session.lost.is_set():
            raise LaneUnavailable("RabbitMQ is not connected")
        return self._session

    async def _ready(self, session: _Session) -> int:
        names = [self._topology.queue(shard) for shard in self._shards]
        queues = [await session.aside.declare_queue(name, passive=True) for name in names]
        return sum(queue.declaration_result.message_count or 0 for queue in queues)

    async def _set_up(self, connection: AbstractConnection, lost: asyncio.Event) -> None:
        # Two channels: one for the consumers, whose delivery tags `multiple` covers, and one for everything else.
        await ensure(connection, self._topology)
        aside = await connection.channel(publisher_confirms=False)
        session = _Session(lost=lost, aside=aside, park=await aside.get_queue(self._topology.park, ensure=False))

        async def keep(message: AbstractIncomingMessage) -> None:
            tag = message.delivery_tag
            assert tag is not None
            session.unacknowledged[tag] = message
            session.waiting.append(tag)
            session.arrived += 1
            self._arrived.set()

        channel = await connection.channel(publisher_confirms=False)
        for each in (aside, channel):
            each.close_callbacks.add(lambda *_: lost.set())
        # The broker cancels a consumer whose queue is deleted or has lost its leader for good.
        (await channel.get_underlay_channel()).on_consumer_cancel_callbacks.add(lambda _: lost.set())
        await channel.set_qos(prefetch_count=self._prefetch, global_=False)  # quorum queues refuse a global one
        for shard in self._shards:
            queue = await channel.get_queue(self._topology.queue(shard), ensure=False)
            await queue.consume(keep, no_ack=False, arguments={"x-priority": self._priority})
        self._session = session

    def _tear_down(self) -> None:
        self._session = None


def covering(unacknowledged: Iterable[int], done: set[int]) -> list[tuple[int, bool]]:
    """Returns the acknowledgements (tag, multiple) that cover exactly `done`: one with `multiple` for the unbroken run
    from the oldest, and one for each message beyond it."""
    run = list(itertools.takewhile(done.__contains__, sorted(unacknowledged)))
    words = [(run[-1], len(run) > 1)] if run else []
    return words + [(tag, False) for tag in sorted(done.difference(run))]


async def _acknowledge(session: _Session, receipts: list[_Receipt]) -> None:
    done = {receipt.tag for receipt in receipts if not receipt.parked} & session.unacknowledged.keys()
    for tag, multiple in covering(session.unacknowledged, done):
        await session.unacknowledged[tag].ack(multiple=multiple)
    for tag in done:
        del session.unacknowledged[tag]
    for tag in {receipt.tag for receipt in receipts if receipt.parked} & session.parked.keys():
        await session.parked.pop(tag).ack()


async def _give_back(parked: dict[int, AbstractIncomingMessage]) -> None:
    while parked:
        _, message = parked.popitem()
        await message.nack(requeue=True)


async def _from_park(session: _Session, limit: int) -> list[LaneMessage]:
    taken: list[LaneMessage] = []
    while len(taken) < limit and (message := await session.park.get(no_ack=False, fail=False)) is not None:
        tag = message.delivery_tag
        assert tag is not None
        session.parked[tag] = message
        receipt = _Receipt(session=session, tag=tag, parked=True)
        taken.append(
            LaneMessage(
                body=message.body, receipt=receipt, attempts=_attempts(message), death_reason=_death_reason(message)
            )
        )
    return taken


def _death_reason(message: AbstractIncomingMessage) -> str | None:
    """Returns why the queue gave the message up: delivery_limit, or expired and maxlen by a policy of the broker.

    The latest reason comes first."""
    deaths = message.headers.get("x-death")
    latest = deaths[0] if isinstance(deaths, list) and deaths else None
    reason = latest.get("reason") if isinstance(latest, dict) else None
    return reason if isinstance(reason, str) else None


def _handed_out(session: _Session, tag: int) -> LaneMessage:
    message = session.unacknowledged[tag]
    return LaneMessage(body=message.body, receipt=_Receipt(session=session, tag=tag), attempts=_attempts(message))


def _attempts(message: AbstractIncomingMessage) -> int:
    count = message.headers.get("x-delivery-count")
    return 1 + count if isinstance(count, int) else 1


def _receipt_of(taken: LaneMessage) -> _Receipt:
    assert isinstance(taken.receipt, _Receipt), "this message was taken from another lane"
    return taken.receipt
