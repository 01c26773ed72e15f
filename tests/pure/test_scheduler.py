"""Turns of the event loop: what has no time in one waits for a later one, and small requests go before long ones."""

import asyncio

import pytest

from tillkeeper.ingest.scheduler import NORMAL_PER_TURN, TURN_S, FairScheduler

PASSES_MAX = 200


@pytest.fixture
async def scheduler():
    return FairScheduler()


async def passes(done):
    """How many turns of the loop go by until it holds."""
    for count in range(PASSES_MAX):
        if done():
            return count
        await asyncio.sleep(0)
    raise AssertionError("it never came to its turn")


async def test_while_there_is_time_nobody_waits(scheduler):
    scheduler.record_time(TURN_S / 2)
    await scheduler.wait(low_priority=False)
    await scheduler.wait(low_priority=True)
    assert scheduler.has_time


async def find_no_time(scheduler, *, low_priority=False):
    """In a turn in which nothing more may be done."""
    scheduler.record_time(TURN_S)
    await scheduler.wait(low_priority=low_priority)


async def test_what_finds_no_time_left_waits_for_another_turn(scheduler):
    went = []
    scheduler.record_time(TURN_S)
    asyncio.get_running_loop().call_soon(went.append, "another")
    await scheduler.wait(low_priority=False)
    assert went == ["another"]
    assert scheduler.has_time


async def test_of_what_is_long_one_goes_on_in_each_turn_and_what_is_short_goes_first(scheduler):
    scheduler.record_time(TURN_S)
    went = []
    for number in range(5):
        scheduler.schedule(
            lambda number=number: (went.append(("long", number)), scheduler.record_time(TURN_S)), low_priority=True
        )
    for number in range(5):
        scheduler.schedule(lambda number=number: went.append(("short", number)), low_priority=False)
    await passes(lambda: len(went) >= 6)
    assert went[:6] == [*(("short", number) for number in range(5)), ("long", 0)]
    await passes(lambda: len(went) == 10)


async def test_so_many_short_ones_go_on_in_one_turn_and_no_more(scheduler):
    waiting = [asyncio.ensure_future(find_no_time(scheduler)) for _ in range(3 * NORMAL_PER_TURN)]
    await passes(waiting[0].done)
    assert sum(each.done() for each in waiting) <= NORMAL_PER_TURN
    await asyncio.gather(*waiting)


async def test_short_ones_that_are_long_after_all_leave_time_for_others(scheduler):
    scheduler.record_time(TURN_S)
    went = []
    for number in range(4):
        scheduler.schedule(
            lambda number=number: (went.append(number), scheduler.record_time(TURN_S)), low_priority=False
        )
    await passes(lambda: bool(went))
    assert went == [0]
    await passes(lambda: len(went) == 4)


async def test_who_goes_while_it_waits_keeps_nobody(scheduler):
    gone, other = (asyncio.ensure_future(find_no_time(scheduler)) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    await other
    assert gone.cancelled()
