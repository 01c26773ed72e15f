"""A turn of the event loop is short whoever asks for much: what has no time in it waits for a later one.

    first    what a gateway sends: a request that came whole, and is small
    behind   the rest of a long body, one of many requests sent at once: one of these a turn

Nothing waits while there is time, as there nearly always is.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final

from tillkeeper import clock

TURN_S: Final = 0.002  # a request needs eight turns or so, and a gateway waits for seconds
REQUEST_S: Final = 0.0001  # what the library takes around a request, which is not measured
FIRST_PER_TURN: Final = 16  # of those that are measured only after they went on
LARGE_BYTES: Final = 8 * 1024  # most deliveries have 2 to 5 KiB


class Turns:
    """Of one event loop."""

    def __init__(self) -> None:
        self._spent_s = 0.0
        self._is_next_due = False
        self._first: deque[Callable[[], object]] = deque()
        self._behind: deque[Callable[[], object]] = deque()

    @property
    def has_time(self) -> bool:
        """Whether anything may still be done in this turn."""
        return self._spent_s < TURN_S

    @property
    def is_free(self) -> bool:
        """Whether nobody has to wait."""
        return self._spent_s < TURN_S and not self._first

    def spend(self, spent_s: float) -> None:
        """So much was done in this turn."""
        self._spent_s += spent_s
        if not self._is_next_due:
            self._have_next()

    def measure(self, act: Callable[[bytes], object], data: bytes) -> None:
        """Does it, and counts how long that took."""
        began_s = clock.monotonic_s()
        try:
            act(data)
        finally:
            self.spend(clock.monotonic_s() - began_s)

    def later(self, act: Callable[[], object], *, behind: bool) -> None:
        """Does it in a turn that has time."""
        (self._behind if behind else self._first).append(act)
        self._have_next()

    async def wait(self, *, behind: bool) -> None:
        """Returns in a turn that has time: mostly at once."""
        if self.is_free:
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.later(partial(_end, turn), behind=behind)
        await turn

    def _have_next(self) -> None:
        if not self._is_next_due:
            self._is_next_due = True
            asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        self._is_next_due = False
        self._spent_s = 0.0
        for _ in range(min(FIRST_PER_TURN, len(self._first))):
            if not self.has_time:
                break
            self._first.popleft()()
        if self._behind:
            self._behind.popleft()()
        if self._first or self._behind:
            self._have_next()


def _end(turn: asyncio.Future[None]) -> None:
    if not turn.done():  # whoever waited is gone
        turn.set_result(None)
