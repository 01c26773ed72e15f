"""Reads the file of one case, with all its evidence, for people."""

from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from tillkeeper.store.deliveries.raw import add_body_bytes
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.reports.order import history_of, show_in

DELIVERIES_MAX: Final = 500  # of one case; as many as a person reads
NOTICES_MAX: Final = 500


CASE = """
SELECT c.id, c.kind, c.subject, c.account, c.details, c.level, c.owner, c.opened_at, c.follow_up_at, c.closed_at,
       c.closed_by, c.outcome, c.order_id, o.order_ref
FROM cases c LEFT JOIN orders o ON o.id = c.order_id WHERE c.id = $1
"""
ENTRIES = "SELECT id, what, by, note, at FROM case_entries WHERE case_id = $1 ORDER BY id"


class BriefCase(msgspec.Struct, frozen=True, kw_only=True):
    """A case with its entries, and the event that it is about where it has no order."""

    case: dict[str, Any]
    entries: list[dict[str, Any]]  # the latest last
    events: list[dict[str, Any]]


async def read_case(conn: Conn, case_id: int) -> BriefCase | None:
    """Reads a case without the history of its order; returns None if there is none of this number."""
    row = await conn.fetchrow(CASE, case_id)
    if row is None:
        return None
    case = {**dict(row), "details": msgspec.json.decode(row["details"])}
    is_alone = case.pop("order_id") is None
    return BriefCase(
        case=case,
        entries=[dict(entry) for entry in await conn.fetch(ENTRIES, case_id)],
        events=await _events(conn, case["subject"]) if is_alone else [],
    )


async def file_of(pool: asyncpg.Pool, case_id: int) -> dict[str, Any] | None:
    """Reads everything about a case from one snapshot; returns None if there is none of this number.

    `timeline` is the order's history with its notices, oldest first by our clock; `deliveries` are those that brought
    its events, without their bodies.
    """
    async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        row = await conn.fetchrow(CASE, case_id)
        if row is None:
            return None
        case = {**dict(row), "details": msgspec.json.decode(row["details"])}
        order_id = case.pop("order_id")
        timeline = await history_of(conn, order_id) if order_id is not None else await _events(conn, case["subject"])
        timeline += await _notices(conn, case_id, order_id)  # at the same moment, the cause comes first
        return {
            "case": case,
            "entries": [dict(entry) for entry in await conn.fetch(ENTRIES, case_id)],
            "order": await show_in(conn, case["order_ref"]) if order_id is not None else None,
            "timeline": sorted(timeline, key=lambda entry: entry["recorded_at"]),
            "deliveries": await _deliveries(conn, order_id, case),
        }


# By ranges of the key, which begins with its subject; an index on the order would make each notice dearer.
NOTICES = """
SELECT 'notice' AS what, topic AS kind, created_at AS recorded_at, audience, state AS outcome, channels, attempts,
       last_error, finished_at
FROM outbox
WHERE key >= $1 AND key < $2 OR key >= $3 AND key < $4 OR key >= $5 AND key < $6
ORDER BY id LIMIT $7
"""


async def _notices(conn: Conn, case_id: int, order_id: int | None) -> list[dict[str, Any]]:
    """Reads the notices to merchant, payer and ops with their outcomes, without payers' contacts."""
    begins = [("case", case_id), ("order", order_id or 0), ("payer", order_id or 0)]
    bounds = [bound for name, of in begins for bound in (f"{name}/{of}/", f"{name}/{of}0")]  # 0 is next to /
    rows = await conn.fetch(NOTICES, *bounds, NOTICES_MAX)
    return [{**dict(row), "channels": msgspec.json.decode(row["channels"])} for row in rows]


EVENT = """
SELECT 'event' AS what, kind, recorded_at, occurred_at, evidence, outcome, reason, account, event_id, order_ref,
       payment_ref, refund_ref, dispute_ref, amount_minor AS amount, total_minor AS total, currency, failure,
       failure_code
FROM inbox WHERE account = $1 AND event_id = $2
"""


async def _events(conn: Conn, subject: str) -> list[dict[str, Any]]:
    """Reads the event that a case without an order is about."""
    account, event_id = _event_of(subject)
    return [dict(row) for row in await conn.fetch(EVENT, account, event_id)]


def _event_of(subject: str) -> tuple[str, str]:
    """Splits the subject that `event_subject` writes; returns two empty texts where it is no event."""
    kind, _, name = subject.partition(":")
    account, _, event_id = name.partition("/") if kind == "event" else ("", "", "")
    return account, event_id


# The deliveries of the order's events, of the case's event, and of the event that differed.
DELIVERIES = """
SELECT d.run, d.number, d.account, d.received_at, d.key, d.events, d.duplicates
FROM (
    SELECT run, number FROM inbox WHERE order_id = $1 AND number IS NOT NULL
    UNION
    SELECT run, number FROM inbox WHERE account = $2 AND event_id = $3 AND number IS NOT NULL
    UNION
    SELECT $4::uuid, $5::bigint
) AS named JOIN deliveries d USING (run, number)
ORDER BY d.received_at, d.run, d.number LIMIT $6
"""


async def _deliveries(conn: Conn, order_id: int | None, case: dict[str, Any]) -> list[dict[str, Any]]:
    run, number = _delivery_of(case["details"])
    rows = await conn.fetch(DELIVERIES, order_id, *_event_of(case["subject"]), run, number, DELIVERIES_MAX)
    deliveries = [dict(row) for row in rows]
    await add_body_bytes(conn, deliveries)
    return deliveries


def _delivery_of(details: dict[str, Any]) -> tuple[UUID | None, int | None]:
    """Returns the delivery that the case of a reused event id names, for the stored event has another."""
    named = details.get("delivery")
    return (UUID(named[0]), int(named[1])) if named else (None, None)
