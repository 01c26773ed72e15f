"""The breaker before the broker: it opens after one failure, and a probe that goes all the way closes it again.

A delivery is never the trial: while the breaker is open, deliveries go another way.
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
    """`is_closed` tells whether to try.  While it is open, `probe` is called until it does not raise Unavailable."""

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
        """False while the broker is passed by."""
        return self._breaker.is_closed

    def open(self, reason: str) -> None:
        """Stops the tries, and starts the probes.  Safe to repeat."""
        if self._breaker.is_closed and not self._stop.is_set():
            self._breaker.failed(self._monotonic_s())
            log.warning("breaker_opened", reason=reason)
            self._probing = start(self._probe_until_closed(), name="broker probe")

    async def close(self) -> None:
        """Ends the probes; the breaker stays as it is.  Safe to repeat."""
        self._stop.set()
        if self._probing is not None:
            await asyncio.wait({self._probing}, timeout=CLOSE_S)
            self._probing.cancel()

    async def _probe_until_closed(self) -> None:
        while not self._breaker.is_closed:
            await pause(self._stop, self._breaker.left_s(self._monotonic_s()))
            if self._stop.is_set():
                return
            if not self._breaker.enter(self._monotonic_s()):  # the pause ended a moment too soon
                continue
            try:
                await self._probe()
            except LaneUnavailable:
                self._breaker.failed(self._monotonic_s())
            else:
                self._breaker.succeeded()
                log.info("breaker_closed")
