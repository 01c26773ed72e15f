"""Reads recorded events in the order of their numbers: the latest ones, and those that are still to come.

Numbers are given out before transactions commit, so that a lower one may appear after a higher one.  Whoever follows
events must not pass over it:

    floor ......... tail         up to `floor` nothing can appear any more; up to `tail` everything visible was returned
          mark, writers          `writers` are the transactions that were writing when `mark` was visible

Every number up to `mark` was given out by then, to a transaction that had ended or is one of `writers`, for it locks
the table before it takes a number, and until it ends.  Once all of them have ended, whatever they committed is visible:
what lies between `floor` and `mark` is read once more, and `mark` is the new `floor`.

What is read is bounded by the time of recording as well, for events are indexed by that: a number that is given out now
is recorded now, by the clock of its worker.
"""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

import asyncpg
import msgspec

from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.reports.order import ORDER_ID

PAGE_ROWS: Final = 500
LATEST_ROWS_MAX: Final = 50_000  # among which a filter looks for the latest
LOOK_BACK: Final = (timedelta(hours=1), timedelta(days=1), timedelta(days=30))  # then further: each is ten times dearer
BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)
# How far the clocks of workers may differ, with the time that a transaction takes from its clock to its number.
CLOCKS_DIFFER: Final = timedelta(minutes=15)
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
EVENTS_SINCE = f"{SELECT_EVENTS} WHERE i.recorded_at >= $1 ORDER BY i.seq DESC LIMIT $2"
EVENTS_OF_ORDER = f"{SELECT_EVENTS} WHERE i.order_id = $1 ORDER BY i.seq DESC LIMIT $2"
EVENTS_WAITING_FOR = f"{SELECT_EVENTS} WHERE i.order_ref = $1 AND i.outcome = 'waiting' ORDER BY i.seq DESC LIMIT $2"
BEYOND_ALL: Final = 2**62


async def latest_events(conn: Conn, sought: EventFilter, *, limit: int, now: datetime) -> Latest:
    """Reads the latest events that the filter admits, at most `limit`, among the latest 50,000 or of one order."""
    if sought.order_ref is not None:
        return await _latest_of_order(conn, sought, sought.order_ref, limit)
    first = sought.since or BEGINNING
    for since in (*(now - span for span in LOOK_BACK), BEGINNING):
        page = await _events(conn, EVENTS_SINCE, max(since, first), LATEST_ROWS_MAX)
        found = list(filter(sought.admits, page))
        if len(found) > limit or since <= first or len(page) == LATEST_ROWS_MAX:
            break
    more = len(found) > limit or len(page) == LATEST_ROWS_MAX
    return Latest(events=found[:limit][::-1], more=more)


async def _latest_of_order(conn: Conn, sought: EventFilter, order_ref: str, limit: int) -> Latest:
    rows_max = LATEST_ROWS_MAX
    order_id = await conn.fetchval(ORDER_ID, order_ref)
    page = await _events(conn, EVENTS_OF_ORDER, order_id, rows_max)
    page += await _events(conn, EVENTS_WAITING_FOR, order_ref, rows_max)
    found = sorted(filter(sought.admits, page), key=lambda event: event.seq)
    events = found[-limit:] if limit else []
    return Latest(events=events, more=len(found) > limit, is_order_known=order_id is not None)


async def _events(conn: Conn, statement: str, *arguments: object) -> list[RecordedEvent]:
    return [RecordedEvent(**row) for row in await conn.fetch(statement, *arguments)]


EVENTS_BETWEEN = f"{SELECT_EVENTS} WHERE i.seq > $1 AND i.seq <= $2 AND i.recorded_at >= $3 ORDER BY i.seq LIMIT $4"
SETTLED = f"""{SELECT_EVENTS}
JOIN unnest($1::text[], $2::text[]) AS w (account, event_id) ON i.account = w.account AND i.event_id = w.event_id
WHERE i.outcome <> 'waiting' ORDER BY i.seq
"""
NEWEST_SINCE = "SELECT max(recorded_at) FROM inbox WHERE recorded_at >= $1"
SEQS_SINCE = "SELECT seq FROM inbox WHERE recorded_at >= $1 ORDER BY seq DESC LIMIT $2"
WRITERS = """
SELECT virtualtransaction FROM pg_locks
WHERE locktype = 'relation' AND relation = 'inbox'::regclass AND mode = 'RowExclusiveLock' AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class _Mark(msgspec.Struct, frozen=True, kw_only=True):
    seq: int
    at: datetime  # when the newest of what was visible was recorded
    writers: frozenset[str]


class EventTail:
    """Returns each event once, when it becomes visible, and once more when one that waited gets its order."""

    def __init__(self, *, returned: Collection[int], newest_at: datetime) -> None:
        self._tail = max(returned, default=0)
        self._floor = max(0, self._tail - LATE_ROWS)
        self._returned = set(returned)  # numbers beyond the floor
        self._floor_at = self._tail_at = newest_at
        self._mark: _Mark | None = None
        self._waiting: dict[tuple[str, str], None] = {}

    @classmethod
    async def from_now(cls, conn: Conn, now: datetime) -> "EventTail":
        """Begins behind everything that is visible now."""
        newest_at = None
        for since in (*(now - span for span in LOOK_BACK), BEGINNING):
            newest_at = newest_at or await conn.fetchval(NEWEST_SINCE, since)
        newest_at = newest_at or now
        rows = await conn.fetch(SEQS_SINCE, newest_at - CLOCKS_DIFFER, LATE_ROWS)
        return cls(returned=[row["seq"] for row in rows], newest_at=newest_at)

    async def next_events(self, pool: asyncpg.Pool, now: datetime) -> list[RecordedEvent]:
        """Returns what became visible since the last call, a page at most of what is new."""
        self._tail_at = min(self._tail_at, now)  # a worker whose clock is ahead hides no other's events
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
        self._returned.update([event.seq for event in settled if event.seq > self._floor])
        for event in settled:
            del self._waiting[event.account, event.event_id]
        return settled

    async def _late(self, conn: Conn) -> list[RecordedEvent]:
        """Moves the floor up where nothing can appear below any more; returns what did since it was passed."""
        writers = frozenset([row["virtualtransaction"] for row in await conn.fetch(WRITERS)])
        if self._mark is None:
            if self._tail > self._floor:
                self._mark = _Mark(seq=self._tail, at=self._tail_at, writers=writers)
            return []
        if self._mark.writers & writers:
            return []
        seen = await self._between(conn, self._floor, self._mark.seq)
        late = [event for event in seen if event.seq not in self._returned]
        self._floor, self._floor_at, self._mark = self._mark.seq, self._mark.at, None
        self._returned = {seq for seq in self._returned if seq > self._floor}
        return late

    async def _new(self, conn: Conn) -> list[RecordedEvent]:
        if len(self._returned) >= AHEAD_ROWS_MAX:
            return []
        since = self._tail_at - CLOCKS_DIFFER
        new = await _events(conn, EVENTS_BETWEEN, self._tail, BEYOND_ALL, since, PAGE_ROWS)
        if new:
            self._tail = new[-1].seq
            self._tail_at = max(self._tail_at, *(event.recorded_at for event in new))
            self._returned.update([event.seq for event in new])
        return new

    async def _between(self, conn: Conn, after: int, until: int) -> list[RecordedEvent]:
        found: list[RecordedEvent] = []
        since = self._floor_at - CLOCKS_DIFFER
        while page := await _events(conn, EVENTS_BETWEEN, after, until, since, PAGE_ROWS):
            found += page
            after = page[-1].seq
        return found
