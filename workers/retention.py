"""Removes what was kept for long enough, and makes partitions for the bodies of the weeks to come."""

from collections.abc import Callable
from datetime import datetime
from functools import partial

import asyncpg
import structlog

from tillkeeper.domain.retention import Days
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.store.retention.drop_weeks import LOCK_WAIT_S
from tillkeeper.store.retention.passes import step
from tillkeeper.store.schema.make_weeks import make_weeks
from tillkeeper.telemetry import RETENTION_BYTES, RETENTION_LAST_PASS, RETENTION_ROWS
from tillkeeper.workers.database_retry import DatabaseRetry, Stopped

log = structlog.get_logger()


class Retention:
    """Takes a step of each part in turn, until nothing is left to remove."""

    def __init__(self, *, pool: asyncpg.Pool, retry: DatabaseRetry, days: Days, now: Callable[[], datetime]) -> None:
        self._pool = pool
        self._retry = retry
        self._days = days
        self._now = now

    async def run_once(self) -> int:
        """Removes some of each part; returns 1 if there may be more, else 0."""
        now = self._now()
        try:
            await self._retry.until_available(lambda: self._make_weeks(now))
            done = await self._retry.until_available(lambda: step(self._pool, self._days, now=now))
        except Stopped:
            return 0
        for share in done.shares:
            RETENTION_ROWS.labels(share.kind).inc(share.rows)
            RETENTION_BYTES.labels(share.kind).inc(share.bytes)
            log.info("retention_removed", kind=share.kind, what=share.what, rows=share.rows, bytes=share.bytes)
        if done.held is not None:
            log.warning("retention_week_held_by_others", week=str(done.held.monday))
        elif not done.leaves_more:
            RETENTION_LAST_PASS.set(now.timestamp())
        return int(done.leaves_more)

    async def _make_weeks(self, now: datetime) -> None:
        """Makes the weeks that are not there, if nobody holds the table for long, as a dump does."""
        try:
            made = await repeat_on_conflict(self._pool, partial(make_weeks, now=now), lock_wait_s=LOCK_WAIT_S)
        except asyncpg.LockNotAvailableError:
            log.warning("body_weeks_held_by_others")
        else:
            if made:
                log.info("body_weeks_made", weeks=made)
