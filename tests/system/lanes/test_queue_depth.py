"""How many messages wait in RabbitMQ, as the desk looks at it."""

import pytest

from tests.lane_handles import RabbitLane
from tillkeeper import clock
from tillkeeper.lanes.queue_depth import QueueDepth

pytestmark = pytest.mark.rabbitmq
WITHIN_S = 180.0


async def looked(depth: QueueDepth, expected: int | None) -> None:
    """Looks until that many wait."""
    until_s = clock.monotonic_s() + WITHIN_S
    await depth.look_once()
    while depth.ready != expected:
        assert clock.monotonic_s() < until_s, f"{depth.ready} wait"
        await depth.look_once()


async def test_messages_that_wait_are_counted_over_all_shards(rabbitmq, broker_url, broker_prefix):
    async with RabbitLane(rabbitmq, broker_prefix, shards=2) as lane:
        depth = QueueDepth(broker_url, lane.topology)
        await looked(depth, 0)
        for shard in (0, 1, 1):
            await lane.sender.put(b"one", shard=shard)
        await looked(depth, 3)
        await depth.close()


async def test_what_cannot_be_counted_is_not_known_and_is_counted_again_later(rabbitmq, broker_url, broker_prefix):
    async with RabbitLane(rabbitmq, broker_prefix) as lane:
        depth = QueueDepth(broker_url, lane.topology)
        await looked(depth, 0)
        await lane.settle()
        await rabbitmq.kill()
        await looked(depth, None)
        await rabbitmq.start()
        await looked(depth, 0)
        await depth.close()


async def test_queues_that_nobody_declared_yet_are_not_known(broker_url, broker_prefix, rabbitmq):
    depth = QueueDepth(broker_url, RabbitLane(rabbitmq, broker_prefix).topology)
    await looked(depth, None)
    await depth.close()
