"""The gauges of a worker's lanes: the lag rises while work is in hand, and falls once the lanes are empty."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
from prometheus_client import REGISTRY

from tests.database.factories import NOON, a_delivery
from tests.lane_handles import RabbitLane, eventually
from tests.system.receiving import until
from tillkeeper.domain.delivery import Envelope, pack
from tillkeeper.domain.policy import Policy
from tillkeeper.lanes.spool import SpoolReceiver, SpoolSender
from tillkeeper.workers.apply import ApplyLoop
from tillkeeper.workers.database_retry import DatabaseRetry
from tillkeeper.workers.lane_gauges import LaneGauges


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


def an_envelope(came) -> bytes:
    delivery = a_delivery(run=uuid4(), number=1, received_at=came)
    return pack(Envelope(run=delivery.run, deliveries=(delivery,)))


def a_loop(lane, pool) -> ApplyLoop:
    retry = DatabaseRetry(asyncio.Event())
    return ApplyLoop(lane=lane, pool=pool, retry=retry, policy=Policy, now=lambda: NOON, batch_events=50)


@pytest.fixture
async def spool(pool, database):
    receiver = await SpoolReceiver.open(pool, database)
    yield receiver
    await receiver.close()


async def test_the_lag_grows_with_what_is_in_hand_and_is_nothing_once_the_lane_is_empty(pool, spool, connection):
    loop, now = a_loop(spool, pool), NOON + timedelta(minutes=1)
    gauges = LaneGauges([loop], [spool], now=lambda: now)
    await SpoolSender(pool).put(an_envelope(NOON))
    async with connection.transaction():
        await connection.execute("LOCK TABLE deliveries IN EXCLUSIVE MODE")
        applying = asyncio.ensure_future(loop.run_once())
        await eventually(lambda: loop.behind_since == NOON)
        await gauges.measure_lag()
        assert value("tillkeeper_apply_lag_seconds") == 60
        now += timedelta(minutes=1)
        await gauges.measure_lag()
        assert value("tillkeeper_apply_lag_seconds") == 120
    assert await applying == 1
    assert await loop.run_once() == 0
    await gauges.measure_lag()
    assert value("tillkeeper_apply_lag_seconds") == 0
    assert value("tillkeeper_lane_consumers", lane="spool") == 1


async def test_a_lane_that_is_out_of_reach_has_no_consumer(pool, spool, postgres_server):
    loop = a_loop(spool, pool)
    gauges = LaneGauges([loop], [spool], now=lambda: NOON)
    await postgres_server.stop()
    assert await loop.run_once() == 0
    await gauges.measure_lag()
    assert value("tillkeeper_lane_consumers", lane="spool") == 0


@pytest.mark.rabbitmq
async def test_what_waits_in_rabbitmq_is_counted_with_what_is_held_here(rabbitmq, broker_url, broker_prefix, pool):
    async with RabbitLane(rabbitmq, broker_prefix) as lane:
        for _ in range(3):
            await lane.sender.put(an_envelope(NOON))
        receiver = await lane.receiver(prefetch=1)
        loop, now = a_loop(receiver, pool), NOON + timedelta(minutes=1)
        gauges = LaneGauges([loop], [receiver], now=lambda: now)
        await eventually(lambda: receiver.held == 1)

        async def counts(messages: int) -> bool:
            await gauges.measure_depth()
            return value("tillkeeper_lane_messages", lane="rabbitmq") == messages

        await until(lambda: counts(3))
        for _ in range(3):
            assert await loop.run_once() == 1
        await gauges.measure_lag()
        assert value("tillkeeper_lane_oldest_seconds", lane="rabbitmq") == 60
        await until(lambda: counts(0))
        assert await loop.run_once() == 0
        await gauges.measure_lag()
        assert value("tillkeeper_lane_oldest_seconds", lane="rabbitmq") == 0


@pytest.mark.rabbitmq
async def test_messages_that_nobody_hands_out_grow_old_all_the_same(rabbitmq, broker_url, broker_prefix, pool):
    async with RabbitLane(rabbitmq, broker_prefix) as lane:
        holder, other = await lane.receiver(prefetch=1), await lane.receiver(prefetch=1)
        for _ in range(3):
            await lane.sender.put(an_envelope(NOON))
        await eventually(lambda: holder.held == other.held == 1)
        idle = await lane.receiver(prefetch=1)
        await eventually(lambda: idle.held == 1)
        await lane.sender.put(an_envelope(NOON))
        now = NOON
        gauges = LaneGauges([a_loop(idle, pool)], [idle], now=lambda: now)
        idle._session.unacknowledged.clear()  # as if its consumer was cancelled unnoticed

        async def sees_it() -> bool:
            await gauges.measure_depth()
            return value("tillkeeper_lane_messages", lane="rabbitmq") == 1

        await until(sees_it)
        now += timedelta(minutes=5)
        await gauges.measure_lag()
        assert value("tillkeeper_lane_oldest_seconds", lane="rabbitmq") == 300
