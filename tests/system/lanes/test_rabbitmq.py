"""What only RabbitMQ can do wrong: unroutable, full, blocked, hung, cut off."""

import asyncio
import json
import random
from functools import partial

import aio_pika
import pytest

from tests.lane_handles import WITHIN_S, RabbitLane, eventually, nothing_left, take_all, until_available
from tillkeeper import clock
from tillkeeper.lanes.base import LaneUnavailable
from tillkeeper.lanes.bounded import bounded, unavailable_if_it_fails
from tillkeeper.lanes.broker_connection import BrokerConnection, broker_urls
from tillkeeper.lanes.rabbitmq_sender import RabbitSender
from tillkeeper.lanes.topology import Topology

pytestmark = pytest.mark.rabbitmq


async def delete_queue(lane: RabbitLane, shard: int = 0) -> None:
    async with await aio_pika.connect(lane.node.url) as connection:
        channel = await connection.channel()
        await channel.queue_delete(lane.topology.queue(shard))


async def refused_within(lane: RabbitLane, within_s: float) -> None:
    started_s = clock.monotonic_s()
    with pytest.raises(LaneUnavailable):
        await lane.sender.put(b"refused")
    assert clock.monotonic_s() - started_s < within_s


async def until_refused(lane: RabbitLane, *, within_s: float) -> None:
    """Puts until one is refused; none may take longer than `within_s`, taken or not."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            try:
                async with asyncio.timeout(within_s):
                    await lane.sender.put(b"while it lasts")
            except LaneUnavailable:
                return


async def test_what_no_queue_takes_is_refused_and_the_queue_heals(rabbit_lane: RabbitLane):
    await rabbit_lane.sender.put(b"before")
    await delete_queue(rabbit_lane)
    await refused_within(rabbit_lane, 2.5)  # a confirm that does not come takes three
    await until_available(lambda: rabbit_lane.sender.put(b"after"))
    assert (await take_all(await rabbit_lane.receiver(), 1))[0].body == b"after"


async def test_an_exchange_that_was_deleted_heals(rabbit_lane: RabbitLane):
    async with await aio_pika.connect(rabbit_lane.node.url) as connection:
        await (await connection.channel()).exchange_delete(rabbit_lane.topology.exchange)
    await refused_within(rabbit_lane, WITHIN_S)
    await until_available(lambda: rabbit_lane.sender.put(b"after"))


async def test_a_consumer_whose_queue_was_deleted_heals(rabbit_lane: RabbitLane):
    receiver = await rabbit_lane.receiver()
    await delete_queue(rabbit_lane)
    await until_available(lambda: rabbit_lane.sender.put(b"after"))
    [taken] = await until_available(lambda: take_all(receiver, 1))
    assert taken.body == b"after"


async def test_a_full_queue_refuses_the_newest_and_keeps_the_connection(rabbit_lane: RabbitLane):
    topology = rabbit_lane.topology
    policy = ("--apply-to", "queues", topology.prefix, f"^{topology.prefix}", json.dumps({"max-length": 1}))
    await rabbit_lane.node.ctl("set_policy", *policy)
    refused = 0
    for number in range(10):
        try:
            await rabbit_lane.sender.put(b"%d" % number)
        except LaneUnavailable:
            refused += 1
    assert refused >= 7
    await rabbit_lane.sender.check()
    await rabbit_lane.node.ctl("clear_policy", topology.prefix)
    taken = await take_all(await rabbit_lane.receiver(), 10 - refused)
    assert taken[0].body == b"0"


async def test_a_memory_alarm_refuses_in_time_and_clears(rabbit_lane: RabbitLane):
    await rabbit_lane.node.ctl("set_vm_memory_high_watermark", "0.0000001")
    try:
        # The node tells its connections of an alarm one by one, some time after it has answered the command.
        await until_refused(rabbit_lane, within_s=4)
    finally:
        await rabbit_lane.node.ctl("set_vm_memory_high_watermark", "absolute", "1GB")
    await until_available(lambda: rabbit_lane.sender.put(b"after"))


async def test_a_hung_node_refuses_in_time_and_is_used_again_when_it_goes_on(rabbit_lane: RabbitLane):
    receiver = await rabbit_lane.receiver()
    rabbit_lane.node.pause()
    try:
        await refused_within(rabbit_lane, WITHIN_S)
        await refused_within(rabbit_lane, 2.5)  # a confirm that does not come takes three
        assert await receiver.take(limit=1, wait_s=0.1) == []
    finally:
        rabbit_lane.node.resume()
    await until_available(lambda: rabbit_lane.sender.put(b"after"))
    bodies = {(await until_available(lambda: take_all(receiver, 1)))[0].body for _ in range(2)}
    assert b"after" in bodies  # the refused one had arrived after all: unknown is not failed


async def test_connections_that_the_broker_closes_are_made_again(rabbit_lane: RabbitLane):
    receiver = await rabbit_lane.receiver()
    await rabbit_lane.sender.put(b"held")
    [held] = await take_all(receiver, 1)
    session = receiver._session
    await rabbit_lane.node.ctl("close_all_connections", "test")
    await eventually(lambda: receiver._session is not None and receiver._session is not session)
    with pytest.raises(LaneUnavailable):
        await receiver.acknowledge([held])
    again = await take_all(receiver, 1)
    assert [(each.body, each.attempts) for each in again] == [(b"held", 2)]
    await receiver.acknowledge(again)
    await until_available(lambda: rabbit_lane.sender.put(b"after"))
    assert (await take_all(receiver, 1))[0].body == b"after"


async def test_the_watch_leaves_a_sound_consumer_alone_and_starts_a_silent_one_anew(rabbit_lane: RabbitLane):
    receiver = await rabbit_lane.receiver()
    session = receiver._session
    for _ in range(3):
        await receiver.watch_once()
    assert not session.lost.is_set()

    for channel in list(session.aside._connection.transport.connection.channels.values()):
        for tag in list(channel.consumers):
            await channel.basic_cancel(tag)
    await rabbit_lane.sender.put(b"unseen")
    for _ in range(2):
        await receiver.watch_once()
    [taken] = await until_available(lambda: take_all(receiver, 1))
    assert taken.body == b"unseen"


async def test_each_shard_has_its_own_queue_and_workers_choose_theirs(rabbitmq, broker_url, broker_prefix):
    async with RabbitLane(rabbitmq, broker_prefix, shards=2) as lane:
        await lane.sender.put(b"zero", shard=0)
        await lane.sender.put(b"one", shard=1)
        with pytest.raises(LaneUnavailable):
            await lane.sender.put(b"two", shard=2)
        one = await lane.receiver(shards=[1])
        assert [each.body for each in await take_all(one, 1)] == [b"one"]
        assert await nothing_left(one)
        assert [each.body for each in await take_all(await lane.receiver(), 1)] == [b"zero"]


async def test_a_receiver_gets_what_those_of_a_higher_priority_have_no_room_for(rabbit_lane: RabbitLane):
    last = await rabbit_lane.receiver(priority=0)
    first = await rabbit_lane.receiver(priority=1, prefetch=2)
    for body in (b"1", b"2", b"3"):
        await rabbit_lane.sender.put(body)
    assert [each.body for each in await take_all(first, 2)] == [b"1", b"2"]
    assert [each.body for each in await take_all(last, 1)] == [b"3"]


async def test_a_sender_walks_the_host_list(rabbitmq, broker_url, broker_prefix):
    login = broker_url.removesuffix("/").rpartition("@")
    url = f"{login[0]}@127.0.0.1:1,{login[2]}/"
    sender = await RabbitSender.open(url, Topology(prefix=broker_prefix))
    await sender.put(b"one")
    await sender.close()


async def test_a_sender_may_be_opened_before_its_broker_is_there(monkeypatch, broker_prefix):
    monkeypatch.setattr("tillkeeper.lanes.broker_connection.CONNECT_S", 0.2)
    sender = await RabbitSender.open("amqp://guest:guest@127.0.0.1:1/", Topology(prefix=broker_prefix))
    for call in (sender.put(b"one"), sender.check()):
        with pytest.raises(LaneUnavailable):
            await call
    await sender.close()


async def test_closing_lets_a_put_in_flight_finish(rabbit_lane: RabbitLane):
    putting = asyncio.ensure_future(rabbit_lane.sender.put(b"one"))
    await asyncio.sleep(0)
    await rabbit_lane.sender.close()
    await putting
    with pytest.raises(LaneUnavailable):
        await rabbit_lane.sender.put(b"two")


def test_a_broker_url_may_name_several_hosts():
    assert [str(url) for url in broker_urls("amqp://me:p%2Fw@one:5672,two/shop?heartbeat=9", name="x")] == [
        "amqp://me:p%2Fw@one:5672/shop?heartbeat=9&name=x",
        "amqp://me:p%2Fw@two/shop?heartbeat=9&name=x",
    ]
    assert broker_urls("amqp://localhost", name="x")[0].query["heartbeat"] == "5"


def test_the_back_off_grows_and_stays_bounded():
    link = BrokerConnection("amqp://localhost", name="x", set_up=None, tear_down=None, jitter=random.Random(1).uniform)
    for rounds, most_s in ((0, 0.1), (1, 0.2), (20, 3.0), (2_000, 3.0)):
        assert most_s / 2 <= link._backoff_s(rounds) <= most_s


BOUNDS = pytest.mark.parametrize(
    "bound", [partial(bounded, timeout_s=5), unavailable_if_it_fails], ids=["task", "none"]
)


@BOUNDS
async def test_a_cancellation_by_the_library_is_a_failure_like_any_other(bound):
    async def call():
        raise asyncio.CancelledError

    with pytest.raises(LaneUnavailable, match="cut off"):
        await bound(call(), what="publishing")


@BOUNDS
async def test_our_own_cancellation_is_passed_on(bound):
    started = asyncio.Event()

    async def call():
        started.set()
        await asyncio.Event().wait()

    calling = asyncio.ensure_future(bound(call(), what="publishing"))
    await started.wait()
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling


@BOUNDS
async def test_a_failure_of_the_library_makes_the_lane_unavailable_and_is_told(bound):
    async def call():
        raise OSError("no route to the broker")

    with pytest.raises(LaneUnavailable, match=r"publishing failed: .*no route to the broker") as unavailable:
        await bound(call(), what="publishing")
    assert isinstance(unavailable.value.__cause__, OSError)
