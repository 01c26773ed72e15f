"""Follows up open cases, and events that wait for their order, each in a transaction of its own."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import asyncpg
import structlog

from tillkeeper.domain.policy import Policy
from tillkeeper.store.jobs.follow_up import follow_up, open_unmatched, take_up_left_over
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.workers.database_retry import DatabaseRetry, Stopped

log = structlog.get_logger()

ROWS_MAX: Final = 100
WAITING_MAX: Final = 1_000  # read at once; a hundred thousand of unknown orders take minutes
LATE_COMMIT: Final = timedelta(hours=1)  # an event may become visible this long after its recorded time


class FollowUp:
    """Does what becomes due besides orders."""

    def __init__(
        self, *, pool: asyncpg.Pool, retry: DatabaseRetry, policy: Callable[[], Policy], now: Callable[[], datetime]
    ) -> None:
        self._pool = pool
        self._retry = retry
        self._policy = policy
        self._now = now
        self._left_over_after = 0  # the waiting events are read in turn
        self._seen_until: datetime | None = None  # what waits was checked up to here; None before the first pass

    async def run_once(self) -> int:
        """Does all that is due once; returns how much there was to do."""
        try:
            looks = (self._follow_up, self._unmatched, self._left_over)
            return sum([await self._retry.transact(self._pool, look) for look in looks])
        except Stopped:
            return 0

    async def _follow_up(self, conn: Conn) -> int:
        return await follow_up(conn, policy=self._policy(), limit=ROWS_MAX, now=self._now())

    async def _unmatched(self, conn: Conn) -> int:
        now, policy = self._now(), self._policy()
        since, until = self._seen_until and self._seen_until - LATE_COMMIT, now - policy.unmatched_case
        found = await open_unmatched(conn, since=since, until=until, policy=policy, limit=ROWS_MAX, now=now)
        if found:
            log.warning("unmatched_payments", cases=found)
        else:
            self._seen_until = until
        return found

    async def _left_over(self, conn: Conn) -> int:
        after, policy, now = self._left_over_after, self._policy(), self._now()
        tally, self._left_over_after = await take_up_left_over(
            conn, after=after, policy=policy, limit=WAITING_MAX, now=now
        )
        if count := tally.outcomes.total():
            log.warning("leftover_events_applied", events=count)
        return count
