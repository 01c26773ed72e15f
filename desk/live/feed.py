"""Reads snapshots again and again while somebody looks, once for all of them, and wakes those who wait for the next.

nobody looks ──> nothing is read        somebody looks ──> one reading a second, however many look
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

import structlog

from tillkeeper.desk.live.rendered import Rendered
from tillkeeper.desk.live.snapshot import TillSnapshot
from tillkeeper.loops import pause
from tillkeeper.store.postgres.sqlstates import DATABASE_ERRORS

log = structlog.get_logger()

READ_EVERY_S: Final = 1.0
FRESH: Final = timedelta(seconds=2)  # a page that is asked for shows nothing older, if it can be had
READ_S: Final = 5.0  # the longest that a reading holds a snapshot of the database, as with pages
STILL_S: Final = 5.0  # a viewer hears at least so often, also where nothing new could be read

Read = Callable[[TillSnapshot | None], Awaitable[TillSnapshot]]


class Feed:
    """The latest snapshot, and all who look at it."""

    def __init__(self, read: Read, *, now: Callable[[], datetime]) -> None:
        self._read = read
        self._now = now
        self._reading: asyncio.Lock = asyncio.Lock()
        self._changed = asyncio.Condition()
        self._wanted = asyncio.Event()
        self._viewers = 0
        self._is_closed = False
        self._has_failed = False
        self.latest: TillSnapshot | None = None
        self.rendered: Rendered[bytes] = Rendered()  # the latest, as it is sent

    async def run(self, stop: asyncio.Event) -> None:
        """Reads while somebody looks, until stopped."""
        while not stop.is_set():
            await self._wanted.wait()
            if stop.is_set():
                return
            await self._read_again()
            await pause(stop, READ_EVERY_S)

    async def close(self) -> None:
        """Ends the streams of all who look, and `run` once its `stop` is set."""
        self._is_closed = True
        self._wanted.set()
        async with self._changed:
            self._changed.notify_all()

    async def fresh(self) -> TillSnapshot:
        """Returns a snapshot of just now; the last one where the database cannot be read.  Raises one of
        DATABASE_ERRORS where there never was one."""
        async with self._reading:
            if self.latest is None:
                async with asyncio.timeout(READ_S):
                    self.latest = await self._read(None)
        if self._now() - self.latest.read_at > FRESH:
            await self._read_again()
        return self.latest

    async def follow(self) -> AsyncIterator[TillSnapshot | None]:
        """Yields each new snapshot, and None after a while without one, until the feed closes."""
        self._viewers += 1
        self._wanted.set()
        try:
            seen = -1
            while not self._is_closed:
                latest = self.latest
                if latest is not None and latest.number != seen:
                    seen = latest.number
                    yield latest
                elif not await self._next():
                    yield None
        finally:
            self._viewers -= 1
            if not self._viewers and not self._is_closed:
                self._wanted.clear()

    async def _next(self) -> bool:
        """Waits for the next snapshot; returns whether there is one."""
        try:
            async with asyncio.timeout(STILL_S), self._changed:
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    async def _read_again(self) -> None:
        async with self._reading:
            before = self.latest
            try:
                async with asyncio.timeout(READ_S):
                    self.latest = await self._read(before)
            except DATABASE_ERRORS as error:
                if not self._has_failed:
                    log.warning("desk_not_read", error=repr(error))
                self._has_failed = True
                return
            self._has_failed = False
        async with self._changed:
            self._changed.notify_all()
