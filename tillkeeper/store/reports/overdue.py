"""Finds what is overdue, for the audit: orders without a due time, stale cases, late queries and notices."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg
import msgspec

from tillkeeper.domain.order.cases import SHOWN_BY_FACTS, KnownCase
from tillkeeper.domain.order.facts import OrderFacts
from tillkeeper.domain.order.stale_cases import stale_cases
from tillkeeper.domain.order.state import OrderState
from tillkeeper.domain.statuses import MOVING
from tillkeeper.store.orders.loading import facts_of
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.rows import order_in, summary_in

OVERDUE_AFTER: Final = timedelta(hours=1)  # sweep and sender are seconds behind; after an outage, minutes
CASES_AT_ONCE: Final = 1000


class Overdue(msgspec.Struct, frozen=True, kw_only=True):
    """The number of overdue rows, and since when the oldest is due."""

    count: int
    oldest: datetime | None


OVERDUE_NOTICES = "SELECT count(*), min(due_at) AS oldest FROM outbox WHERE due_at <= $1"
OVERDUE_FETCHES = "SELECT count(*), min(due_at) AS oldest FROM fetches WHERE due_at <= $1"
OVERDUE_ORDERS = "SELECT count(*), min(due_at) AS oldest FROM due_orders WHERE due_at <= $1"


async def overdue_fetches(conn: Conn, now: datetime) -> Overdue:
    """Counts overdue queries."""
    return Overdue(**dict(await conn.fetchrow(OVERDUE_FETCHES, now - OVERDUE_AFTER) or {}))


async def overdue_notices(conn: Conn, now: datetime) -> Overdue:
    """Counts overdue notices."""
    return Overdue(**dict(await conn.fetchrow(OVERDUE_NOTICES, now - OVERDUE_AFTER) or {}))


async def overdue_orders(conn: Conn, now: datetime) -> Overdue:
    """Counts overdue orders."""
    return Overdue(**dict(await conn.fetchrow(OVERDUE_ORDERS, now - OVERDUE_AFTER) or {}))


WITH_A_CASE = "SELECT DISTINCT order_id FROM cases WHERE order_id = ANY($1::bigint[]) AND closed_at IS NULL"


async def unattended(conn: Conn, page: Sequence[asyncpg.Record]) -> list[dict[str, Any]]:
    """Returns those of the orders whose money is on its way although they have neither a due time nor an open case."""
    suspects = [row for row in page if row["due_at"] is None and row["closed_at"] is None and row["status"] in MOVING]
    if not suspects:
        return []
    cared_for = {row["order_id"] for row in await conn.fetch(WITH_A_CASE, [row["id"] for row in suspects])}
    return [
        {"order_ref": row["order_ref"], "status": row["status"], "since": row["phase_since"]}
        for row in suspects
        if row["id"] not in cared_for
    ]


# follow_up_at is set exactly while a case is open: the partial index on it finds them.  `terms` is not read: it holds
# payers' contacts, which an auditor may not read.
OPEN_CASES_PAGE = """
SELECT c.id AS case_id, c.kind, c.subject, o.id, o.order_ref, o.amount_minor, o.currency, o.accounts, o.status,
       o.captured_minor, o.refunding_minor, o.refunded_minor, o.discount_minor, o.version, o.phase, o.phase_since,
       o.closed_at
FROM cases c JOIN orders o ON o.id = c.order_id
WHERE c.follow_up_at IS NOT NULL AND c.kind = ANY($1::text[]) AND c.id > $2 ORDER BY c.id LIMIT $3
"""


async def stale(conn: Conn, *, limit: int) -> list[dict[str, Any]]:
    """Returns open cases that should have closed by themselves, because the facts no longer show their cause."""
    after, found = 0, list[dict[str, Any]]()
    while len(found) < limit:
        page = await conn.fetch(OPEN_CASES_PAGE, list(SHOWN_BY_FACTS), after, CASES_AT_ONCE)
        if not page:
            break
        after = page[-1]["case_id"]
        facts = await facts_of(conn, {row["id"] for row in page})
        found += [
            {"case": row["case_id"], "kind": row["kind"], "subject": row["subject"], "order_ref": row["order_ref"]}
            for row in page
            if stale_cases(_with_its_case(row, facts[row["id"]]))
        ]
    return found[:limit]


def _with_its_case(row: asyncpg.Record, facts: OrderFacts) -> OrderState:
    """Builds as much of the order as decides whether the case still holds."""
    case = KnownCase(kind=row["kind"], subject=row["subject"], order_id=row["id"])
    return OrderState(
        id=row["id"],
        order=order_in(row),
        version=row["version"],
        stored=summary_in(row),
        facts=facts,
        phase=row["phase"],
        phase_since=row["phase_since"],
        closed_at=row["closed_at"],
        cases={case.key: case},
    )
