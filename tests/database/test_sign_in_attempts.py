"""Wrong passwords are counted where neither guesses nor made-up names fill a table."""

import asyncio
from datetime import timedelta

import pytest

from tests.database.factories import NOON
from tillkeeper.domain.sign_in import FREE_TRIES, TOTAL_MAX, WAIT_MAX
from tillkeeper.store.people.attempts import BUCKETS, Buckets, TooManyTries, begin_try, forget_tries
from tillkeeper.store.postgres.transactions import repeat_on_conflict

MEI = Buckets.of_name("mei")
HERS = Buckets.of_browser("mei", "a browser")


async def tries(pool, buckets=MEI, *, number=1, at=NOON):
    for _ in range(number):
        await repeat_on_conflict(pool, lambda conn: begin_try(conn, buckets, now=at))


async def forget(pool, buckets):
    await repeat_on_conflict(pool, lambda conn: forget_tries(conn, buckets))


async def test_after_a_few_wrong_ones_a_name_waits_and_knocking_does_not_make_it_longer(pool):
    await tries(pool, number=FREE_TRIES)
    for _ in range(50):
        with pytest.raises(TooManyTries) as refused:
            await tries(pool)
        assert refused.value.wait(NOON) == timedelta(seconds=1)
    await tries(pool, at=NOON + timedelta(seconds=1))


async def test_a_right_one_is_taken_back(pool):
    await tries(pool, number=FREE_TRIES)
    await forget(pool, MEI)
    await tries(pool, number=FREE_TRIES)
    assert await pool.fetchval("SELECT level FROM sign_in_attempts WHERE bucket = 0") == 2 * FREE_TRIES - 1


async def test_tries_at_the_same_time_are_as_many_as_tries_in_turn(pool):
    done = await asyncio.gather(*(tries(pool) for _ in range(30)), return_exceptions=True)
    assert sum(each is None for each in done) == FREE_TRIES
    assert sum(isinstance(each, TooManyTries) for each in done) == 30 - FREE_TRIES


async def test_whoever_guesses_at_a_name_keeps_no_browser_out_that_signed_in_under_it_before(pool):
    at = NOON
    for _ in range(40):
        await tries(pool, at=at)
        with pytest.raises(TooManyTries):
            await tries(pool, number=FREE_TRIES, at=at)
        at += WAIT_MAX
    await tries(pool, HERS, at=at)


async def test_many_names_are_guessed_no_quicker_than_one_and_known_browsers_go_on(pool):
    for number in range(int(TOTAL_MAX)):
        await tries(pool, Buckets.of_name(f"name {number}"))
    with pytest.raises(TooManyTries):
        await tries(pool, Buckets.of_name("one more"))
    await tries(pool, HERS)


async def test_made_up_names_do_not_fill_the_table(pool):
    numbers = {number for each in range(20_000) for number in Buckets.of_name(str(each)).numbers}
    assert numbers <= set(range(BUCKETS + 1))
    browsers = {number for each in range(20_000) for number in Buckets.of_browser("mei", str(each)).numbers}
    assert browsers <= set(range(BUCKETS + 1, 2 * BUCKETS + 1))
    await pool.execute("INSERT INTO sign_in_attempts VALUES (8192, 0, now())")  # the last
