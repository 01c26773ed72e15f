"""Keeps the gauges of a worker's lanes: how far behind it is, how much waits, and whether it reaches them."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from tillkeeper.lanes.base import LaneUnavailable, Receiver
from tillkeeper.lanes.rabbitmq_receiver import RabbitReceiver
from tillkeeper.telemetry import APPLY_LAG_SECONDS, LANE_CONSUMERS, LANE_MESSAGES, LANE_OLDEST_SECONDS
from tillkeeper.workers.apply import ApplyLoop

LAG_EVERY_S: Final = 1.0
DEPTH_EVERY_S: Final = 5.0  # a call to the broker for each shard


class LaneGauges:
    """Sets the gauges of the loops' lanes.  The spool is counted by sweeps, once for all workers."""

    def __init__(self, loops: Sequence[ApplyLoop], lanes: Sequence[Receiver], *, now: Callable[[], datetime]) -> None:
        self._loops = loops
        self._queues = [lane for lane in lanes if isinstance(lane, RabbitReceiver)]
        self._now = now
        self._untouched_since: datetime | None = None  # messages wait, and none comes here

    async def measure_lag(self) -> int:
        """Sets how far behind the loops are, also while they wait for the database.  It has nothing to handle."""
        now, lag_s, consumers = self._now(), defaultdict[str, float](float), defaultdict[str, int](int)
        for loop in self._loops:
            since, lane = loop.behind_since, loop.lane_name
            lag_s[lane] = max(lag_s[lane], (now - since).total_seconds() if since else 0.0)
            consumers[lane] += loop.reaches_lane
        APPLY_LAG_SECONDS.set(max(lag_s.values(), default=0.0))
        for lane, count in consumers.items():
            LANE_CONSUMERS.labels(lane).set(count)
        if self._queues:
            since = self._untouched_since
            untouched_s = (now - since).total_seconds() if since else 0.0
            LANE_OLDEST_SECONDS.labels(RabbitReceiver.name).set(max(lag_s[RabbitReceiver.name], untouched_s))
        return 0

    async def measure_depth(self) -> int:
        """Sets how many messages wait in RabbitMQ.  It has nothing to handle; what is not known stands as before."""
        if not self._queues:
            return 0
        try:
            ready = await self._queues[0].ready()
        except LaneUnavailable:
            return 0
        held = sum(queue.held for queue in self._queues)
        LANE_MESSAGES.labels(RabbitReceiver.name).set(ready + held)
        self._untouched_since = (self._untouched_since or self._now()) if ready and not held else None
        return 0
