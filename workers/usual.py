"""Folds what the guard counted by minutes into what is usual for each account (store/guard/usual.py)."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import asyncpg

from tillkeeper.domain.guard import USUAL
from tillkeeper.domain.silence import HOUR, hour_of
from tillkeeper.store.guard.usual import fold_counts
from tillkeeper.workers.database_retry import DatabaseRetry, Stopped

SETTLED: Final = timedelta(minutes=15)  # more than a window after an hour, and what clocks are apart


class Usual:
    """Any number of sweepers may: each minute is folded by one of them."""

    def __init__(self, *, pool: asyncpg.Pool, retry: DatabaseRetry, now: Callable[[], datetime]) -> None:
        self._pool = pool
        self._retry = retry
        self._now = now

    async def run_once(self) -> int:
        """Folds the hours that are over.  It has nothing to go straight on with."""
        now = self._now()
        before = hour_of(now - SETTLED)
        with suppress(Stopped):
            fold = partial(fold_counts, before=before, forget_before=now - USUAL - HOUR)
            await self._retry.transact(self._pool, fold)
        return 0
