"""Reads everything that is recorded about orders, to compare a test run with its own log."""

from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from tillkeeper.domain.events import PaymentEvent


class PastEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event of an order's history.  `received_at` is when its delivery came, or when it was recorded."""

    order_ref: str
    event: PaymentEvent
    received_at: datetime


class TakenStep(msgspec.Struct, frozen=True, kw_only=True):
    """A step that a sweep took."""

    order_ref: str
    phase: int
    action: str
    at: datetime
    taken_at: datetime
    result: str | None


class RecordedCase(msgspec.Struct, frozen=True, kw_only=True):
    """A case with its own history: (what, by, at), oldest first."""

    order_ref: str | None
    kind: str
    level: int
    opened_at: datetime
    closed_by: str | None
    entries: tuple[tuple[str, str, datetime], ...]


class RecordedNotice(msgspec.Struct, frozen=True, kw_only=True):
    """A notice with its outcome."""

    order_ref: str | None
    audience: str
    topic: str
    created_at: datetime
    state: str
    payload: dict[str, Any]


HISTORIES = """
SELECT o.order_ref AS of_order, coalesce(d.received_at, i.recorded_at) AS received_at, i.event_id, i.kind, i.account,
       i.occurred_at, i.evidence, i.order_ref, i.payment_ref, i.capture_ref, i.refund_ref, i.dispute_ref,
       i.amount_minor AS amount, i.total_minor AS total, i.currency, i.failure, i.failure_code, i.method,
       i.as_of, i.discount_minor AS discount, coalesce(i.has_refunds, false) AS has_refunds,
       i.on_top_minor AS on_top, i.released_minor AS released, coalesce(i.may_be_release, false) AS may_be_release
FROM inbox AS i JOIN orders AS o ON o.id = i.order_id LEFT JOIN deliveries AS d USING (run, number)
WHERE i.outcome <> 'mismatched' ORDER BY i.seq
"""
STEPS = """
SELECT o.order_ref, r.phase, r.action, r.at, r.taken_at, r.result FROM steps AS r JOIN orders AS o ON o.id = r.order_id
ORDER BY r.order_id, r.taken_at, r.at
"""
CASES = """
SELECT o.order_ref, c.kind, c.level, c.opened_at, c.closed_by,
       array(SELECT what FROM case_entries WHERE case_id = c.id ORDER BY id) AS whats,
       array(SELECT by FROM case_entries WHERE case_id = c.id ORDER BY id) AS bys,
       array(SELECT at FROM case_entries WHERE case_id = c.id ORDER BY id) AS ats
FROM cases AS c LEFT JOIN orders AS o ON o.id = c.order_id ORDER BY c.id
"""
NOTICES = """
SELECT o.order_ref, n.audience, n.topic, n.created_at, n.state, n.payload
FROM outbox AS n LEFT JOIN orders AS o ON o.id = n.order_id ORDER BY n.id
"""
NEXT_DUE = """
SELECT least((SELECT min(due_at) FROM due_orders),
             (SELECT min(due_at) FROM fetches WHERE due_at IS NOT NULL),
             (SELECT min(follow_up_at) FROM cases WHERE follow_up_at IS NOT NULL),
             (SELECT min(due_at) FROM outbox WHERE due_at IS NOT NULL))
"""


async def histories(pool: asyncpg.Pool) -> list[PastEvent]:
    """Reads every event that counts for an order, in the order of application."""
    async with pool.acquire() as conn:
        rows = [dict(row) for row in await conn.fetch(HISTORIES)]
    return [
        PastEvent(
            order_ref=row.pop("of_order"),
            received_at=row.pop("received_at"),
            event=msgspec.convert(row, PaymentEvent),
        )
        for row in rows
    ]


async def steps(pool: asyncpg.Pool) -> list[TakenStep]:
    """Reads every step that was taken, order by order."""
    async with pool.acquire() as conn:
        return [TakenStep(**dict(row)) for row in await conn.fetch(STEPS)]


async def cases(pool: asyncpg.Pool) -> list[RecordedCase]:
    """Reads every case that was ever opened."""
    async with pool.acquire() as conn:
        rows = [dict(row) for row in await conn.fetch(CASES)]
    return [
        RecordedCase(entries=tuple(zip(row.pop("whats"), row.pop("bys"), row.pop("ats"), strict=True)), **row)
        for row in rows
    ]


async def notices(pool: asyncpg.Pool) -> list[RecordedNotice]:
    """Reads every notice, in the order of writing."""
    async with pool.acquire() as conn:
        rows = [dict(row) for row in await conn.fetch(NOTICES)]
    return [RecordedNotice(payload=msgspec.json.decode(row.pop("payload")), **row) for row in rows]


async def next_due(pool: asyncpg.Pool) -> datetime | None:
    """Returns when the next order, query, case or notice is due."""
    async with pool.acquire() as conn:
        at: datetime | None = await conn.fetchval(NEXT_DUE)
        return at
