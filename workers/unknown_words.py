"""Writes the unknown words of gateways' answers to the database."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from functools import partial

import asyncpg

from tillkeeper.store.deliveries.unknown_words import Word, note_words
from tillkeeper.workers.database_retry import DatabaseRetry, Stopped


class UnknownWords:
    """Takes the unknown words that the API client collected, and counts them in the database."""

    def __init__(
        self,
        *,
        pool: asyncpg.Pool,
        take: Callable[[], Counter[Word]],
        retry: DatabaseRetry,
        now: Callable[[], datetime],
    ) -> None:
        self._pool = pool
        self._take = take
        self._retry = retry
        self._now = now

    async def run_once(self) -> int:
        """Writes the collected words; returns their number."""
        words = self._take()
        if not words:
            return 0
        try:
            await self._retry.transact(self._pool, partial(note_words, words=words, now=self._now()))
        except Stopped:
            return 0
        return len(words)
