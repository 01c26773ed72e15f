"""Bodies stand by weeks, in partitions that are made ahead; what comes for another week is kept all the same."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from tests.database.factories import a_delivery
from tillkeeper.domain.policy import Policy
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.schema.make_weeks import WEEKS_AHEAD, make_weeks

THURSDAY = datetime(2026, 10, 15, 12, tzinfo=UTC)
MONDAY = datetime(2026, 10, 12, tzinfo=UTC)
WEEK = timedelta(days=7)
WHERE = "SELECT tableoid::regclass::text AS week FROM delivery_bodies ORDER BY received_at"
WEEKS = """
SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'delivery_bodies'::regclass
AND inhrelid <> 'delivery_bodies_other'::regclass ORDER BY 1
"""


async def received(pool, *moments):
    async with pool.acquire() as conn, conn.transaction():
        deliveries = [a_delivery(received_at=moment) for moment in moments]
        await apply_deliveries(conn, deliveries, policy=Policy(), now=THURSDAY)


async def weeks_made(pool, now=THURSDAY):
    async with pool.acquire() as conn:
        return await make_weeks(conn, now=now)


async def weeks_of(pool):
    return [row[0] for row in await pool.fetch(WEEKS)]


async def test_this_week_and_those_ahead_are_made_once(pool):
    assert await weeks_made(pool) == WEEKS_AHEAD + 1
    assert await weeks_made(pool) == 0
    assert await weeks_made(pool, THURSDAY + WEEK) == 1
    assert (await weeks_of(pool))[:2] == ["delivery_bodies_20261012", "delivery_bodies_20261019"]


async def test_a_body_stands_in_the_week_in_which_it_came(pool):
    await weeks_made(pool)
    await received(pool, MONDAY, MONDAY + WEEK - timedelta(microseconds=1), MONDAY + WEEK)
    assert [row["week"] for row in await pool.fetch(WHERE)] == [
        "delivery_bodies_20261012",
        "delivery_bodies_20261012",
        "delivery_bodies_20261019",
    ]


async def test_what_comes_in_a_week_that_was_not_made_is_kept_and_its_week_is_not_made_later(pool):
    await received(pool, THURSDAY, THURSDAY - timedelta(days=900))
    assert [row["week"] for row in await pool.fetch(WHERE)] == ["delivery_bodies_other"] * 2
    assert await weeks_made(pool) == WEEKS_AHEAD
    await received(pool, THURSDAY, THURSDAY + WEEK)
    assert [row["week"] for row in await pool.fetch(WHERE)][1:] == [
        "delivery_bodies_other",
        "delivery_bodies_other",
        "delivery_bodies_20261019",
    ]


async def test_several_that_make_them_at_once_do_not_disturb_each_other(pool):
    made = await asyncio.gather(*(weeks_made(pool) for _ in range(6)))
    assert sum(made) == WEEKS_AHEAD + 1


async def test_weeks_are_made_while_a_transaction_that_stores_bodies_is_open(pool):
    await weeks_made(pool)
    async with pool.acquire() as conn, conn.transaction():
        await apply_deliveries(conn, [a_delivery(received_at=THURSDAY)], policy=Policy(), now=THURSDAY)
        async with pool.acquire() as other, other.transaction():
            await other.execute("SET LOCAL lock_timeout = '1s'")
            assert await make_weeks(other, now=THURSDAY + WEEK) == 1


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("SELECT make_body_week('2026-10-13')", "is no Monday"),
        ("SELECT drop_body_week('2026-10-12')", "there is no partition"),
        ("SELECT drop_body_week(date_trunc('week', now())::date)", "did not end seven days ago"),
        ("SELECT drop_body_week('2999-10-12')", "did not end seven days ago"),
    ],
)
async def test_no_other_week_is_made_or_dropped(pool, statement, said):
    with pytest.raises(asyncpg.RaiseError, match=said):
        await pool.execute(statement)
