"""The breaker of the broker: it opens after one failure, and closes after a probe that was confirmed.

A delivery is never the trial: while the breaker is open, deliveries go to PostgreSQL.  intake.py reports the failures.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from tillkeeper import clock
from tillkeeper.breaker import Breaker
from tillkeeper.domain.backoff import BROKER_PROBE, Jitter
from tillkeeper.lanes.base import LaneUnavailable
from tillkeeper.loops import pause, start

log = structlog.get_logger()

CLOSE_S: Final = 5.0  # a probe takes no longer than a publish


class BrokerBreaker:
    """Says whether to use the broker.  While open, it calls `probe` until that no longer raises LaneUnavailable."""

    def __init__(
        self,
        probe: Callable[[], Awaitable[None]],
        *,
        jitter: Jitter = random.uniform,
        monotonic_s: Callable[[], float] = clock.monotonic_s,
    ) -> None:
        self._breaker = Breaker(failures_max=1, cooldown=BROKER_PROBE, jitter=jitter)
        self._probe = probe
        self._monotonic_s = monotonic_s
        self._stop = asyncio.Event()
        self._probing: asyncio.Task[None] | None = None

    @property
    def is_closed(self) -> bool:
        """Returns True while deliveries go to the broker."""
        return self._breaker.is_closed

    def open(self, reason: str) -> None:
        """Opens the breaker, and starts probing.  Safe to repeat."""
        if self._breaker.is_closed and not self._stop.is_set():
            self._breaker.failed(self._monotonic_s())
            log.warning("breaker_opened", reason=reason)
            self._probing = start(self._probe_until_closed(), name="broker probe")

    async def close(self) -> None:
        """Stops probing; the breaker stays as it is.  Safe to repeat."""
        self._stop.set()
        if self._probing is not None:
            await asyncio.wait({self._probing}, timeout=CLOSE_S)
            self._probing.cancel()

    async def _probe_until_closed(self) -> None:
        while not self._breaker.is_closed:
            await pause(self._stop, self._breaker.cooldown_left_s(self._monotonic_s()))
            if self._stop.is_set():
                return
            if not self._breaker.begin_call(self._monotonic_s()):  # the pause ended a moment early
                continue
            try:
                await self._probe()
            except LaneUnavailable:
                self._breaker.failed(self._monotonic_s())
            else:
                self._breaker.succeeded()
                log.info("breaker_closed")
