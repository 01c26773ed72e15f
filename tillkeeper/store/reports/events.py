"""Reads recorded events in the order of their numbers: the latest ones, and those that are still to come.

Numbers are given out before transactions commit, so that a lower one may appear after a higher one.  Whoever follows
events must not pass over it:

    floor ......... tail         up to `floor` nothing can appear any more; up to `tail` everything visible was returned
          mark, writers          `writers` are the transactions that were writing when `mark` was visible

Every number up to `mark` was given out by then, to a transaction that had ended or is one of `writers`, for it locks
the table before it takes a number, and until it ends.  Once all of them have ended, whatever they committed is visible:
what lies between `floor` and `mark` is read once more, and `mark` is the new `floor`.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Final

import asyncpg
import msgspec

from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.reports.order import ORDER_ID

PAGE_ROWS: Final = 500
FIRST_PAGES_ROWS: Final = (1_000, 10_000, 100_000)  # looking back for what a filter lets through, further each time
LATE_ROWS: Final = 10_000  # of the events before the start, those among which one may still appear
AHEAD_ROWS_MAX: Final = 200_000  # beyond the floor: a transaction that never ends must not fill the memory
WAITING_MAX: Final = 1_000  # events without an order of which it is told when they get one


class RecordedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event with its outcome.  Amounts are in minor units."""

    seq: int
    recorded_at: datetime
    occurred_at: datetime
    account: str
    event_id: str
    kind: str
    evidence: str
    outcome: str
    reason: str | None
    order_ref: str | None
    payment_ref: str | None
    refund_ref: str | None
    dispute_ref: str | None
    amount: int | None
    total: int | None
    currency: str | None
    failure: str | None
    status_after: str | None


class EventFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which events are asked for; without a value, all.  A kind may be named by its first word alone."""

    account: str | None = None
    order_ref: str | None = None
    kinds: Collection[str] = ()
    outcomes: Collection[str] = ()
    since: datetime | None = None

    def admits(self, event: RecordedEvent) -> bool:
        """Returns True for an event that is asked for."""
        return (
            self.account in (None, event.account)
            and self.order_ref in (None, event.order_ref)
            and (not self.kinds or event.kind in self.kinds or event.kind.partition(".")[0] in self.kinds)
            and (not self.outcomes or event.outcome in self.outcomes)
            and (self.since is None or event.recorded_at >= self.since)
        )


class Latest(msgspec.Struct, frozen=True, kw_only=True):
    """The latest events that a filter admits, the oldest first."""

    events: list[RecordedEvent]
    more: bool  # whether there may be more before them
    is_order_known: bool = True  # whether the order that the filter names is registered


SELECT_EVENTS = """
SELECT i.seq, i.recorded_at, i.occurred_at, i.account, i.event_id, i.kind, i.evidence, i.outcome, i.reason,
       coalesce(o.order_ref, i.order_ref) AS order_ref, i.payment_ref, i.refund_ref, i.dispute_ref,
       i.amount_minor AS amount, i.total_minor AS total, i.currency, i.failure, i.status_after
FROM inbox AS i LEFT JOIN orders AS o ON o.id = i.order_id
"""
EVENTS_BEFORE = f"{SELECT_EVENTS} WHERE i.seq < $1 ORDER BY i.seq DESC LIMIT $2"
EVENTS_OF_ORDER = f"{SELECT_EVENTS} WHERE i.order_id = $1 ORDER BY i.seq DESC LIMIT $2"
EVENTS_WAITING_FOR = f"{SELECT_EVENTS} WHERE i.order_ref = $1 AND i.outcome = 'waiting' ORDER BY i.seq DESC LIMIT $2"
BEYOND_ALL: Final = 2**62


async def latest_events(conn: Conn, sought: EventFilter, *, limit: int) -> Latest:
    """Reads the latest events that the filter admits, at most `limit`, among the latest 100,000 or of one order."""
    if sought.order_ref is not None:
        return await _latest_of_order(conn, sought, sought.order_ref, limit)
    found: list[RecordedEvent] = []
    before = BEYOND_ALL
    for rows_max in FIRST_PAGES_ROWS:
        page = await _events(conn, EVENTS_BEFORE, before, rows_max)
        found += filter(sought.admits, page)
        is_whole = len(page) < rows_max or (sought.since is not None and page[-1].recorded_at < sought.since)
        if is_whole or len(found) > limit:
            return Latest(events=found[:limit][::-1], more=len(found) > limit)
        before = page[-1].seq
    return Latest(events=found[::-1], more=True)


async def _latest_of_order(conn: Conn, sought: EventFilter, order_ref: str, limit: int) -> Latest:
    rows_max = FIRST_PAGES_ROWS[-1]
    order_id = await conn.fetchval(ORDER_ID, order_ref)
    page = await _events(conn, EVENTS_OF_ORDER, order_id, rows_max)
    page += await _events(conn, EVENTS_WAITING_FOR, order_ref, rows_max)
    found = sorted(filter(sought.admits, page), key=lambda event: event.seq)
    events = found[-limit:] if limit else []
    return Latest(events=events, more=len(found) > limit, is_order_known=order_id is not None)


async def _events(conn: Conn, statement: str, *arguments: object) -> list[RecordedEvent]:
    return [RecordedEvent(**row) for row in await conn.fetch(statement, *arguments)]


EVENTS_BETWEEN = f"{SELECT_EVENTS} WHERE i.seq > $1 AND i.seq <= $2 ORDER BY i.seq LIMIT $3"
SETTLED = f"""{SELECT_EVENTS}
JOIN unnest($1::text[], $2::text[]) AS w (account, event_id) ON i.account = w.account AND i.event_id = w.event_id
WHERE i.outcome <> 'waiting' ORDER BY i.seq
"""
LATEST_SEQ = "SELECT coalesce(max(seq), 0) FROM inbox"
SEQS_AFTER = "SELECT seq FROM inbox WHERE seq > $1"
WRITERS = """
SELECT virtualtransaction FROM pg_locks
WHERE locktype = 'relation' AND relation = 'inbox'::regclass AND mode = 'RowExclusiveLock' AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class _Mark(msgspec.Struct, frozen=True, kw_only=True):
    seq: int
    writers: frozenset[str]


class EventTail:
    """Returns each event once, when it becomes visible, and once more when one that waited gets its order."""

    def __init__(self, *, floor: int, returned: Collection[int]) -> None:
        self._floor = floor
        self._returned = set(returned)  # numbers beyond the floor
        self._tail = max(returned, default=floor)
        self._mark: _Mark | None = None
        self._waiting: dict[tuple[str, str], None] = {}

    @classmethod
    async def from_now(cls, conn: Conn) -> "EventTail":
        """Begins behind everything that is visible now."""
        floor = max(0, await conn.fetchval(LATEST_SEQ) - LATE_ROWS)
        return cls(floor=floor, returned=[row["seq"] for row in await conn.fetch(SEQS_AFTER, floor)])

    async def next_events(self, pool: asyncpg.Pool) -> list[RecordedEvent]:
        """Returns what became visible since the last call, a page at most of what is new."""
        async with pool.acquire() as conn:
            settled = await self._settled(conn)
            late = await self._late(conn)
            new = await self._new(conn)
        self.watch((*late, *new))
        return [*settled, *late, *new]

    def watch(self, returned: Iterable[RecordedEvent]) -> None:
        """Remembers which of these events wait for their order."""
        for event in returned:
            if event.outcome == "waiting" and len(self._waiting) < WAITING_MAX:
                self._waiting[event.account, event.event_id] = None

    async def _settled(self, conn: Conn) -> list[RecordedEvent]:
        if not self._waiting:
            return []
        accounts, event_ids = zip(*self._waiting, strict=True)
        settled = await _events(conn, SETTLED, accounts, event_ids)
        for event in settled:
            del self._waiting[event.account, event.event_id]
        return settled

    async def _late(self, conn: Conn) -> list[RecordedEvent]:
        """Moves the floor up where nothing can appear below any more; returns what did since it was passed."""
        writers = frozenset([row["virtualtransaction"] for row in await conn.fetch(WRITERS)])
        if self._mark is None:
            if self._tail > self._floor:
                self._mark = _Mark(seq=self._tail, writers=writers)
            return []
        if self._mark.writers & writers:
            return []
        late = [event for event in await self._between(conn, self._floor, self._mark.seq) if self._is_new(event)]
        self._floor, self._mark = self._mark.seq, None
        self._returned = {seq for seq in self._returned if seq > self._floor}
        return late

    async def _new(self, conn: Conn) -> list[RecordedEvent]:
        if len(self._returned) >= AHEAD_ROWS_MAX:
            return []
        new = await _events(conn, EVENTS_BETWEEN, self._tail, BEYOND_ALL, PAGE_ROWS)
        if new:
            self._tail = new[-1].seq
            self._returned.update([event.seq for event in new])
        return new

    async def _between(self, conn: Conn, after: int, until: int) -> list[RecordedEvent]:
        found: list[RecordedEvent] = []
        while page := await _events(conn, EVENTS_BETWEEN, after, until, PAGE_ROWS):
            found += page
            after = page[-1].seq
        return found

    def _is_new(self, event: RecordedEvent) -> bool:
        return event.seq not in self._returned
