"""Looks after open cases, and after events that wait: each look a transaction of its own."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import asyncpg
import structlog

from tillkeeper.domain.policy import Policy
from tillkeeper.store.jobs.follow_up import follow_up, open_unmatched, take_up_left_over
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.workers.outage import Outage, Stopped

log = structlog.get_logger()

ROWS_MAX: Final = 100
WAITING_MAX: Final = 1_000  # looked at in one go; a hundred thousand of nobody's are gone through in minutes
LATE_COMMIT: Final = timedelta(hours=1)  # an event may be seen so long after the moment that it is recorded with


class Follow:
    """Everything besides orders that becomes due."""

    def __init__(
        self, *, pool: asyncpg.Pool, outage: Outage, policy: Callable[[], Policy], now: Callable[[], datetime]
    ) -> None:
        self._pool = pool
        self._outage = outage
        self._policy = policy
        self._now = now
        self._left_over_after = 0  # the events that wait are gone through in turn
        self._seen_until: datetime | None = None  # what waits was recorded until then; none before the first whole look

    async def run_once(self) -> int:
        """Looks once at all of it; returns how much there was to do."""
        try:
            looks = (self._follow_up, self._unmatched, self._left_over)
            return sum([await self._outage.transact(self._pool, look) for look in looks])
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
