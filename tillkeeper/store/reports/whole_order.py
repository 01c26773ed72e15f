"""Reads everything about one order from one snapshot, for a page that shows it: a part of its history at a time."""

from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from tillkeeper.domain.order.state import OrderState
from tillkeeper.store.deliveries.raw import add_raw
from tillkeeper.store.orders.loading import read_orders
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.reports.order import ORDER_ID, show_in

STEPS_MAX: Final = 200  # of the span that a part of the history covers
NOTICES_MAX: Final = 50
FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)
LAST: Final = datetime(9999, 1, 1, tzinfo=UTC)


class TimelineEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An event of the order, or a step of the sweep, or an act; of the latter two most fields are None."""

    what: str
    kind: str
    recorded_at: datetime  # our clock
    occurred_at: datetime  # the gateway's, or the ladder's
    received_at: datetime | None = None  # when its delivery came in
    outcome: str
    evidence: str | None = None
    reason: str | None = None
    status_after: str | None = None
    account: str | None = None
    event_id: str | None = None
    payment_ref: str | None = None
    capture_ref: str | None = None
    refund_ref: str | None = None
    dispute_ref: str | None = None
    amount: int | None = None
    total: int | None = None
    currency: str | None = None
    failure: str | None = None
    failure_code: str | None = None
    run: UUID | None = None
    number: int | None = None
    seq: int = 0
    by: str | None = None
    note: str | None = None


class SentNotice(msgspec.Struct, frozen=True, kw_only=True):
    """A notice to merchant, payer or ops, without what it says."""

    audience: str
    topic: str
    state: str
    created_at: datetime
    due_at: datetime | None
    finished_at: datetime | None
    attempts: int
    last_error: str | None


class WholeOrder(msgspec.Struct, frozen=True, kw_only=True):
    """The order as the contract shows it, as decisions see it, a part of its history, and its notices."""

    shown: dict[str, Any]
    state: OrderState
    timeline: list[TimelineEntry]  # the latest first
    older: int | None  # the event before which the next part ends; None where there is no more
    notices: list[SentNotice]


async def read_whole_order(
    pool: asyncpg.Pool, order_ref: str, *, limit: int, before: int | None = None
) -> WholeOrder | None:
    """Reads an order with the latest `limit` events of its history, of those before the event `before`, or None."""
    async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        order_id = await conn.fetchval(ORDER_ID, order_ref)
        shown = None if order_id is None else await show_in(conn, order_ref)
        if shown is None:
            return None
        timeline, older = await _timeline(conn, order_id, limit=limit, before=before)
        return WholeOrder(
            shown=shown,
            state=(await read_orders(conn, [order_id]))[order_id],
            timeline=timeline,
            older=older,
            notices=await _notices(conn, order_id, [case["id"] for case in shown["cases"]]),
        )


TIMELINE_EVENTS = """
SELECT 'event' AS what, i.kind, i.recorded_at,
       CASE WHEN i.evidence = 'operator' THEN i.recorded_at ELSE i.occurred_at END AS occurred_at, d.received_at,
       i.outcome, i.evidence, i.reason, i.status_after, i.account, i.event_id, i.payment_ref, i.capture_ref,
       i.refund_ref, i.dispute_ref, i.amount_minor AS amount, i.total_minor AS total, i.currency, i.failure,
       i.failure_code, i.run, i.number, i.seq
FROM (
    SELECT * FROM inbox WHERE order_id = $1 AND ($2::bigint IS NULL OR seq < $2) ORDER BY seq DESC LIMIT $3
) AS i LEFT JOIN deliveries d ON d.run = i.run AND d.number = i.number
ORDER BY i.seq DESC
"""
RECORDED_AT = "SELECT recorded_at FROM inbox WHERE order_id = $1 AND seq = $2"

# What the sweep and people did while the shown events came in.
TIMELINE_STEPS = """
SELECT 'step' AS what, action AS kind, taken_at AS recorded_at, at AS occurred_at,
       coalesce(result, 'under way') AS outcome, CASE WHEN tries > 1 THEN tries::text END AS note
FROM steps WHERE order_id = $1 AND taken_at >= $2 AND taken_at < $3 ORDER BY taken_at DESC LIMIT $4
"""
TIMELINE_ACTS = """
SELECT 'act' AS what, what AS kind, at AS recorded_at, at AS occurred_at, 'done' AS outcome, by, note,
       NULL AS account, NULL AS payment_ref
FROM acts WHERE order_id = $1 AND at >= $2 AND at < $3
UNION ALL
SELECT 'act', 'bind', at, at, 'done', concat_ws(', ', by, confirmed_by), note, account, payment_ref
FROM bound_payments WHERE order_id = $1 AND at >= $2 AND at < $3
UNION ALL
SELECT 'act', 'erase', (act ->> 'at')::timestamptz, (act ->> 'at')::timestamptz, 'done', act ->> 'by', act ->> 'note',
       NULL, NULL
FROM orders CROSS JOIN jsonb_array_elements(terms -> 'erased') AS act
WHERE id = $1 AND (act ->> 'at')::timestamptz >= $2 AND (act ->> 'at')::timestamptz < $3
ORDER BY recorded_at DESC LIMIT $4
"""


async def _timeline(
    conn: Conn, order_id: int, *, limit: int, before: int | None
) -> tuple[list[TimelineEntry], int | None]:
    rows = await conn.fetch(TIMELINE_EVENTS, order_id, before, limit + 1)
    events, has_more = [TimelineEntry(**row) for row in rows[:limit]], len(rows) > limit
    since = events[-1].recorded_at if has_more else FIRST
    until = LAST if before is None else (await conn.fetchval(RECORDED_AT, order_id, before) or LAST)
    others = [
        TimelineEntry(**row)
        for statement in (TIMELINE_STEPS, TIMELINE_ACTS)
        for row in await conn.fetch(statement, order_id, since, until, STEPS_MAX)
    ]
    # The latest first; at the same moment, what an event caused stands above it.
    timeline = sorted((*events, *others), key=lambda entry: (entry.recorded_at, entry.what != "event", entry.seq))
    return timeline[::-1], events[-1].seq if has_more else None


# By ranges of the key, which begins with what the notice is about.
NOTICES = """
SELECT o.audience, o.topic, o.state, o.created_at, o.due_at, o.finished_at, o.attempts, o.last_error
FROM unnest($1::text[], $2::text[]) AS w (since, until)
CROSS JOIN LATERAL (SELECT * FROM outbox WHERE key >= w.since AND key < w.until LIMIT $3) AS o
ORDER BY o.id DESC LIMIT $3
"""


async def _notices(conn: Conn, order_id: int, case_ids: list[int]) -> list[SentNotice]:
    subjects = [f"order/{order_id}", f"payer/{order_id}", *(f"case/{case_id}" for case_id in case_ids)]
    since, until = [f"{subject}/" for subject in subjects], [f"{subject}0" for subject in subjects]  # 0 is next to /
    return [SentNotice(**row) for row in await conn.fetch(NOTICES, since, until, NOTICES_MAX)]


# One that brought an event of this order: no other can be read by its number.
DELIVERY_OF_ORDER = """
SELECT d.run, d.number, d.account, d.received_at, d.key FROM deliveries d
WHERE d.run = $2 AND d.number = $3 AND EXISTS (
    SELECT FROM inbox i WHERE i.order_id = (SELECT id FROM orders WHERE order_ref = $1) AND i.run = $2 AND i.number = $3
)
"""


async def read_delivery(pool: asyncpg.Pool, order_ref: str, run: UUID, number: int) -> dict[str, Any] | None:
    """Reads a delivery that brought an event of this order, with headers, query and body as they came; the body is
    None once retention removed it.  Returns None where there is none such."""
    async with pool.acquire() as conn:
        row = await conn.fetchrow(DELIVERY_OF_ORDER, order_ref, run, number)
        if row is None:
            return None
        delivery = dict(row)
        await add_raw(conn, [delivery])
        return delivery
