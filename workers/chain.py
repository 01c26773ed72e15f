"""Chains what must not change any more, link by link, and never in the transaction that applies an event."""

from collections.abc import Callable
from datetime import datetime
from functools import partial

import asyncpg

from tillkeeper.store.books.chain import Sign, seal_some
from tillkeeper.workers.database_retry import DatabaseRetry, Stopped


class Chain:
    """Seals what has settled, one link of each table at a time."""

    def __init__(
        self, *, pool: asyncpg.Pool, retry: DatabaseRetry, sign: Sign | None, now: Callable[[], datetime]
    ) -> None:
        self._pool = pool
        self._retry = retry
        self._sign = sign
        self._now = now

    async def run_once(self) -> int:
        """Seals some; returns the number of links, so that it goes on at once while there is more."""
        try:
            return await self._retry.transact(self._pool, partial(seal_some, sign=self._sign, now=self._now()))
        except Stopped:
            return 0
