"""Schedules the work of one event loop: each turn has a time budget, and work beyond it waits for a later turn.

    normal        a small request that arrived whole, as gateways send them: up to 16 a turn
    low priority  the rest of a long body, or one of many requests sent at once: one a turn

Work waits only while the present turn's budget is spent, which is seldom.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final

from tillkeeper import clock

TURN_S: Final = 0.004  # most deliveries need one turn, others eight or so, and a gateway waits for seconds
REQUEST_S: Final = 0.0001  # the library's own time around a request, which is not measured
NORMAL_PER_TURN: Final = 16  # their time is known only after they have run
LARGE_BYTES: Final = 8 * 1024  # most deliveries have 2 to 5 KiB


class FairScheduler:
    """Spreads the work of one event loop over its turns."""

    def __init__(self) -> None:
        self._spent_s = 0.0
        self._is_next_due = False
        self._normal: deque[Callable[[], object]] = deque()
        self._low_priority: deque[Callable[[], object]] = deque()

    @property
    def has_time(self) -> bool:
        """Returns True while this turn has time left."""
        return self._spent_s < TURN_S

    @property
    def is_free(self) -> bool:
        """Returns True if work can begin at once, with nothing queued before it."""
        return self._spent_s < TURN_S and not self._normal

    def record_time(self, spent_s: float) -> None:
        """Counts time that work took in this turn."""
        self._spent_s += spent_s
        if not self._is_next_due:
            self._request_turn()

    def run(self, action: Callable[[bytes], object], data: bytes) -> None:
        """Runs the action now, and counts its time."""
        began_s = clock.monotonic_s()
        try:
            action(data)
        finally:
            self.record_time(clock.monotonic_s() - began_s)

    def schedule(self, action: Callable[[], object], *, low_priority: bool) -> None:
        """Runs the action in a turn that has time."""
        (self._low_priority if low_priority else self._normal).append(action)
        self._request_turn()

    async def wait(self, *, low_priority: bool) -> None:
        """Returns in a turn that has time, mostly at once."""
        if self.is_free:
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.schedule(partial(_resolve, turn), low_priority=low_priority)
        await turn

    def _request_turn(self) -> None:
        if not self._is_next_due:
            self._is_next_due = True
            asyncio.get_running_loop().call_soon(self._run_turn)

    def _run_turn(self) -> None:
        self._is_next_due = False
        self._spent_s = 0.0
        for _ in range(min(NORMAL_PER_TURN, len(self._normal))):
            if not self.has_time:
                break
            self._normal.popleft()()
        if self._low_priority:
            self._low_priority.popleft()()
        if self._normal or self._low_priority:
            self._request_turn()


def _resolve(turn: asyncio.Future[None]) -> None:
    if not turn.done():  # its waiter was cancelled
        turn.set_result(None)
