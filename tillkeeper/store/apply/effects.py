"""Reads what the caller's transaction did with some events, for a trial that is rolled back."""

from collections.abc import Collection, Sequence

import asyncpg
import msgspec

from tillkeeper.domain.delivery import unproven
from tillkeeper.store.apply.batch import Tally
from tillkeeper.store.postgres.pool import Conn

EventKey = tuple[str, str]  # (account, event id)


class EventEffect(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one event, and of its order."""

    kind: str
    outcome: str
    order_id: int | None
    order_ref: str | None
    amount: int | None
    currency: str | None
    status_before: str | None
    status_after: str | None


class BatchEffects(msgspec.Struct, frozen=True, kw_only=True):
    """What a transaction did: its events, the cases that it opened, and its notices by audience."""

    events: tuple[EventEffect, ...]
    cases: tuple[str, ...]
    notices: dict[str, int]
    duplicates: int  # known by now: nothing is applied


PARKED_BODY = "SELECT body FROM parked WHERE id = $1"


async def events_of(conn: Conn, parked_id: int) -> list[EventKey]:
    """Returns the events of a parked message, whoever sent it."""
    body = await conn.fetchval(PARKED_BODY, parked_id)
    try:
        deliveries = unproven(body).deliveries if body else ()
    except msgspec.MsgspecError:
        return []
    return [(event.account, event.event_id) for delivery in deliveries for event in delivery.events]


LAST_NOTICE = "SELECT coalesce(max(id), 0) FROM outbox WHERE due_at IS NOT NULL"


async def last_notice(conn: Conn) -> int:
    """Returns the number of the last notice that is still to be sent: those after it are new."""
    number: int = await conn.fetchval(LAST_NOTICE)
    return number


WHAT_BECAME = """
SELECT x.kind, x.outcome, x.order_id, o.order_ref, x.amount_minor AS amount, x.currency, NULL AS status_before,
       o.status AS status_after
FROM inbox x LEFT JOIN orders o ON o.id = x.order_id
WHERE (x.account, x.event_id) IN (SELECT * FROM unnest($1::text[], $2::text[])) ORDER BY x.seq
"""
# Notices of others that committed meanwhile are of other orders; those about a case may have none.
NEW_NOTICES = """
SELECT audience, count(*) AS count FROM outbox
WHERE due_at IS NOT NULL AND id > $1 AND order_id = ANY($2::bigint[]) GROUP BY audience ORDER BY audience
"""


async def read_effects(conn: Conn, events: Sequence[EventKey], tally: Tally, *, written_before: int) -> BatchEffects:
    """Reads what became of these events, in the transaction that applied them."""
    columns = [account for account, _ in events], [event_id for _, event_id in events]
    became = [EventEffect(**dict(row)) for row in await conn.fetch(WHAT_BECAME, *columns)]
    notices = await conn.fetch(NEW_NOTICES, written_before, _orders_of(became))
    return BatchEffects(
        events=tuple(became),
        cases=tuple(tally.cases),
        notices={row["audience"]: row["count"] for row in notices},
        duplicates=tally.duplicates,
    )


STATUSES = "SELECT id, status FROM orders WHERE id = ANY($1::bigint[])"


async def with_statuses_before(pool: asyncpg.Pool, done: BatchEffects) -> BatchEffects:
    """Adds the statuses that the orders still have, once the trial is rolled back."""
    async with pool.acquire() as conn:
        before = {row["id"]: row["status"] for row in await conn.fetch(STATUSES, _orders_of(done.events))}
    events = [msgspec.structs.replace(event, status_before=before.get(event.order_id or 0)) for event in done.events]
    return msgspec.structs.replace(done, events=tuple(events))


def _orders_of(events: Collection[EventEffect]) -> list[int]:
    return sorted({event.order_id for event in events if event.order_id is not None})
