"""Makes the figures of the monthly reports, a day in a transaction, behind what was recorded by some minutes."""

from collections.abc import Callable
from datetime import datetime
from functools import partial

import asyncpg

from tillkeeper.store.monthly.making import advance, make_one_day
from tillkeeper.workers.database_retry import DatabaseRetry, Stopped


class ReportDays:
    """Makes the days of which something was learnt, the latest first."""

    def __init__(self, *, pool: asyncpg.Pool, retry: DatabaseRetry, zone: str, now: Callable[[], datetime]) -> None:
        self._pool = pool
        self._retry = retry
        self._zone = zone
        self._now = now

    async def run_once(self) -> int:
        """Makes one day; returns how much was done, so that it goes on at once while there is more."""
        try:
            is_behind = await self._retry.transact(self._pool, partial(advance, zone=self._zone, now=self._now()))
            day = await self._retry.transact(self._pool, make_one_day)
        except Stopped:
            return 0
        return int(is_behind) + int(day is not None)
