"""Writes down the words that answers of gateways held and that stand in no list of ours."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from functools import partial

import asyncpg

from tillkeeper.store.deliveries.unknown_words import Word, note_words
from tillkeeper.workers.outage import Outage, Stopped


class Words:
    """What the api_client collected, a transaction at a time."""

    def __init__(
        self,
        *,
        pool: asyncpg.Pool,
        take: Callable[[], Counter[Word]],
        outage: Outage,
        now: Callable[[], datetime],
    ) -> None:
        self._pool = pool
        self._take = take
        self._outage = outage
        self._now = now

    async def run_once(self) -> int:
        """Returns how many words there were."""
        words = self._take()
        if not words:
            return 0
        try:
            await self._outage.transact(self._pool, partial(note_words, words=words, now=self._now()))
        except Stopped:
            return 0
        return len(words)
