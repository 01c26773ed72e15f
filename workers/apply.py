"""Takes envelopes off one lane, applies their events to orders, and acknowledges once the transaction is committed.

A failure is handled by its cause (store/postgres/sqlstates.py).  An outage of the database: nothing is parked, and the
same work is retried until the database is back or the process stops.  Bad data: the batch is split until the one bad
event is found, and that one is parked.  Contention, or a batch that is too large: it is split likewise, and a message
that still cannot be applied is set aside in the spool for a while; nothing is parked.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Final
from uuid import uuid4

import asyncpg
import msgspec
import structlog

from tillkeeper import clock
from tillkeeper.domain.batch import DeliveryKey
from tillkeeper.domain.delivery import Delivery, Envelope, EnvelopeKeys, NotAuthentic
from tillkeeper.domain.guard import RULES
from tillkeeper.domain.policy import Policy
from tillkeeper.lanes.base import LaneMessage, LaneUnavailable, Receiver
from tillkeeper.lanes.tracing import processing
from tillkeeper.outage import Outage, lane_outage
from tillkeeper.store.apply.batch import Tally
from tillkeeper.store.deliveries.parked import NOT_AUTHENTIC, park_unreadable
from tillkeeper.store.guard.checking import AccountsPaused
from tillkeeper.store.jobs.spool import set_aside
from tillkeeper.store.postgres.sqlstates import DATABASE_ERRORS, DatabaseFault, fault_of, is_contention
from tillkeeper.store.postgres.transactions import LOCK_WAIT_S, answers, repeat_on_conflict
from tillkeeper.telemetry import APPLIED_EVENTS, APPLY_BATCH_EVENTS, FETCHES, HELD_DELIVERIES, PARKED_EVENTS
from tillkeeper.workers.apply_or_park import apply_or_park
from tillkeeper.workers.database_retry import DatabaseRetry, Stopped
from tillkeeper.workers.hold_back import HoldBack
from tillkeeper.workers.locked_orders import REST_S, LockedOrders
from tillkeeper.workers.pause import log_paused

log = structlog.get_logger()

MESSAGES_MAX: Final = 16  # at once from a lane; with more, two loops would work far apart on one order's events
TAKE_WAIT_S: Final = 1.0
UNAVAILABLE_WAIT_S: Final = 0.5  # a lane that is away refuses at once: asked again and again it would cost a core
# After a batch that shows load but was not full, what comes in so long goes together: a transaction costs as much CPU
# as some thirty events.  A single event never waits for others.
GATHER_S: Final = 0.05
LOAD_DELIVERIES: Final = 10
SPLIT_LOCK_WAIT_S: Final = 0.5  # the whole batch has waited already, and each half waits again
SUSPECT_ATTEMPTS: Final = 3  # two may be restarts; three are a pattern


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """A message and the envelope in it."""

    taken: LaneMessage
    envelope: Envelope


class ApplyLoop:
    """Applies one lane's messages, a batch at a time.  Any number of loops and processes may share a lane."""

    def __init__(
        self,
        *,
        lane: Receiver,
        pool: asyncpg.Pool,
        retry: DatabaseRetry,
        policy: Callable[[], Policy],
        now: Callable[[], datetime],
        batch_events: int,
        keys: EnvelopeKeys | None = None,
        hold_back: HoldBack | None = None,
        note: Callable[[Sequence[Delivery]], None] = lambda _: None,
        outage: Outage | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Calls `note` with what was applied, once it is committed."""
        self._lane = lane
        self._pool = pool
        self._retry = retry
        self._policy = policy
        self._now = now
        self._batch_events = batch_events
        self._keys = keys or EnvelopeKeys()
        self._hold_back = hold_back or HoldBack(RULES, self._keys, now=now)
        self._note = note
        self._outage = outage or lane_outage(lane.name)
        self._sleep = sleep
        self._lane_is_down = False
        self._is_to_gather = False
        self._behind_since: datetime | None = None
        self._held = LockedOrders(clock.monotonic_s)
        self._together = batch_events  # deliveries in one transaction; fewer after a batch that was too large

    @property
    def lane_name(self) -> str:
        """Returns the name of the lane that it takes from."""
        return self._lane.name

    @property
    def reaches_lane(self) -> bool:
        """Returns True if the last take reached the lane."""
        return not self._lane_is_down

    @property
    def behind_since(self) -> datetime | None:
        """Returns when the oldest delivery came that is in hand, or was applied last; None once the lane was empty."""
        return self._behind_since

    async def run_once(self) -> int:
        """Applies what the lane has, waiting a moment for it; returns the number of messages."""
        if self._is_to_gather:
            await self._sleep(GATHER_S)
        taken = await self._take()
        try:
            opened = await self._open(taken)
            self._is_to_gather = LOAD_DELIVERIES <= _deliveries_in(opened) < self._batch_events
            for batch in batches(opened, self._batch_events):
                envelopes = [message.envelope for message in batch]
                with processing(self._lane.name, envelopes):
                    contended = await self._apply(envelopes)
                if contended:
                    await self._set_aside(
                        [message.taken for message in batch if contended & _keys_of(message.envelope.deliveries)]
                    )
                await self._lane.acknowledge([message.taken for message in batch])
        except LaneUnavailable as error:  # applied, but not acknowledged: it comes again, as a duplicate
            log.warning("not_acknowledged", lane=self._lane.name, error=str(error))
            await self._lane.release()
        except Stopped:
            log.info("stopped_while_database_unavailable", lane=self._lane.name)
            await self._lane.release()
            return 0
        except BaseException:
            await self._lane.release()
            raise
        return len(taken)

    async def _take(self) -> list[LaneMessage]:
        try:
            taken = await self._lane.take(limit=MESSAGES_MAX, wait_s=TAKE_WAIT_S)
        except LaneUnavailable as error:
            self._outage.failed(self, error)
            self._lane_is_down = True
            await self._sleep(UNAVAILABLE_WAIT_S)
            return []
        self._outage.recovered(self)
        self._lane_is_down = False
        if not taken:
            self._behind_since = None
        return taken

    async def _open(self, taken: Sequence[LaneMessage]) -> list[Opened]:
        opened = []
        for message in taken:
            try:
                opened.append(Opened(taken=message, envelope=self._keys.open(message.body)))
            except msgspec.MsgspecError as error:
                await self._park_whole(message, "unreadable", str(error))
            except NotAuthentic as error:
                await self._park_whole(message, NOT_AUTHENTIC, str(error))
        came = [delivery.received_at for message in opened for delivery in message.envelope.deliveries]
        self._behind_since = min(came, default=self._behind_since)
        return opened

    async def _park_whole(self, message: LaneMessage, reason: str, error: str) -> None:
        async def park() -> None:
            async with self._pool.acquire() as conn:
                await park_unreadable(conn, message.body, reason=reason, error=error, now=self._now())

        await self._retry.until_available(park)
        await self._lane.acknowledge([message])
        PARKED_EVENTS.labels(reason).inc()
        log.error("message_parked", lane=self._lane.name, reason=reason, error=error)

    async def _apply(self, envelopes: Sequence[Envelope]) -> set[DeliveryKey]:
        """Applies the deliveries; returns those that are contended and could not be applied for now."""
        deliveries = [delivery for envelope in envelopes for delivery in envelope.deliveries]
        void = [(envelope.run, number) for envelope in envelopes for number in envelope.void]

        async def attempt() -> set[DeliveryKey]:
            return await self._apply_or_split(deliveries, void, lock_wait_s=LOCK_WAIT_S)

        return await self._retry.until_available(attempt) if deliveries or void else set()

    async def _apply_or_split(
        self, deliveries: Sequence[Delivery], void: Sequence[DeliveryKey], *, lock_wait_s: float
    ) -> set[DeliveryKey]:
        free = [delivery for delivery in deliveries if not self._held.contains(delivery)]
        contended = _keys_of(deliveries) - _keys_of(free) if len(free) < len(deliveries) else set()
        if not free and not void:
            return contended
        if len(free) > self._together:
            return contended | await self._halves(free, void)
        try:
            tally = await repeat_on_conflict(
                self._pool,
                lambda conn: self._hold_back.apply(conn, free, void=void, policy=self._policy()),
                lock_wait_s=lock_wait_s,
            )
        except AccountsPaused as paused:
            self._hold_back.note(paused)
            return contended | await self._apply_or_split(free, void, lock_wait_s=lock_wait_s)
        except Exception as error:
            fault = await self._fault(error)
            if fault is DatabaseFault.OUTAGE:
                raise
            log.warning("batch_split", deliveries=len(free), fault=fault, error=type(error).__name__)
            if fault is DatabaseFault.CONTENTION:
                self._together = max(1, len(free) // 2)
            return contended | await self._split(free, void, error, fault)
        self._together = min(self._batch_events, self._together + self._together // 8 + 1)
        self._count(tally, free)
        return contended

    async def _fault(self, error: Exception) -> DatabaseFault:
        """Returns the cause of an error; a statement that timed out on a server that answers was too large."""
        if isinstance(error, TimeoutError):
            return DatabaseFault.CONTENTION if await answers(self._pool) else DatabaseFault.OUTAGE
        return fault_of(error)

    async def _split(
        self, deliveries: Sequence[Delivery], void: Sequence[DeliveryKey], error: Exception, fault: DatabaseFault
    ) -> set[DeliveryKey]:
        if len(deliveries) > 1 or (deliveries and void):
            return await self._halves(deliveries, void)
        if not deliveries:
            raise error  # void numbers alone cannot be bad data
        if fault is not DatabaseFault.CONTENTION:
            try:
                tally = await apply_or_park(self._pool, deliveries[0], policy=self._policy(), now=self._now())
            except DATABASE_ERRORS as again:
                if not is_contention(again):
                    raise
            else:
                self._count(tally, deliveries)
                return set()
        self._held.add(deliveries[0])
        return _keys_of(deliveries)

    async def _halves(self, deliveries: Sequence[Delivery], void: Sequence[DeliveryKey]) -> set[DeliveryKey]:
        """Applies both halves, and the void numbers apart, for they wait for no lock."""
        if void:
            await self._apply_or_split((), void, lock_wait_s=LOCK_WAIT_S)
        half = len(deliveries) // 2
        parts = [part for part in (deliveries[:half], deliveries[half:]) if part]
        return {key for part in parts for key in await self._apply_or_split(part, (), lock_wait_s=SPLIT_LOCK_WAIT_S)}

    async def _set_aside(self, contended: Sequence[LaneMessage]) -> None:
        """Sets whole messages aside in the spool; what of them was applied drops out when they come again."""
        for message in contended:
            await self._retry.transact(
                self._pool, partial(set_aside, message_id=uuid4(), body=message.body, rest_s=REST_S)
            )
        log.warning("set_aside", lane=self._lane.name, messages=len(contended))

    def _count(self, tally: Tally, deliveries: Sequence[Delivery]) -> None:
        for outcome, events in tally.outcomes.items():
            APPLIED_EVENTS.labels(outcome).inc(events)
        APPLIED_EVENTS.labels("duplicate").inc(tally.duplicates)
        self._note(deliveries)
        HELD_DELIVERIES.inc(tally.held)
        log_paused(tally.paused)
        for account, queries in tally.dropped.items():
            FETCHES.labels(account, "dropped").inc(queries)
            log.warning("fetches_dropped", account=account, queries=queries)
        APPLY_BATCH_EVENTS.observe(sum(len(delivery.events) for delivery in deliveries))
        for kind in tally.cases:
            log.info("case_opened", kind=kind)


def _keys_of(deliveries: Iterable[Delivery]) -> set[DeliveryKey]:
    return {(delivery.run, delivery.number) for delivery in deliveries}


def _deliveries_in(opened: Iterable[Opened]) -> int:
    return sum(len(message.envelope.deliveries) for message in opened)


def batches(opened: Sequence[Opened], events_max: int) -> Iterator[list[Opened]]:
    """Yields whole messages in groups of at most `events_max` deliveries, or of one message.

    A message that was delivered often may be one that kills its worker, and those around it fail with it each time.  So
    from then on messages go one at a time, forwards and backwards by turns: the neighbours on either side get applied,
    and only the bad one reaches the delivery limit.
    """
    suspects = [message for message in opened if message.taken.attempts >= SUSPECT_ATTEMPTS]
    batch: list[Opened] = []
    size = 0
    for message in opened:
        if message.taken.attempts >= SUSPECT_ATTEMPTS:
            continue
        deliveries = len(message.envelope.deliveries)
        if batch and size + deliveries > events_max:  # a larger one would be split in two transactions
            yield batch
            batch, size = [], 0
        batch.append(message)
        size += deliveries
    if batch:
        yield batch
    if suspects and max(suspect.taken.attempts for suspect in suspects) % 2:
        suspects.reverse()
    yield from ([suspect] for suspect in suspects)
