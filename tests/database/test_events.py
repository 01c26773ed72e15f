"""Whoever follows events sees each once, in whatever order transactions commit."""

import json
import random
from datetime import timedelta

import asyncpg
import pytest

from tests.database.factories import NOON, a_delivery, a_registration, an_event
from tillkeeper import clock
from tillkeeper.domain.policy import Policy
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.apply.registration import register
from tillkeeper.store.reports.events import (
    CLOCKS_DIFFER,
    EVENTS_BETWEEN,
    EVENTS_SINCE,
    LATE_ROWS,
    NEWEST_SINCE,
    PAGE_ROWS,
    SEQS_SINCE,
    EventFilter,
    EventTail,
    latest_events,
)

FILL = """
INSERT INTO inbox (account, event_id, kind, evidence, occurred_at, recorded_at, digest, outcome)
SELECT 'stripe-main', $1 || i, 'payment.failed', 'query', now(), now(), '', 'waiting' FROM generate_series(1, $2) i
"""


SHIFT = "UPDATE inbox SET recorded_at = recorded_at + $1 WHERE event_id = 'wrong1'"


async def fill(conn, name, rows=1):
    await conn.execute(FILL, name, rows)


async def a_tail(pool):
    async with pool.acquire() as conn:
        return await EventTail.from_now(conn, clock.now())


async def seen(tail, pool, *, looks=4):
    """The ids of what comes in so many looks."""
    return [event.event_id for _ in range(looks) for event in await tail.next_events(pool, clock.now())]


async def test_an_event_is_seen_once(pool):
    await fill(pool, "before")
    tail = await a_tail(pool)
    await fill(pool, "a")
    assert await seen(tail, pool) == ["a1"]
    await fill(pool, "b", 2)
    assert await seen(tail, pool) == ["b1", "b2"]
    assert await seen(tail, pool) == []


async def test_a_lower_number_that_is_committed_later_is_not_passed_over(pool, database):
    tail = await a_tail(pool)
    slow = await asyncpg.connect(database)
    transaction = slow.transaction()
    await transaction.start()
    await fill(slow, "slow")
    await fill(pool, "quick")
    assert await seen(tail, pool) == ["quick1"]
    await transaction.commit()
    await slow.close()
    assert await seen(tail, pool) == ["slow1"]


async def test_one_that_was_under_way_before_the_first_look_is_not_passed_over(pool, database):
    slow = await asyncpg.connect(database)
    transaction = slow.transaction()
    await transaction.start()
    await fill(slow, "slow")
    await fill(pool, "quick")
    tail = await a_tail(pool)
    assert await seen(tail, pool) == []
    await transaction.commit()
    await slow.close()
    assert await seen(tail, pool) == ["slow1"]


async def test_a_number_that_was_taken_and_rolled_back_holds_nothing_up(pool, database):
    tail = await a_tail(pool)
    connection = await asyncpg.connect(database)
    transaction = connection.transaction()
    await transaction.start()
    await fill(connection, "never")
    await fill(pool, "a")
    await transaction.rollback()
    await connection.close()
    assert await seen(tail, pool) == ["a1"]
    await fill(pool, "b")
    assert await seen(tail, pool) == ["b1"]
    assert tail._floor == tail._tail, "nothing below is awaited any more"


@pytest.mark.parametrize("seed", range(5))
async def test_whatever_order_transactions_begin_and_end_in_each_event_is_seen_once(pool, database, seed):
    chance = random.Random(seed)
    tail, told, committed = await a_tail(pool), [], []
    connections = [await asyncpg.connect(database) for _ in range(4)]
    begun: dict[asyncpg.Connection, tuple] = {}
    for step in range(80):
        connection = chance.choice(connections)
        if connection in begun:
            transaction, names = begun.pop(connection)
            if chance.random() < 0.8:
                await transaction.commit()
                committed += names
            else:
                await transaction.rollback()
        else:
            transaction = connection.transaction()
            await transaction.start()
            await fill(connection, f"{step}-", 2)
            begun[connection] = (transaction, [f"{step}-1", f"{step}-2"])
        if chance.random() < 0.5:
            told += await seen(tail, pool, looks=1)
    for connection in connections:
        await connection.close()
    told += await seen(tail, pool)
    assert sorted(told) == sorted(committed)
    assert len(told) > 20


async def test_more_than_a_page_comes_page_by_page(pool):
    tail = await a_tail(pool)
    await fill(pool, "a", 2 * PAGE_ROWS + 1)
    assert [len(await tail.next_events(pool, clock.now())) for _ in range(4)] == [PAGE_ROWS, PAGE_ROWS, 1, 0]


async def test_an_event_that_waited_comes_again_when_its_order_is_registered(pool):
    tail = await a_tail(pool)
    async with pool.acquire() as conn, conn.transaction():
        await apply_deliveries(conn, [a_delivery(an_event(event_id="evt_1"))], policy=Policy(), now=clock.now())
    first = await tail.next_events(pool, clock.now())
    await register(pool, a_registration(), policy=Policy(), now=clock.now())
    later = [event for _ in range(3) for event in await tail.next_events(pool, clock.now())]
    assert [(event.event_id, event.outcome) for event in (*first, *later)] == [
        ("evt_1", "waiting"),
        ("evt_1", "applied"),
    ]


async def test_the_start_reads_no_more_than_the_latest_numbers(pool):
    await fill(pool, "old", LATE_ROWS + 500)
    tail = await a_tail(pool)
    assert len(tail._returned) == LATE_ROWS


@pytest.mark.parametrize("minutes", [-10, 60])
async def test_a_worker_whose_clock_is_wrong_hides_no_event_of_its_own_or_others(pool, minutes):
    tail = await a_tail(pool)
    await fill(pool, "right")
    assert await seen(tail, pool) == ["right1"]
    await fill(pool, "wrong")
    await pool.execute(SHIFT, timedelta(minutes=minutes))
    assert await seen(tail, pool) == ["wrong1"]
    await fill(pool, "right-again")
    assert await seen(tail, pool) == ["right-again1"]


OLD = """
INSERT INTO inbox (account, event_id, kind, evidence, occurred_at, recorded_at, digest, outcome, order_id)
SELECT 'stripe-main', 'old' || i, 'payment.failed', 'query', now(), now() - interval '1 year', '', 'no_change',
       (SELECT id FROM orders) FROM generate_series(1, 50000) i
"""
READS = {
    "what is new": (EVENTS_BETWEEN, 0, 2**62, None, PAGE_ROWS),
    "the latest": (EVENTS_SINCE, None, 100),
    "where to begin": (NEWEST_SINCE, None),
    "what is visible": (SEQS_SINCE, None, LATE_ROWS),
}


@pytest.fixture
async def many_old(pool):
    await register(pool, a_registration(), policy=Policy(), now=clock.now())
    await pool.execute(OLD)
    await fill(pool, "new", 5)
    await pool.execute("VACUUM ANALYZE inbox")


async def test_no_look_reads_what_was_recorded_long_ago(pool, many_old):
    whole = await pool.fetchval("SELECT pg_relation_size('inbox') / current_setting('block_size')::int")
    assert whole > 600
    for statement, *arguments in READS.values():
        since = clock.now() - CLOCKS_DIFFER
        given = [since if argument is None else argument for argument in arguments]
        async with pool.acquire() as conn:
            [told] = json.loads(await conn.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", *given))
        read = told["Plan"]["Shared Hit Blocks"] + told["Plan"]["Shared Read Blocks"]
        assert read < whole / 3, statement


# --- the latest -------------------------------------------------------------------------------------------------------


async def test_the_latest_that_a_filter_lets_through_are_found_behind_many_others(pool):
    await register(pool, a_registration(), policy=Policy(), now=NOON)
    async with pool.acquire() as conn, conn.transaction():
        await apply_deliveries(conn, [a_delivery(an_event(event_id="evt_1"))], policy=Policy(), now=NOON)
    await fill(pool, "late", 1_500)
    async with pool.acquire() as conn:
        for sought in (
            EventFilter(kinds={"payment.succeeded"}),
            EventFilter(outcomes={"applied"}),
            EventFilter(order_ref="A1"),
        ):
            found = await latest_events(conn, sought, limit=20, now=clock.now())
            assert ([event.event_id for event in found.events], found.more) == (["evt_1"], False)
        found = await latest_events(conn, EventFilter(kinds={"payment"}), limit=2, now=clock.now())
        assert ([event.event_id for event in found.events], found.more) == (["late1499", "late1500"], True)
        found = await latest_events(conn, EventFilter(since=NOON.replace(year=2125)), limit=2, now=clock.now())
        assert (found.events, found.more) == ([], False)
        found = await latest_events(conn, EventFilter(order_ref="NOBODY"), limit=2, now=clock.now())
        assert (found.events, found.is_order_known) == ([], False)
