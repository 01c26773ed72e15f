"""A breaker before the broker: open after a failure, closed again by a probe that went all the way."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from tillkeeper.lanes.base import Unavailable
from tillkeeper.loops import pause, start

log = structlog.get_logger()

PROBE_FIRST_S: Final = 0.25  # a leader election or a reconnect is over in about that
PROBE_MAX_S: Final = 4.0  # a broker that is back is used again within this and the probe's own time
CLOSE_S: Final = 5.0  # a probe takes no longer than a publish


class Breaker:
    """`closed` tells whether to try.  While it is open, `probe` is called until it does not raise Unavailable."""

    def __init__(
        self, probe: Callable[[], Awaitable[None]], *, jitter: Callable[[float, float], float] = random.uniform
    ) -> None:
        self.closed = True
        self._probe = probe
        self._jitter = jitter
        self._stop = asyncio.Event()
        self._probing: asyncio.Task[None] | None = None

    def open(self, reason: str) -> None:
        """Stops the tries, and starts the probes.  Safe to repeat."""
        if self.closed and not self._stop.is_set():
            self.closed = False
            log.warning("breaker_opened", reason=reason)
            self._probing = start(self._probe_until_closed(), name="broker probe")

    async def close(self) -> None:
        """Ends the probes; the breaker stays as it is.  Safe to repeat."""
        self._stop.set()
        if self._probing is not None:
            await asyncio.wait({self._probing}, timeout=CLOSE_S)
            self._probing.cancel()

    async def _probe_until_closed(self) -> None:
        wait_s = PROBE_FIRST_S
        while not self.closed:
            await pause(self._stop, self._jitter(wait_s / 2, wait_s))
            if self._stop.is_set():
                return
            try:
                await self._probe()
            except Unavailable:
                wait_s = min(wait_s * 2, PROBE_MAX_S)
            else:
                self.closed = True
                log.info("breaker_closed")
