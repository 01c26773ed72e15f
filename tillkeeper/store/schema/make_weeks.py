"""Keeps the partitions of delivery_bodies, one for each week, made some weeks ahead."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final

from tillkeeper.domain.retention import WEEK, monday_of
from tillkeeper.store.postgres.pool import Conn

WEEKS_AHEAD: Final = 4  # as long may no sweep run before bodies come to stand in the default partition

# OFFSET 0 keeps the function, and its lock, to the weeks that are not there.
MAKE_WEEKS = """
SELECT make_body_week(monday) FROM (
    SELECT monday FROM unnest($1::date[]) AS w (monday)
    WHERE to_regclass('delivery_bodies_' || to_char(monday, 'YYYYMMDD')) IS NULL ORDER BY monday OFFSET 0
) lacking
"""


async def make_weeks(conn: Conn, *, now: datetime) -> int:
    """Makes the partitions of this week and of those ahead, where they are not there; returns how many."""
    rows = await conn.fetch(MAKE_WEEKS, weeks_ahead(now))
    return sum(row[0] for row in rows)


def weeks_ahead(now: datetime) -> Sequence[date]:
    """Returns the Mondays of this week and of those ahead."""
    monday = monday_of(now).date()
    return [monday + ahead * WEEK for ahead in range(WEEKS_AHEAD + 1)]


SERVER_TIME = "SELECT now()"


async def server_time(conn: Conn) -> datetime:
    """Returns the time by the server's clock, for who makes or upgrades a schema."""
    now: datetime = await conn.fetchval(SERVER_TIME)
    return now
