"""Plans and runs retention: weeks of bodies first, then rows, each step in a short transaction of its own.

One step runs at a time, however many sweeps and people there are: each takes the same advisory lock, for its
transaction alone.
"""

import random
from collections.abc import AsyncIterator
from datetime import datetime
from functools import partial
from typing import Final

import asyncpg
import msgspec
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt

from tillkeeper.domain.backoff import WEEK_LOCK
from tillkeeper.domain.retention import DataKind, Days, TimeSpan, span_of, weeks_to_drop
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.store.retention.drop_weeks import LOCK_WAIT_S, Week, counted, drop_week, weeks
from tillkeeper.store.retention.rows import PARTS, ROWS_AT_ONCE, Removed, RetentionPart, count, remove_some

WEEK_PART: Final = "bodies_by_week"
ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtextextended('tillkeeper retention', 0))"


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """What goes, or went, of one part: rows and bytes; a week of bodies is a share of its own."""

    part: str
    kind: DataKind
    what: str
    until: datetime
    rows: int
    bytes: int


async def plan(conn: Conn, days: Days, *, now: datetime) -> list[Share]:
    """Returns what would go now.  Of rows it reads each that would."""
    found = [_of_week(week, span) for week, span in await _weeks(conn, days, now=now)]
    for name, part, span in _parts(days, now):
        removed = await count(conn, part, span)
        if removed.rows:
            found.append(_share(name, part, span, removed))
    return found


async def run(pool: asyncpg.Pool, days: Days, *, now: datetime) -> AsyncIterator[Share]:
    """Removes all of it, and yields each step's share.  A week that is in others' hands for long is left out."""
    for week, span in await _weeks_of(pool, days, now=now):
        if await try_drop(pool, week):
            yield _of_week(week, span)
    for name, part, span in _parts(days, now):
        while (removed := await repeat_on_conflict(pool, partial(_step, part=part, span=span))).rows:
            yield _share(name, part, span, removed)


class RetentionStep(msgspec.Struct, frozen=True, kw_only=True):
    """What a step removed, and the week that it left because others held it for long."""

    shares: list[Share]
    held: Week | None = None

    @property
    def leaves_more(self) -> bool:
        """Returns True if there may be more that could go at once."""
        return any(share.part == WEEK_PART or share.rows >= ROWS_AT_ONCE for share in self.shares)


async def step(pool: asyncpg.Pool, days: Days, *, now: datetime) -> RetentionStep:
    """Drops one week, and removes some rows of each part."""
    shares, held = [], None
    for week, span in (await _weeks_of(pool, days, now=now))[:1]:
        if await try_drop(pool, week):
            shares.append(_of_week(week, span))
        else:
            held = week
    for name, part, span in _parts(days, now):
        removed = await repeat_on_conflict(pool, partial(_step, part=part, span=span))
        if removed.rows:
            shares.append(_share(name, part, span, removed))
    return RetentionStep(shares=shares, held=held)


async def try_drop(pool: asyncpg.Pool, week: Week) -> bool:
    """Drops a week; returns False where others hold it for long, as a dump does.  Nobody else waits for that."""

    async def drop(conn: Conn) -> None:
        await conn.execute(ONE_AT_A_TIME)
        await drop_week(conn, week)

    try:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(asyncpg.LockNotAvailableError),
            stop=stop_after_attempt(WEEK_LOCK.attempts_max),
            wait=lambda state: WEEK_LOCK.pause_s(state.attempt_number, random.uniform),
            reraise=True,
        ):
            with attempt:
                await repeat_on_conflict(pool, drop, lock_wait_s=LOCK_WAIT_S)
    except asyncpg.LockNotAvailableError:
        return False
    return True


async def _step(conn: Conn, *, part: RetentionPart, span: TimeSpan) -> Removed:
    await conn.execute(ONE_AT_A_TIME)
    return await remove_some(conn, part, span)


def _parts(days: Days, now: datetime) -> list[tuple[str, RetentionPart, TimeSpan]]:
    spans = [(name, part, span_of(part.kind, days, now)) for name, part in PARTS.items()]
    return [(name, part, span) for name, part, span in spans if span is not None]


async def _weeks_of(pool: asyncpg.Pool, days: Days, *, now: datetime) -> list[tuple[Week, TimeSpan]]:
    async with pool.acquire() as conn:
        return await _weeks(conn, days, now=now)


async def _weeks(conn: Conn, days: Days, *, now: datetime) -> list[tuple[Week, TimeSpan]]:
    """Reads the weeks that are to be dropped, the oldest first."""
    span = span_of(DataKind.BODIES, days, now)
    if span is None:
        return []
    found = {week.monday: week for week in await weeks(conn)}
    return [(await counted(conn, found[monday]), span) for monday in weeks_to_drop(found, span.until)]


def _of_week(week: Week, span: TimeSpan) -> Share:
    what = f"the week of {week.monday}"
    return Share(
        part=WEEK_PART, kind=DataKind.BODIES, what=what, until=span.until, rows=week.rows or 0, bytes=week.bytes
    )


def _share(name: str, part: RetentionPart, span: TimeSpan, removed: Removed) -> Share:
    return Share(part=name, kind=part.kind, what=part.what, until=span.until, rows=removed.rows, bytes=removed.bytes)
