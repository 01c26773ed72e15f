"""What every lane promises, asked of both, with real servers."""

import asyncio

import pytest

from tests.lane_handles import WITHIN_S, Lane, nothing_left, take_all, until_available
from tillkeeper import clock
from tillkeeper.lanes.base import LaneUnavailable


class LaneContract:
    async def test_what_is_acknowledged_never_comes_again(self, lane: Lane):
        receiver = await lane.receiver()
        await lane.sender.put(b"one")
        [taken] = await take_all(receiver, 1)
        assert (taken.body, taken.attempts) == (b"one", 1)
        await receiver.acknowledge([taken])
        await receiver.close()
        assert await nothing_left(await lane.receiver())

    async def test_messages_come_in_the_order_they_were_put(self, lane: Lane):
        bodies = [b"%d" % number for number in range(20)]
        for body in bodies:
            await lane.sender.put(body)
        assert [each.body for each in await take_all(await lane.receiver(), 20)] == bodies

    async def test_a_take_brings_no_more_than_its_limit(self, lane: Lane):
        for number in range(5):
            await lane.sender.put(b"%d" % number)
        receiver = await lane.receiver()
        await take_all(receiver, 1)
        assert len(await receiver.take(limit=3, wait_s=5)) <= 3

    async def test_what_is_released_comes_again_in_order_and_counts_no_attempt(self, lane: Lane):
        for number in range(4):
            await lane.sender.put(b"%d" % number)
        receiver = await lane.receiver()
        done, *_ = await take_all(receiver, 4)
        await receiver.acknowledge([done])
        await receiver.release()
        again = await take_all(receiver, 3)
        assert [(each.body, each.attempts) for each in again] == [(b"1", 1), (b"2", 1), (b"3", 1)]
        await receiver.acknowledge(again)
        await receiver.close()
        assert await nothing_left(await lane.receiver())

    async def test_closing_leaves_to_others_what_was_not_acknowledged(self, lane: Lane):
        for number in range(6):
            await lane.sender.put(b"%d" % number)
        receiver = await lane.receiver()
        taken = await take_all(receiver, 6)
        await receiver.acknowledge([taken[0], taken[1], taken[3], taken[5]])
        await receiver.close()
        other = await lane.receiver()
        assert [each.body for each in await take_all(other, 2)] == [b"2", b"4"]
        assert await nothing_left(other)

    async def test_what_a_dead_worker_held_comes_again_and_counts_the_attempt(self, lane: Lane):
        await lane.sender.put(b"one")
        receiver = await lane.receiver()
        await take_all(receiver, 1)
        await lane.let_die(receiver)
        [again] = await take_all(receiver, 1)
        assert (again.body, again.attempts) == (b"one", 2)

    async def test_two_workers_never_hold_the_same_message(self, lane: Lane):
        first, second = await lane.receiver(), await lane.receiver()
        for number in range(10):
            await lane.sender.put(b"%d" % number)
        await asyncio.gather(first.release(), second.release())
        taken = [each.body for each in await first.take(limit=10, wait_s=1) + await second.take(limit=10, wait_s=1)]
        assert len(taken) == len(set(taken))

    async def test_a_message_that_kills_its_workers_is_parked_while_others_go_on(self, lane: Lane):
        await lane.sender.put(b"poison")
        receiver = await lane.receiver()
        handed_out = 0
        while taken := await receiver.take(limit=1, wait_s=0.5):
            assert taken[0].body == b"poison"
            handed_out += 1
            await lane.let_die(receiver)
        assert handed_out == 21
        await lane.sender.put(b"sound")
        assert [each.body for each in await take_all(receiver, 1)] == [b"sound"]

        [parked] = await receiver.take_parked(limit=5)
        assert parked.body == b"poison"
        assert await receiver.take_parked(limit=5) == []
        await receiver.release()
        [parked] = await receiver.take_parked(limit=5)
        await receiver.acknowledge([parked])
        await receiver.close()
        assert await (await lane.receiver()).take_parked(limit=5) == []

    async def test_a_body_put_twice_is_the_same_body_to_whoever_takes_it(self, lane: Lane):
        await lane.sender.put(b"one")
        await lane.sender.put(b"one")
        receiver = await lane.receiver()
        taken = await take_all(receiver, 1) + await receiver.take(limit=5, wait_s=0.3)
        assert {each.body for each in taken} == {b"one"}
        await receiver.acknowledge(taken)
        assert await nothing_left(receiver)

    async def test_a_take_waits_for_the_first_message_and_for_no_more(self, lane: Lane):
        receiver = await lane.receiver()
        waiting = asyncio.ensure_future(receiver.take(limit=10, wait_s=60))
        started_s = clock.monotonic_s()
        await lane.sender.put(b"one")
        assert [each.body for each in await waiting] == [b"one"]
        assert clock.monotonic_s() - started_s < WITHIN_S

    async def test_a_take_from_an_empty_lane_ends_when_its_time_is_over(self, lane: Lane):
        receiver = await lane.receiver()
        started_s = clock.monotonic_s()
        assert await receiver.take(limit=10, wait_s=0.2) == []
        assert 0.1 < clock.monotonic_s() - started_s < WITHIN_S

    async def test_acknowledging_twice_or_nothing_is_harmless(self, lane: Lane):
        await lane.sender.put(b"one")
        receiver = await lane.receiver()
        taken = await take_all(receiver, 1)
        await receiver.acknowledge(taken)
        await receiver.acknowledge(taken)
        await receiver.acknowledge([])
        assert await nothing_left(receiver)

    async def test_a_body_of_four_mebibytes_comes_out_as_it_went_in(self, lane: Lane):
        body = bytes(range(256)) * (4 * 1024 * 4)
        await lane.sender.put(body)
        [taken] = await take_all(await lane.receiver(), 1)
        assert taken.body == body

    async def test_without_its_server_a_lane_says_so_soon_and_works_again_when_it_is_back(self, lane: Lane):
        receiver = await lane.receiver()
        await lane.sender.put(b"before")
        [held] = await take_all(receiver, 1)
        await lane.settle()
        await lane.kill_server()
        for call in (
            lane.sender.put(b"meanwhile"),
            lane.sender.check(),
            receiver.take(limit=1, wait_s=0.5),
            receiver.acknowledge([held]),
            receiver.take_parked(limit=1),
        ):
            async with asyncio.timeout(10):
                with pytest.raises(LaneUnavailable):
                    await call
        await receiver.release()

        await lane.start_server()
        await until_available(lambda: lane.sender.put(b"after"))
        await lane.sender.check()
        await receiver.release()
        again = await until_available(lambda: take_all(receiver, 2))
        assert [each.body for each in again] == [b"before", b"after"]
        await receiver.acknowledge(again)
        assert await nothing_left(receiver)

    async def test_closing_twice_is_harmless(self, lane: Lane):
        receiver = await lane.receiver()
        for _ in range(2):
            await receiver.close()
            await lane.sender.close()


@pytest.mark.rabbitmq
class TestRabbitMQ(LaneContract):
    @pytest.fixture
    def lane(self, rabbit_lane):
        return rabbit_lane


class TestSpool(LaneContract):
    @pytest.fixture
    def lane(self, spool_lane):
        return spool_lane
