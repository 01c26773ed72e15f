"""Serves GET /healthz (alive) and /readyz (able to make an event durable), and updates the lanes' metrics."""

import asyncio
from collections.abc import Mapping
from typing import Final

from aiohttp import web
from prometheus_client import Counter

from tillkeeper import clock, telemetry
from tillkeeper.ingest.api_types import Alive, Ready
from tillkeeper.ingest.responses import Handler, answer, unavailable_response
from tillkeeper.lanes.intake import Intake
from tillkeeper.loops import keep_running, start
from tillkeeper.schema_watch import SchemaWatch

LOOK_S: Final = 0.2  # how old the answer on readiness can be
FIGURES_S: Final = 1.0  # how old a lane's counts can be when they are scraped


class HealthProbes:
    """Answers the probes of orchestrators and load balancers."""

    def __init__(self, intake: Intake, schema: SchemaWatch) -> None:
        self._intake = intake
        self._schema = schema
        self._look: asyncio.Task[bool] | None = None
        self._looked_at_s = float("-inf")

    def routes(self) -> dict[str, dict[str, Handler]]:
        """Returns the handler of each method, by path."""
        return {
            "/healthz": {"GET": self.alive, "HEAD": self.alive},  # load balancers probe by HEAD
            "/readyz": {"GET": self.ready, "HEAD": self.ready},
        }

    async def alive(self, _request: web.Request) -> web.Response:
        """Answers as long as the event loop runs; says nothing about broker or database."""
        return answer(200, Alive())

    async def ready(self, _request: web.Request) -> web.Response:
        """Answers whether a lane would take a delivery, and whether it could be applied."""
        if self._schema.unfit is not None:
            return unavailable_response("the database has no schema that this program may serve; see the log for why")
        if await self._is_ready():
            return answer(200, Ready())
        return unavailable_response("no lane can make a delivery durable; see the log for why")

    async def _is_ready(self) -> bool:
        """Checks the lanes once for all who ask within a while: anybody may ask, and a check costs a transaction."""
        if self._look is None or (self._look.done() and clock.monotonic_s() - self._looked_at_s > LOOK_S):
            self._looked_at_s = clock.monotonic_s()
            self._look = start(self._intake.ready(), name="readiness")
        return await asyncio.shield(self._look)


class LaneFigures:
    """Copies the intake's counters to the metrics, once a second instead of once a delivery."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._reported: dict[tuple[str, str], int] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Updates the metrics until stopped."""
        await keep_running(self.run_once, name="lane figures", stop=stop, idle_s=FIGURES_S, full=2)

    async def run_once(self) -> int:
        """Adds what was counted since the last update."""
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
