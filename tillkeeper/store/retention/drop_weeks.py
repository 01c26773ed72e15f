"""Drops whole weeks of bodies, which are partitions of delivery_bodies."""

from datetime import date
from typing import Final

import msgspec

from tillkeeper.store.postgres.pool import Conn

# Workers store bodies in transactions of a fraction of a second.  While a drop waits for these, others wait behind it.
LOCK_WAIT_S: Final = 0.2


class Week(msgspec.Struct, frozen=True, kw_only=True):
    """A week of bodies: its rows as PostgreSQL estimates them (None: it never did), and its bytes on disk."""

    monday: date
    rows: int | None
    bytes: int


WEEKS = """
SELECT to_date(right(c.relname, 8), 'YYYYMMDD') AS monday,
       CASE WHEN c.reltuples > 0 THEN c.reltuples::bigint END AS rows, pg_total_relation_size(c.oid) AS bytes
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'delivery_bodies'::regclass AND c.relname ~ '^delivery_bodies_[0-9]{8}$'
ORDER BY 1
"""
COUNT_WEEK = """
SELECT count(*) FROM delivery_bodies
WHERE received_at >= $1::date::timestamp AT TIME ZONE 'UTC'
  AND received_at < ($1::date + 7)::timestamp AT TIME ZONE 'UTC'
"""
DROP_WEEK = "SELECT drop_body_week($1)"


async def weeks(conn: Conn) -> list[Week]:
    """Reads the weeks that there are, the oldest first."""
    return [Week(monday=row["monday"], rows=row["rows"], bytes=row["bytes"]) for row in await conn.fetch(WEEKS)]


async def counted(conn: Conn, week: Week) -> Week:
    """Counts the rows of a week that has no estimate: such a one is small."""
    if week.rows is not None:
        return week
    return msgspec.structs.replace(week, rows=await conn.fetchval(COUNT_WEEK, week.monday))


async def drop_week(conn: Conn, week: Week) -> None:
    """Drops a week, for which all who store bodies wait a moment."""
    await conn.execute(DROP_WEEK, week.monday)
