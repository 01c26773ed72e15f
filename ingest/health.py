"""GET /healthz and /readyz: alive, and able to make an event durable; and the lanes' figures."""

import asyncio
from collections.abc import Mapping
from typing import Final

from aiohttp import web
from prometheus_client import Counter

from ingest.responses import Handler, answer, not_now
from tillkeeper import clock, telemetry
from tillkeeper.lanes.intake import Intake
from tillkeeper.loops import keep_running, start
from tillkeeper.schema_watch import SchemaWatch

LOOK_S: Final = 0.2  # how old the word on readiness can be
FIGURES_S: Final = 1.0  # how old a lane's figure can be when it is scraped


class Health:
    """Answers the probes of orchestrators and load balancers."""

    def __init__(self, intake: Intake, schema: SchemaWatch) -> None:
        self._intake = intake
        self._schema = schema
        self._look: asyncio.Task[bool] | None = None
        self._looked_at_s = float("-inf")

    def routes(self) -> dict[str, dict[str, Handler]]:
        """By path, the handler of each method."""
        return {
            "/healthz": {"GET": self.alive, "HEAD": self.alive},  # load balancers look by HEAD
            "/readyz": {"GET": self.ready, "HEAD": self.ready},
        }

    async def alive(self, _request: web.Request) -> web.Response:
        """The event loop turns; says nothing about the world."""
        return answer(200, {"alive": True})

    async def ready(self, _request: web.Request) -> web.Response:
        """Whether a delivery would find a lane, and whether anybody can apply it."""
        if self._schema.unfit is not None:
            return not_now("the database has no schema that this program may serve; see the log for why")
        if await self._is_ready():
            return answer(200, {"ready": True})
        return not_now("no lane can make a delivery durable; see the log for why")

    async def _is_ready(self) -> bool:
        """One look for all who ask at once or soon after, for anybody may ask and a look costs a transaction."""
        if self._look is None or (self._look.done() and clock.monotonic_s() - self._looked_at_s > LOOK_S):
            self._looked_at_s = clock.monotonic_s()
            self._look = start(self._intake.ready(), name="readiness")
        return await asyncio.shield(self._look)


class LaneFigures:
    """Carries the intake's plain counts over to the metrics, once a second instead of once a delivery."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._reported: dict[tuple[str, str], int] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Updates the metrics until stopped."""
        await keep_running(self.run_once, name="lane figures", stop=stop, idle_s=FIGURES_S, full=2)

    async def run_once(self) -> int:
        """Adds what is new since the last update."""
        counters = self._intake.counters
        self._report("deliveries", telemetry.LANE_DELIVERIES, counters.deliveries)
        self._report("envelopes", telemetry.LANE_ENVELOPES, counters.envelopes)
        self._report("failures", telemetry.LANE_FAILURES, counters.failures)
        telemetry.BREAKER_OPEN.set(not self._intake.breaker_closed)
        return 1

    def _report(self, figure: str, counter: Counter, counts: Mapping[str, int]) -> None:
        for lane, count in counts.items():
            counter.labels(lane).inc(count - self._reported.get((figure, lane), 0))
            self._reported[figure, lane] = count
