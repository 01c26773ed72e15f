"""Makes deliveries durable for the receiver: numbers them, packs them, and puts them on a lane that takes them.

accept ──> group commit (one a shard) ──> envelope ──> RabbitMQ
                             └─ not confirmed, or breaker open ──> spool ──> Unavailable
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final
from uuid import UUID
from zlib import crc32

import msgspec
import structlog

from tillkeeper import clock
from tillkeeper.breaker import Breaker
from tillkeeper.domain.backoff import SPOOL
from tillkeeper.domain.delivery import Delivery, Envelope, EnvelopeKeys
from tillkeeper.domain.events import PaymentEvent
from tillkeeper.domain.fetching import Fetch
from tillkeeper.lanes.base import LaneUnavailable, Sender
from tillkeeper.lanes.broker_breaker import BrokerBreaker
from tillkeeper.lanes.envelope import ENVELOPE_BODY_BYTES_MAX, ENVELOPE_DELIVERIES_MAX
from tillkeeper.lanes.group_commit import GroupCommit
from tillkeeper.outage import intake_outage

log = structlog.get_logger()

DRAIN_S: Final = 10.0  # a publish, a spool put, and one retry
VOID_NUMBERS_MAX: Final = 50_000  # in one envelope, 250 KB; the rest travels in the next


class Counters(msgspec.Struct, kw_only=True):
    """Counts what was sent so far, by lane, for the metrics."""

    deliveries: dict[str, int] = {}
    envelopes: dict[str, int] = {}
    failures: dict[str, int] = {}  # envelopes that a lane did not take
    refused: int = 0  # deliveries that no lane took


class _Item(msgspec.Struct, frozen=True):
    account: str
    received_at: datetime
    key: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    events: tuple[PaymentEvent, ...]
    fetches: tuple[Fetch, ...]
    query: str
    unknown: tuple[tuple[str, str], ...]
    trace: str


class Intake:
    """Accepts the deliveries of one receiver process, `run`.  Its owner closes the senders."""

    def __init__(
        self,
        *,
        run: UUID,
        broker: Sender | None,
        spool: Sender,
        shards: int = 1,
        keys: EnvelopeKeys | None = None,
        monotonic_s: Callable[[], float] = clock.monotonic_s,
    ) -> None:
        self.counters = Counters()
        self._run = run
        self._broker = broker
        self._spool = spool
        self._shards = shards
        self._keys = keys or EnvelopeKeys()
        self._monotonic_s = monotonic_s
        self._breaker = BrokerBreaker(self._probe)
        self._groups = [
            GroupCommit(
                partial(self._send, shard), items_max=ENVELOPE_DELIVERIES_MAX, bytes_max=ENVELOPE_BODY_BYTES_MAX
            )
            for shard in range(shards)
        ]
        self._last_number = 0
        self._void: deque[int] = deque()
        self._spool_breaker = Breaker(failures_max=1, cooldown=SPOOL)
        self._outage = intake_outage()
        self._measure = msgspec.msgpack.Encoder().encode

    @property
    def breaker_closed(self) -> bool:
        """Returns True while RabbitMQ is in use; always True where there is none."""
        return self._breaker.is_closed

    async def accept(self, **delivery: Any) -> str:
        """Makes a delivery durable and returns the lane's name; raises LaneUnavailable when no lane took it.

        Raises ValueError or OverflowError for events that no message can carry: their gateway should not have made
        them.
        """
        try:
            return await self.begin(**delivery)
        except LaneUnavailable:
            self.counters.refused += 1
            raise

    def lane_of(self, begun: asyncio.Future[str]) -> str:
        """Returns the lane of a delivery that `begin` began and that is done; raises LaneUnavailable as `accept`
        does."""
        try:
            return begun.result()
        except LaneUnavailable:
            self.counters.refused += 1
            raise

    def begin(
        self,
        *,
        account: str,
        received_at: datetime,
        key: str,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        events: Sequence[PaymentEvent],
        fetches: Sequence[Fetch] = (),
        query: str = "",
        unknown: Sequence[tuple[str, str]] = (),
        trace: str = "",
    ) -> asyncio.Future[str]:
        """Begins what `accept` waits for.  Raises what it raises, as far as that is known at once."""
        query = query if query.isascii() else _replaced(query)
        item = _Item(
            account,
            received_at,
            key,
            _carriable(headers),
            body,
            tuple(events),
            tuple(fetches),
            query,
            tuple(unknown),
            trace,
        )
        # The small parts are packed twice, so that a bad delivery fails alone and not with its envelope.
        small = (item.account, item.key, item.headers, item.events, item.fetches, query, item.unknown)
        size_bytes = len(body) + len(self._measure(small))
        self._refuse_if_hopeless()
        return self._groups[_shard_of(item.events, self._shards)].begin(item, size_bytes=size_bytes)

    async def ready(self) -> bool:
        """Returns whether a delivery could be made durable now, as far as a cheap check can tell."""
        try:
            if self._broker is not None and self._breaker.is_closed:
                await self._broker.check()
                return True
        except LaneUnavailable:
            log.info("broker_not_ready")
        try:
            await self._spool.check()
        except LaneUnavailable:
            return False
        return True

    async def close(self) -> None:
        """Finishes what was accepted, within a time limit, and takes nothing new.  Safe to repeat."""
        await asyncio.gather(*(group.drain(within_s=DRAIN_S) for group in self._groups))
        await self._breaker.close()
        while self._void:
            try:
                await self._send(0, [])
            except LaneUnavailable:
                log.warning("void_numbers_lost", run=str(self._run), numbers=len(self._void))
                return

    async def _send(self, shard: int, items: list[_Item]) -> str:
        """Puts one envelope on a lane.  If no lane takes it, its numbers are void, and the next envelope says so."""
        self._refuse_if_hopeless()
        deliveries = tuple(self._numbered(item) for item in items)
        void = tuple(self._void.popleft() for _ in range(min(len(self._void), VOID_NUMBERS_MAX)))
        body = self._keys.seal(Envelope(run=self._run, deliveries=deliveries, void=void))
        try:
            lane = await self._put(body, shard)
        except LaneUnavailable:
            self._void.extend(void)
            self._void.extend(delivery.number for delivery in deliveries)
            raise
        _add(self.counters.envelopes, lane, 1)
        _add(self.counters.deliveries, lane, len(items))
        return lane

    async def _put(self, body: bytes, shard: int) -> str:
        if self._broker is not None and self._breaker.is_closed:
            try:
                await self._broker.put(body, shard=shard)
            except LaneUnavailable as error:
                _add(self.counters.failures, self._broker.name, 1)
                self._breaker.open(str(error))
            else:
                self._outage.recovered(self)
                return self._broker.name
        try:
            await self._spool.put(body, shard=shard)
        except LaneUnavailable as error:
            _add(self.counters.failures, self._spool.name, 1)
            self._spool_breaker.failed(self._monotonic_s())
            self._outage.failed(self, error)
            raise
        self._spool_breaker.succeeded()
        self._outage.recovered(self)
        return self._spool.name

    async def _probe(self) -> None:
        """Publishes an empty envelope to every shard: only a confirm shows that a delivery would be confirmed."""
        assert self._broker is not None
        for shard in range(self._shards):
            await self._broker.put(self._keys.seal(Envelope(run=self._run, deliveries=())), shard=shard)

    def _refuse_if_hopeless(self) -> None:
        """Raises LaneUnavailable where neither lane worked a moment ago: no number is wasted on another attempt."""
        to_broker = self._broker is not None and self._breaker.is_closed
        if not to_broker and self._spool_breaker.is_open(self._monotonic_s()):
            raise LaneUnavailable("no lane took a delivery a moment ago")

    def _numbered(self, item: _Item) -> Delivery:
        self._last_number += 1
        return Delivery(
            run=self._run,
            number=self._last_number,
            account=item.account,
            received_at=item.received_at,
            key=item.key,
            headers=item.headers,
            body=item.body,
            events=item.events,
            fetches=item.fetches,
            query=item.query,
            unknown=item.unknown,
            trace=item.trace,
        )


def _carriable(headers: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Makes headers fit for UTF-8: aiohttp passes other bytes on as lone surrogates."""
    for name, value in headers:
        if not (name.isascii() and value.isascii()):
            return tuple((_replaced(name), _replaced(value)) for name, value in headers)
    return tuple(headers)


def _replaced(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _shard_of(events: Sequence[PaymentEvent], shards: int) -> int:
    """Chooses the shard by order reference, so that workers seldom meet.  Correctness never depends on it."""
    if shards == 1 or not events:
        return 0
    return crc32((events[0].order_ref or events[0].payment_ref or "").encode()) % shards


def _add(counts: dict[str, int], name: str, count: int) -> None:
    counts[name] = counts.get(name, 0) + count
