"""A changed policy: every order that is due later is looked at anew, by however many sweepers."""

from datetime import timedelta

from tests.database.factories import NOON
from tests.database.sweeps import registered
from tillkeeper.store.orders.policy_change import look_anew, take_policy

LATER = NOON + timedelta(seconds=1)


async def take(pool, digest):
    async with pool.acquire() as conn, conn.transaction():
        return await take_policy(conn, digest, now=NOON)


async def look(pool, limit=2):
    async with pool.acquire() as conn, conn.transaction():
        return await look_anew(conn, limit=limit, now=LATER)


async def due_by(pool, moment):
    return await pool.fetchval("SELECT count(*) FROM due_orders WHERE due_at <= $1", moment)


async def test_the_first_policy_and_the_same_again_change_nothing(pool):
    await registered(pool)
    assert [await take(pool, "one"), await take(pool, "one")] == [False, False]
    assert (await look(pool), await due_by(pool, LATER)) == (0, 0)


async def test_another_policy_makes_every_order_due_a_part_at_a_time(pool):
    for number in range(5):
        await registered(pool, f"A{number}")
    await take(pool, "one")
    assert await take(pool, "two")
    assert [await look(pool) for _ in range(4)] == [2, 2, 1, 0]
    assert await due_by(pool, LATER) == 5


async def test_a_sweeper_that_looks_meanwhile_leaves_it_to_the_one_that_does(pool):
    for number in range(5):
        await registered(pool, f"A{number}")
    await take(pool, "one")
    await take(pool, "two")
    async with pool.acquire() as conn, conn.transaction():
        assert await look_anew(conn, limit=2, now=LATER) == 2
        assert await look(pool) == 0
    assert [await look(pool) for _ in range(3)] == [2, 1, 0]
    assert await due_by(pool, LATER) == 5
