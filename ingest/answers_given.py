"""Counts what this receiver answers, by account and spans of ten seconds, and writes it down every two seconds.

The first page of the desk shows it.  Nothing waits for it, and no delivery is refused for it: while the database is
away counts are kept, as many as are shown at all.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final, Literal, TypeAlias

import asyncpg

from tillkeeper.loops import keep_running, start
from tillkeeper.store.accounts.answers import KEPT, SPAN, Given, add_answers
from tillkeeper.store.postgres.sqlstates import DATABASE_ERRORS

Answer: TypeAlias = Literal["accepted", "refused", "put_off"]

WRITE_EVERY_S: Final = 2.0  # what is shown is older by that
WRITE_S: Final = 2.0  # a database that is slower has other worries


class _Counts:
    """The counts of one account and span."""

    def __init__(self) -> None:
        self.accepted = self.refused = self.put_off = 0
        self.accepted_at: datetime | None = None


class AnswersGiven:
    """What was answered and is not written down yet."""

    def __init__(self, pool: asyncpg.Pool, *, now: Callable[[], datetime]) -> None:
        self._pool = pool
        self._now = now
        self._counts: dict[tuple[datetime, str], _Counts] = {}
        self._stop = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None

    def add(self, account: str, answer: Answer, count: int = 1) -> None:
        """Counts answers given just now."""
        now = self._now()
        counts = self._counts.setdefault((_span_of(now), account), _Counts())
        match answer:
            case "accepted":
                counts.accepted += count
                counts.accepted_at = now
            case "refused":
                counts.refused += count
            case "put_off":
                counts.put_off += count

    def start(self) -> None:
        """Begins to write them down."""
        run = keep_running(self.write_once, name="answers given", stop=self._stop, idle_s=WRITE_EVERY_S)
        self._loop = start(run, name="answers given")

    async def close(self) -> None:
        """Writes down what is left, if that takes no time."""
        self._stop.set()
        if self._loop is not None:
            await self._loop
        await self.write_once()

    async def write_once(self) -> int:
        """Writes down what was counted; keeps it for the next time where the database does not answer."""
        now = self._now()
        counted = {key: counts for key, counts in self._counts.items() if key[0] >= now - KEPT}
        self._counts = {}
        given = [_given(*key, counts) for key, counts in sorted(counted.items(), key=lambda item: item[0])]
        if given:
            try:
                async with asyncio.timeout(WRITE_S), self._pool.acquire() as conn, conn.transaction():
                    await add_answers(conn, given, now=now)
            except (*DATABASE_ERRORS, TimeoutError):
                self._take_back(counted)
        return 0  # never at once again

    def _take_back(self, counted: dict[tuple[datetime, str], _Counts]) -> None:
        for key, counts in counted.items():
            newer = self._counts.setdefault(key, _Counts())
            newer.accepted += counts.accepted
            newer.refused += counts.refused
            newer.put_off += counts.put_off
            newer.accepted_at = newer.accepted_at or counts.accepted_at


def _span_of(now: datetime) -> datetime:
    return now.replace(second=now.second - now.second % int(SPAN.total_seconds()), microsecond=0)


def _given(since: datetime, account: str, counts: _Counts) -> Given:
    return Given(
        since=since,
        account=account,
        accepted=counts.accepted,
        refused=counts.refused,
        put_off=counts.put_off,
        accepted_at=counts.accepted_at,
    )
