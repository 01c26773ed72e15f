"""Audits from where the last balanced audit ended, and remembers where this one ends.

Receivers number what they accept without gaps.  A balanced audit has proven every number of each run up to its mark in
`audited_runs`; the next one reads the numbers above, whenever they were received, and what was recorded since.  So the
books balance from the first delivery on, if nobody changed what was proven before; only an audit of everything sees
that.  An audit of everything that does not balance is continued by none: the next one reads everything again.
"""

from datetime import datetime
from typing import Final

import asyncpg
import msgspec

from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.reports.audit import Audit, audit_in
from tillkeeper.store.reports.recent_audit import CLOCKS_APART, AuditRange, audit_part

# Orders that were being registered while the last audit read have smaller ids than the greatest that it saw.
REGISTERED_AT_ONCE_MAX: Final = 1000


class Base(msgspec.Struct, frozen=True, kw_only=True):
    """The audit that is continued."""

    id: int
    at: datetime
    settled_until: datetime
    last_order: int


BASE = """
SELECT id, at, settled_until, last_order FROM audits
WHERE balances AND id > coalesce((SELECT max(id) FROM audits WHERE continues IS NULL AND NOT balances), 0)
ORDER BY id DESC LIMIT 1
"""
WHOLE_AT = "SELECT max(at) FROM audits WHERE continues IS NULL AND balances"
LAST_ORDER = "SELECT coalesce(max(id), 0) FROM orders"


async def audit_on(pool: asyncpg.Pool, *, settled_until: datetime, now: datetime, everything: bool = False) -> Audit:
    """Audits one snapshot of the database from the last balanced audit on, or everything, and remembers the end."""
    async with pool.acquire() as conn:
        async with conn.transaction(isolation="repeatable_read", readonly=True):
            row = None if everything else await conn.fetchrow(BASE)
            base = None if row is None else Base(**dict(row))
            part = None if base is None else await _part_after(conn, base)
            if part is None:
                books = await audit_in(conn, settled_until=settled_until, now=now)
            else:
                books = await audit_part(conn, part, settled_until=settled_until, now=now)
            ends = await _ends(conn, part, settled_until) if books.balances else {}
            last_order = await conn.fetchval(LAST_ORDER)
            whole_at = await conn.fetchval(WHOLE_AT)
        left = Base(id=0 if base is None else base.id, at=now, settled_until=settled_until, last_order=last_order)
        not_remembered = await _remember(conn, books, left, ends)
    is_whole_now = base is None and books.balances
    return msgspec.structs.replace(
        books,
        continues=None if base is None else base.at,
        whole_at=now if is_whole_now else whole_at,
        not_remembered=not_remembered,
    )


# Each run is found by a look into the index behind the one before: there are few, and deliveries are many.
MARKS_OF_AUDITED = """
WITH RECURSIVE runs AS (
    (SELECT run FROM deliveries ORDER BY run LIMIT 1)
    UNION ALL
    SELECT (SELECT d.run FROM deliveries d WHERE d.run > r.run ORDER BY d.run LIMIT 1)
    FROM runs r WHERE r.run IS NOT NULL
)
SELECT n.run, coalesce(a.number, 0) AS above, max(n.number) AS last
FROM (
    SELECT r.run, (SELECT d.number FROM deliveries d WHERE d.run = r.run ORDER BY d.number DESC LIMIT 1) AS number
    FROM runs r WHERE r.run IS NOT NULL
    UNION ALL
    SELECT run, number FROM parked WHERE number IS NOT NULL
    UNION ALL
    SELECT run, number FROM held_deliveries
) AS n LEFT JOIN audited_runs a ON a.run = n.run
WHERE n.number > coalesce(a.number, 0) GROUP BY 1, 2
"""


async def _part_after(conn: Conn, base: Base) -> AuditRange:
    marks = {row["run"]: (row["above"], row["last"]) for row in await conn.fetch(MARKS_OF_AUDITED)}
    return AuditRange(
        marks=marks,
        recorded_since=base.settled_until - CLOCKS_APART,
        orders_above=base.last_order - REGISTERED_AT_ONCE_MAX,
    )


ENDS = """
SELECT run, max(number) AS number
FROM (
    SELECT run, number FROM deliveries WHERE received_at <= $1
    UNION ALL
    SELECT run, number FROM parked WHERE number IS NOT NULL AND parked_at <= $1
) AS settled GROUP BY run
"""
ENDS_OF_PART = """
SELECT run, max(number) AS number
FROM (
    SELECT w.run, d.number FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS w (run, above, last)
    CROSS JOIN LATERAL (
        SELECT number, received_at FROM deliveries
        WHERE run = w.run AND number BETWEEN w.above + 1 AND w.last OFFSET 0
    ) AS d
    WHERE d.received_at <= $4
    UNION ALL
    SELECT k.run, k.number FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS w (run, above, last)
    JOIN parked k ON k.run = w.run AND k.number BETWEEN w.above + 1 AND w.last
    WHERE k.parked_at <= $4
) AS settled GROUP BY run
"""


# What is held is applied or parked later, under numbers that the next audit must read.
HELD_FROM = "SELECT run, min(number) AS number FROM held_deliveries GROUP BY run"


async def _ends(conn: Conn, part: AuditRange | None, settled_until: datetime) -> dict[object, int]:
    """Returns the last number of each run below which none can be on its way any more."""
    if part is None:
        rows = await conn.fetch(ENDS, settled_until)
    else:
        rows = await conn.fetch(ENDS_OF_PART, *part.columns, settled_until)
    held_from = {row["run"]: row["number"] for row in await conn.fetch(HELD_FROM)}
    ends = {row["run"]: min(row["number"], held_from.get(row["run"], row["number"] + 1) - 1) for row in rows}
    return {run: number for run, number in ends.items() if number > 0}


REMEMBER = """
INSERT INTO audits (at, settled_until, continues, balances, deliveries, accepted, orders, last_order)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""
# Of two audits at once, the one that read more has the say.
REMEMBER_RUNS = """
INSERT INTO audited_runs AS a (run, number) SELECT * FROM unnest($1::uuid[], $2::bigint[])
ON CONFLICT (run) DO UPDATE SET number = excluded.number WHERE a.number < excluded.number
"""


async def _remember(conn: Conn, books: Audit, left: Base, ends: dict[object, int]) -> str | None:
    """Writes the audit down; returns why it could not be, where the role lacks the right."""
    counted = (books.deliveries, books.accepted, books.orders, left.last_order)
    try:
        async with conn.transaction():
            await conn.execute(REMEMBER, left.at, left.settled_until, left.id or None, books.balances, *counted)
            await conn.execute(REMEMBER_RUNS, list(ends.keys()), list(ends.values()))
    except asyncpg.InsufficientPrivilegeError:
        return "this role may not write it; `tillkeeper db roles` prints the rights"
    return None
