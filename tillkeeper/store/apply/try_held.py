"""Says what would happen if a paused account went on: what is held is applied, and all of it rolled back.

What is held is applied some deliveries at a time, as workers would; where that fails, one by one, and the one that
cannot be applied counts as parked.  It reads no more than the oldest so many.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import asyncpg
import msgspec

from tillkeeper.domain.delivery import Delivery, unproven
from tillkeeper.domain.policy import Policy
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.postgres.sqlstates import is_passing
from tillkeeper.store.postgres.transactions import repeat_on_conflict

AT_ONCE: Final = 100  # a failure repeats so many, one by one
TRIED_MAX: Final = 2_000  # some seconds, in which their orders are locked
LARGEST: Final = 10


class OrderChange(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it is, and as it would be; sums in minor units."""

    order_ref: str
    currency: str
    amount: int
    status_before: str
    status_after: str
    captured_before: int
    captured_after: int
    refunded_before: int
    refunded_after: int

    @property
    def moved(self) -> int:
        """Returns how much of its money would move."""
        return abs(self.captured_after - self.captured_before) + abs(self.refunded_after - self.refunded_before)


class TrialSums(msgspec.Struct, frozen=True, kw_only=True):
    """What would come in and go back in one currency, in minor units."""

    currency: str
    captured: int
    refunded: int


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What would happen."""

    tried: int  # deliveries, the oldest
    more: bool  # whether more are held
    outcomes: dict[str, int]  # of their events
    unreadable: int
    would_be_parked: int  # deliveries
    statuses: dict[str, int]  # "before -> after", by the number of orders
    sums: tuple[TrialSums, ...]
    largest: tuple[OrderChange, ...]
    notices: dict[str, int]  # by audience


class _Undone(Exception):
    """Rolls the trial back."""


async def try_held(pool: asyncpg.Pool, pause_id: int, *, limit: int, policy: Policy, now: datetime) -> Trial:
    """Applies the oldest of what a pause holds, and rolls it back."""
    found: list[Trial] = []

    async def work(conn: Conn) -> None:
        found.append(await _try(conn, pause_id, limit, policy, now))
        raise _Undone

    try:
        await repeat_on_conflict(pool, work)
    except _Undone:
        return found[-1]
    raise AssertionError("a trial is always rolled back")


HELD = "SELECT body FROM held_deliveries WHERE pause_id = $1 ORDER BY position LIMIT $2"


async def _held_messages(conn: Conn, pause_id: int, *, limit: int) -> list[bytes]:
    """Reads the oldest messages that a pause holds."""
    return [row["body"] for row in await conn.fetch(HELD, pause_id, limit)]


async def _try(conn: Conn, pause_id: int, limit: int, policy: Policy, now: datetime) -> Trial:
    messages = await _held_messages(conn, pause_id, limit=limit + 1)
    deliveries, unreadable = _read(messages[:limit])
    written_before = await conn.fetchval(LAST_NOTICE)
    savepoint = conn.transaction()
    await savepoint.start()
    outcomes, failed = await _apply(conn, deliveries, policy, now)
    touched = await _orders_of(conn, deliveries)
    after = {row["id"]: row for row in await conn.fetch(ORDERS, touched)}
    notices = await conn.fetch(NEW_NOTICES, written_before, touched)
    await savepoint.rollback()
    before = {row["id"]: row for row in await conn.fetch(ORDERS, touched)}
    changes = [_change(before[order_id], after[order_id]) for order_id in sorted(before)]
    return Trial(
        tried=len(messages[:limit]),
        more=len(messages) > limit,
        outcomes=dict(outcomes),
        unreadable=unreadable,
        would_be_parked=failed,
        statuses=dict(Counter(f"{each.status_before} -> {each.status_after}" for each in changes).most_common()),
        sums=_sums(changes),
        largest=tuple(sorted(changes, key=lambda each: (-each.moved, each.order_ref))[:LARGEST]),
        notices={row["audience"]: row["count"] for row in notices},
    )


def _read(messages: Sequence[bytes]) -> tuple[list[Delivery], int]:
    deliveries, unreadable = list[Delivery](), 0
    for message in messages:
        try:
            deliveries += unproven(message).deliveries
        except msgspec.MsgspecError:
            unreadable += 1
    return deliveries, unreadable


async def _apply(conn: Conn, deliveries: list[Delivery], policy: Policy, now: datetime) -> tuple[Counter[str], int]:
    """Applies them; returns the outcomes of events, and how many deliveries could not be applied."""
    outcomes, failed = Counter[str](), 0
    todo = [deliveries[first : first + AT_ONCE] for first in range(0, len(deliveries), AT_ONCE)]
    while todo:
        some = todo.pop(0)
        try:
            async with conn.transaction():
                tally = await apply_deliveries(conn, some, policy=policy, now=now)
        except Exception as error:
            if is_passing(error):
                raise
            failed += len(some) == 1
            todo[:0] = [[one] for one in some] if len(some) > 1 else []
        else:
            outcomes += tally.outcomes
            outcomes["duplicate"] += tally.duplicates
    return +outcomes, failed


LAST_NOTICE = "SELECT coalesce(max(id), 0) FROM outbox WHERE due_at IS NOT NULL"
NEW_NOTICES = """
SELECT audience, count(*) AS count FROM outbox
WHERE due_at IS NOT NULL AND id > $1 AND order_id = ANY($2::bigint[]) GROUP BY audience ORDER BY audience
"""
TOUCHED = """
SELECT DISTINCT order_id FROM inbox
WHERE (account, event_id) IN (SELECT * FROM unnest($1::text[], $2::text[])) AND order_id IS NOT NULL
"""
ORDERS = """
SELECT id, order_ref, currency, amount_minor, status, captured_minor, refunded_minor
FROM orders WHERE id = ANY($1::bigint[]) ORDER BY id
"""


async def _orders_of(conn: Conn, deliveries: Sequence[Delivery]) -> list[int]:
    events = sorted({(event.account, event.event_id) for delivery in deliveries for event in delivery.events})
    rows = await conn.fetch(TOUCHED, [account for account, _ in events], [event_id for _, event_id in events])
    return [row["order_id"] for row in rows]


def _change(before: asyncpg.Record, after: asyncpg.Record) -> OrderChange:
    return OrderChange(
        order_ref=before["order_ref"],
        currency=before["currency"],
        amount=before["amount_minor"],
        status_before=before["status"],
        status_after=after["status"],
        captured_before=before["captured_minor"],
        captured_after=after["captured_minor"],
        refunded_before=before["refunded_minor"],
        refunded_after=after["refunded_minor"],
    )


def _sums(changes: Sequence[OrderChange]) -> tuple[TrialSums, ...]:
    captured, refunded = Counter[str](), Counter[str]()
    for each in changes:
        captured[each.currency] += each.captured_after - each.captured_before
        refunded[each.currency] += each.refunded_after - each.refunded_before
    return tuple(
        TrialSums(currency=currency, captured=captured[currency], refunded=refunded[currency])
        for currency in sorted(captured)
    )
