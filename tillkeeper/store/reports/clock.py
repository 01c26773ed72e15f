"""Compares this machine's clock with the database's."""

from collections.abc import Callable
from datetime import datetime, timedelta

from tillkeeper.store.postgres.pool import Conn

CLOCK = "SELECT clock_timestamp()"


async def clock_offset(conn: Conn, now: Callable[[], datetime]) -> tuple[timedelta, timedelta]:
    """Returns how far the database's clock is ahead, and how much of that may be the time of the query."""
    before = now()
    told = await conn.fetchval(CLOCK)
    uncertain = (now() - before) / 2
    return told - (before + uncertain), uncertain
