"""What receivers say that they answered: it is counted by account, added up over receivers, and outlives an outage."""

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from tests.database.factories import NOON
from tests.virtual_time import Clock
from tillkeeper.ingest.answers_given import AnswersGiven
from tillkeeper.store.reports.flow import AnswerCounts, Recent, read_flow

SECOND = timedelta(seconds=1)


async def seen(pool, at):
    async with pool.acquire() as conn:
        return await read_flow(conn, at)


@pytest.fixture
def clock():
    return Clock(NOON)


async def test_receivers_add_up_and_what_is_old_goes(pool, clock):
    one, other = (AnswersGiven(pool, now=clock) for _ in range(2))
    for receiver in (one, other):
        receiver.add("stripe-main", "accepted", 3)
        receiver.add("stripe-main", "refused")
    other.add("alipay-main", "put_off")
    await asyncio.gather(one.write_once(), other.write_once())
    await one.write_once()
    flow = await seen(pool, NOON + 30 * SECOND)
    assert flow.answered == {
        "stripe-main": AnswerCounts(accepted=6, refused=2, last_at=NOON),
        "alipay-main": AnswerCounts(put_off=1),
    }
    assert flow.received == {"stripe-main": Recent(count=6, last_at=NOON)}, "nothing is applied yet"
    clock.at = NOON + timedelta(hours=3)
    one.add("stripe-main", "accepted")
    await one.close()
    assert await pool.fetchval("SELECT count(*) FROM answers_given") == 1
    assert (await seen(pool, NOON + 30 * SECOND)).answered["stripe-main"].accepted == 1, "of the last two hours alone"


async def test_what_cannot_be_written_is_written_later_where_it_belongs(pool, database, clock):
    answers = AnswersGiven(pool, now=clock)
    answers.add("stripe-main", "accepted", 2)
    async with asyncpg.create_pool(database, min_size=0) as gone:
        await gone.close()
        answers._pool = gone
        await answers.write_once()
    answers._pool = pool
    clock.at = NOON + 20 * SECOND
    answers.add("stripe-main", "accepted")
    await answers.write_once()
    rows = await pool.fetch("SELECT since, accepted FROM answers_given ORDER BY since")
    assert [tuple(row) for row in rows] == [(NOON, 2), (NOON + 20 * SECOND, 1)]
