"""Turns of the event loop: what has no time in one waits for a later one, and small requests go before long ones."""

import asyncio

import pytest

from ingest.turns import FIRST_PER_TURN, TURN_S, Turns

PASSES_MAX = 200


@pytest.fixture
async def turns():
    return Turns()


async def passes(done):
    """How many turns of the loop go by until it holds."""
    for count in range(PASSES_MAX):
        if done():
            return count
        await asyncio.sleep(0)
    raise AssertionError("it never came to its turn")


async def test_while_there_is_time_nobody_waits(turns):
    turns.spend(TURN_S / 2)
    await turns.wait(behind=False)
    await turns.wait(behind=True)
    assert turns.has_time


async def find_no_time(turns, *, behind=False):
    """In a turn in which nothing more may be done."""
    turns.spend(TURN_S)
    await turns.wait(behind=behind)


async def test_what_finds_no_time_left_waits_for_another_turn(turns):
    went = []
    turns.spend(TURN_S)
    asyncio.get_running_loop().call_soon(went.append, "another")
    await turns.wait(behind=False)
    assert went == ["another"]
    assert turns.has_time


async def test_of_what_is_long_one_goes_on_in_each_turn_and_what_is_short_goes_first(turns):
    turns.spend(TURN_S)
    went = []
    for number in range(5):
        turns.later(lambda number=number: (went.append(("long", number)), turns.spend(TURN_S)), behind=True)
    for number in range(5):
        turns.later(lambda number=number: went.append(("short", number)), behind=False)
    await passes(lambda: len(went) >= 6)
    assert went[:6] == [*(("short", number) for number in range(5)), ("long", 0)]
    await passes(lambda: len(went) == 10)


async def test_so_many_short_ones_go_on_in_one_turn_and_no_more(turns):
    waiting = [asyncio.ensure_future(find_no_time(turns)) for _ in range(3 * FIRST_PER_TURN)]
    await passes(waiting[0].done)
    assert sum(it.done() for it in waiting) <= FIRST_PER_TURN
    await asyncio.gather(*waiting)


async def test_short_ones_that_are_long_after_all_leave_time_for_others(turns):
    turns.spend(TURN_S)
    went = []
    for number in range(4):
        turns.later(lambda number=number: (went.append(number), turns.spend(TURN_S)), behind=False)
    await passes(lambda: bool(went))
    assert went == [0]
    await passes(lambda: len(went) == 4)


async def test_who_goes_while_it_waits_keeps_nobody(turns):
    gone, other = (asyncio.ensure_future(find_no_time(turns)) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    await other
    assert gone.cancelled()
