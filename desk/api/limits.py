"""Bounds how often one token asks: so many requests at once, and then so many a second.

Each process of the desk counts by itself, and remembers the callers of the last while.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final

from aiohttp import web

from tillkeeper import clock

PER_S: Final = 20.0  # a page of the desk takes a few; what asks more often than that does not wait for answers
BURST: Final = 100.0
CALLERS_MAX: Final = 1_000  # nobody has as many tokens; the one that asked longest ago is forgotten


class Limiter:
    """How much each caller has left."""

    def __init__(
        self, *, now_s: Callable[[], float] = clock.monotonic_s, per_s: float = PER_S, burst: float = BURST
    ) -> None:
        self._now_s = now_s
        self._per_s = per_s
        self._burst = burst
        self._left: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()  # and as of when

    def wait_s(self, caller: Hashable, cost: float = 1.0) -> float:
        """Takes a request's cost; returns 0, or for how long the caller must wait, and takes nothing."""
        now_s = self._now_s()
        left, since_s = self._left.pop(caller, (self._burst, now_s))
        left = min(self._burst, left + (now_s - since_s) * self._per_s)
        is_allowed = left >= cost
        self._left[caller] = (left - cost if is_allowed else left, now_s)
        while len(self._left) > CALLERS_MAX:
            self._left.popitem(last=False)
        return 0.0 if is_allowed else (cost - left) / self._per_s


LIMITER: Final = web.AppKey("LIMITER", Limiter)
