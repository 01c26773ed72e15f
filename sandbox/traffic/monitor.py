"""Watches a Tillkeeper during a run: reads its metrics and its database now and then."""

import asyncio
import re
from collections import Counter
from collections.abc import Mapping
from typing import Final

import aiohttp
import asyncpg
import msgspec

from tillkeeper.domain.statuses import Status
from tillkeeper.store.postgres.sqlstates import DATABASE_ERRORS
from tillkeeper.store.reports.overview import OrderStanding, Overview, overview, standings

_LANE: Final = re.compile(r'^tillkeeper_lane_deliveries_total\{lane="([^"]+)"\} (\S+)$', re.MULTILINE)
_BREAKER: Final = re.compile(r"^tillkeeper_breaker_open (\S+)$", re.MULTILINE)


class TrafficSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One look.  `applied` counts deliveries that the workers have taken up since the first look."""

    applied: int = 0
    waiting: int = 0
    parked: int = 0
    orders: dict[Status, int] = {}
    lanes: dict[str, int] = {}  # deliveries that each carried
    lane: str = ""  # the one in use
    broker_passed_by: bool = False
    stale: bool = False  # Tillkeeper could not be asked; these are the figures of before


class Monitor:
    """Looks at one Tillkeeper."""

    def __init__(
        self, *, session: aiohttp.ClientSession, metrics_url: str | None, pool: asyncpg.Pool, run: str
    ) -> None:
        self._session = session
        self._metrics_url = metrics_url
        self._pool = pool
        self._begins = f"{run}-"
        self._before = 0
        self._lane_counts: dict[str, int] = {}
        self._one_at_a_time = asyncio.Lock()
        self.snapshot = TrafficSnapshot()

    async def begin(self) -> None:
        """From here on deliveries are counted.  Raises what the database and the client raise."""
        self._before = (await overview(self._pool, begins=self._begins)).deliveries
        self._lane_counts = _lanes(await self._metrics())

    async def again(self) -> TrafficSnapshot:
        """Returns a fresh look; where Tillkeeper or its database is away, the old one, marked as stale."""
        async with self._one_at_a_time:  # an older answer must not come after a newer one
            try:
                found = await overview(self._pool, begins=self._begins)
                metrics = await self._metrics()
            except (aiohttp.ClientError, *DATABASE_ERRORS):
                self.snapshot = msgspec.structs.replace(self.snapshot, stale=True)
            else:
                self.snapshot = self._seen(found, metrics)
            return self.snapshot

    async def standings(self) -> dict[str, OrderStanding]:
        """Returns how each of our orders stands in the database."""
        return await standings(self._pool, begins=self._begins)

    def _seen(self, found: Overview, metrics: str) -> TrafficSnapshot:
        before, self._lane_counts = self._lane_counts, _lanes(metrics)
        carried = grown(before, self._lane_counts)
        breaker = _BREAKER.search(metrics)
        return TrafficSnapshot(
            applied=found.deliveries - self._before,
            waiting=found.waiting,
            parked=found.parked,
            orders=found.orders,
            lanes=dict(Counter(self.snapshot.lanes) + Counter(carried)),
            lane=" and ".join(sorted(carried)) or self.snapshot.lane,
            broker_passed_by=breaker is not None and float(breaker[1]) > 0,
        )

    async def _metrics(self) -> str:
        if self._metrics_url is None:
            return ""
        async with self._session.get(self._metrics_url) as answer:
            return await answer.text()


def _lanes(metrics: str) -> dict[str, int]:
    return {lane: int(float(count)) for lane, count in _LANE.findall(metrics)}


def grown(before: Mapping[str, int], now: Mapping[str, int]) -> dict[str, int]:
    """By how much each count has grown, those alone that have; one that fell began anew with its process."""
    by = {name: count - before.get(name, 0) if count >= before.get(name, 0) else count for name, count in now.items()}
    return {name: growth for name, growth in by.items() if growth}
