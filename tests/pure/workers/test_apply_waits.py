"""A worker's loop waits before it asks a lane again that is away: asked at once, an outage would cost a core."""

from typing import cast

import asyncpg

from tests.virtual_time import Time
from tillkeeper.domain.policy import Policy
from tillkeeper.lanes.base import LaneMessage, LaneUnavailable, Receiver
from tillkeeper.workers.apply import UNAVAILABLE_WAIT_S, ApplyLoop
from tillkeeper.workers.database_retry import DatabaseRetry


class LaneAway:
    """Refuses at once while it is away, as a server does whose port is closed; then it is empty."""

    name = "spool"

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals

    async def take(self, *, limit: int, wait_s: float) -> list[LaneMessage]:
        if self.refusals:
            self.refusals -= 1
            raise LaneUnavailable("connection refused")
        return []


def loop_of(lane: LaneAway, time: Time) -> ApplyLoop:
    return ApplyLoop(
        lane=cast("Receiver", lane),
        pool=cast("asyncpg.Pool", None),
        retry=cast("DatabaseRetry", None),
        policy=lambda: cast("Policy", None),
        now=time.now,
        batch_events=1,
        sleep=time.sleep,
    )


async def test_each_refusal_is_waited_out_and_an_empty_lane_is_not():
    time = Time()
    loop = loop_of(LaneAway(refusals=3), time)
    for _ in range(3):
        assert await loop.run_once() == 0
        assert not loop.reaches_lane
    assert time.slept == [UNAVAILABLE_WAIT_S] * 3
    assert await loop.run_once() == 0
    assert loop.reaches_lane
    assert time.slept == [UNAVAILABLE_WAIT_S] * 3
