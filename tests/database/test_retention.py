"""What was kept for long enough goes, as was planned; what must stay stays, and the books balance."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest

from tests.database.factories import NOON, STORE_AS_BEFORE, a_delivery, an_event
from tests.database.sweeps import POLICY, registered
from tests.database.test_refused import a_refused
from tillkeeper.domain.events import Kind
from tillkeeper.domain.fetching import Fetch
from tillkeeper.domain.retention import Days, monday_of
from tillkeeper.store.apply.batch import apply_deliveries, replay
from tillkeeper.store.deliveries.parked import show_parked
from tillkeeper.store.deliveries.refused import keep_refused
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.store.reports.audit import audit
from tillkeeper.store.reports.order import show
from tillkeeper.store.retention import passes
from tillkeeper.store.retention.passes import plan, run, step
from tillkeeper.store.schema.make_weeks import make_weeks
from tillkeeper.telemetry import RETENTION_LAST_PASS, RETENTION_ROWS
from tillkeeper.workers.apply_or_park import park_delivery
from tillkeeper.workers.database_retry import DatabaseRetry
from tillkeeper.workers.retention import Retention

DAY = timedelta(days=1)
OLD, YOUNG = NOON - 500 * DAY, NOON - DAY
DAYS = Days(bodies=400, unsigned=30, refused=30, parked=400, outbox=90, fetches=90)
BODIES = "SELECT count(*) FROM delivery_bodies"


async def in_transaction(pool, work):
    return await repeat_on_conflict(pool, work)


async def received(pool, *events, at, has_week=True, **fields):
    """By a receiver of its own, so that no number is missing."""
    if has_week:
        await pool.execute("SELECT make_body_week($1)", monday_of(at).date())
    fields = {"run": uuid4(), "number": 1, "received_at": at, **fields}
    delivery = a_delivery(*events, **fields)
    await in_transaction(pool, lambda conn: apply_deliveries(conn, [delivery], policy=POLICY, now=at))
    return delivery


async def planned(pool, days=DAYS):
    async with pool.acquire() as conn:
        return {(share.part, share.what): (share.rows, share.bytes) for share in await plan(conn, days, now=NOON)}


async def ran(pool, days=DAYS):
    sums = {}
    async for share in run(pool, days, now=NOON):
        rows, size = sums.get((share.part, share.what), (0, 0))
        sums[share.part, share.what] = (rows + share.rows, size + share.bytes)
    return sums


async def balances(pool):
    return (await audit(pool, settled_until=NOON, now=NOON)).balances


async def notices_and_queries_finished(pool, at):
    await pool.execute("UPDATE outbox SET state = 'sent', due_at = NULL, finished_at = $1 WHERE due_at IS NOT NULL", at)
    await pool.execute(
        "UPDATE fetches SET found = requests - given_up - not_found, due_at = NULL, finished_at = $1 "
        "WHERE due_at IS NOT NULL",
        at,
    )


async def everything(pool, at):
    """One of each kind, and one more where 0.1.0 stored it and where its week has no partition."""
    await registered(pool)
    fetch = Fetch(about="payment", payment_ref=f"p-{at.day}", refund_ref=None, order_ref=None)
    parked = an_event(order_ref="A2")
    await received(pool, an_event(Kind.PAYMENT_PENDING), at=at, fetches=(fetch,), body=b"x" * 3000)
    await received(pool, at=at, key="unsigned", body=b"id=tr_1")
    await pool.execute(STORE_AS_BEFORE)
    await received(pool, an_event(), at=at, query="a=b")
    await received(pool, at=at, key="unsigned", body=b"id=tr_2")
    await received(pool, at=at - 14 * DAY)
    await received(pool, at=at - 9 * 365 * DAY, has_week=False)
    async with pool.acquire() as conn:
        await keep_refused(conn, a_refused(at=at))
    delivery = a_delivery(parked, run=uuid4(), number=1, received_at=at)
    await park_delivery(pool, delivery, reason="poison", error="x", now=at)
    await notices_and_queries_finished(pool, at)


async def close_parked_rows(pool, at):
    for row in await pool.fetch("SELECT id FROM parked WHERE outcome IS NULL"):
        await in_transaction(
            pool, lambda conn, number=row["id"]: replay(conn, number, by="mei", note="mended", policy=POLICY, now=at)
        )


async def test_what_is_planned_is_what_goes_and_nothing_else(pool):
    await everything(pool, YOUNG)
    await everything(pool, OLD)
    await received(pool, an_event(), at=YOUNG, has_week=False)
    await received(pool, at=YOUNG, key="unsigned", has_week=False)
    await pool.execute("UPDATE parked SET outcome = 'discarded', closed_at = parked_at, closed_by = 'mei'")
    await pool.execute("UPDATE outbox SET finished_at = $1 WHERE id = (SELECT min(id) FROM outbox)", OLD)
    assert await balances(pool)
    will_go = await planned(pool)
    assert {part for part, _ in will_go} == {
        *("bodies_by_week", "bodies_without_a_week", "bodies_in_deliveries"),
        *("refused", "parked", "outbox", "fetches"),
    }
    young = await pool.fetchval(BODIES + " WHERE received_at > $1", OLD + DAY)
    assert young == 2
    assert await ran(pool) == will_go
    assert await planned(pool) == {}
    assert await ran(pool) == {}
    assert await pool.fetchval(BODIES) == young
    assert await pool.fetchval("SELECT count(*) FROM refused") == 1
    assert await balances(pool)


async def test_what_nobody_signed_goes_sooner_wherever_it_stands(pool):
    await everything(pool, NOON - 40 * DAY)
    will_go = await planned(pool)
    assert {(part, rows) for (part, _), (rows, _) in will_go.items()} == {
        *(("bodies_without_a_week", 1), ("refused", 1), ("unsigned", 1), ("unsigned_in_deliveries", 1)),
    }
    assert await ran(pool) == will_go
    assert await pool.fetchval(BODIES + " WHERE NOT proven") == 0
    assert await pool.fetchval("SELECT count(*) FROM deliveries WHERE key = 'unsigned' AND body IS NOT NULL") == 0
    assert await pool.fetchval("SELECT count(*) FROM deliveries WHERE body IS NOT NULL") == 1
    assert await balances(pool)


async def test_nothing_goes_while_everything_is_kept_for_ever(pool):
    await everything(pool, OLD)
    assert await planned(pool, Days()) == {}
    assert await ran(pool, Days()) == {}


async def test_a_step_removes_so_many_rows_and_says_that_there_may_be_more(pool, monkeypatch):
    monkeypatch.setattr(passes, "ROWS_AT_ONCE", 3)
    monkeypatch.setattr(passes.remove_some, "__kwdefaults__", {"limit": 3})
    async with pool.acquire() as conn:
        for _ in range(7):
            await keep_refused(conn, a_refused(at=OLD))
    rounds = [await step(pool, DAYS, now=NOON) for _ in range(4)]
    assert [[share.rows for share in each.shares] for each in rounds] == [[3], [3], [1], []]
    assert [each.leaves_more for each in rounds] == [True, True, False, False]


async def test_an_event_that_is_parked_keeps_its_message_and_is_replayed_after_its_week_went(pool):
    await registered(pool)
    delivery = a_delivery(an_event(), an_event(Kind.PAYMENT_PENDING), run=uuid4(), number=1, received_at=OLD)
    await park_delivery(pool, delivery, reason="poison", error="x", now=OLD)
    await ran(pool)
    await close_parked_rows(pool, NOON)
    assert (await show(pool, "A1"))["status"] == "paid"
    assert await pool.fetchval(BODIES) == 0
    assert await balances(pool)


async def test_of_a_parked_event_that_is_closed_the_message_goes_and_the_rest_is_shown(pool):
    await everything(pool, OLD)
    await close_parked_rows(pool, OLD)
    await ran(pool)
    async with pool.acquire() as conn:
        number = await conn.fetchval("SELECT id FROM parked")
        shown = await show_parked(conn, number)
    assert (shown["outcome"], shown["delivery"], shown["message_bytes"]) == ("replayed", None, 0)


async def test_finished_queries_go_and_go_on_counting(pool):
    await everything(pool, OLD)
    before = (await audit(pool, settled_until=NOON, now=NOON)).fetches
    assert (await ran(pool))["fetches", "finished queries"][0] == 1
    await everything(pool, OLD + DAY)
    await ran(pool)
    [row] = await pool.fetch("SELECT * FROM fetches")
    assert (row["requests"], row["found"], row["payment_ref"]) == (2, 2, None)
    after = (await audit(pool, settled_until=NOON, now=NOON)).fetches
    assert after == {name: 2 * number for name, number in before.items()}
    assert await balances(pool)


async def test_a_notice_without_its_content_is_not_sent_again(pool):
    await everything(pool, OLD)
    sent = await pool.fetch("SELECT key FROM outbox ORDER BY key")
    await ran(pool)
    assert {row["payload"] for row in await pool.fetch("SELECT payload FROM outbox")} == {"{}"}
    await received(pool, an_event(Kind.PAYMENT_PENDING), at=OLD + DAY)
    assert await pool.fetch("SELECT key FROM outbox ORDER BY key") == sent
    assert await pool.fetchval("SELECT count(*) FROM outbox WHERE due_at IS NOT NULL") == 0


async def test_a_redelivery_of_what_lost_its_body_is_a_duplicate(pool):
    event = an_event()
    await registered(pool)
    await received(pool, event, at=OLD)
    await ran(pool)
    await received(pool, event, at=YOUNG)
    assert await pool.fetchval("SELECT sum(duplicates) FROM deliveries") == 1
    assert await balances(pool)


async def test_a_week_that_others_hold_is_left_and_goes_later(pool, monkeypatch):
    monkeypatch.setattr(passes, "WEEK_LOCK", passes.WEEK_LOCK.__class__(pauses=(timedelta(0),), attempts_max=2))
    monkeypatch.setattr(passes, "LOCK_WAIT_S", 0.01)
    await received(pool, an_event(), at=OLD)
    await received(pool, at=YOUNG)
    async with pool.acquire() as reader, reader.transaction():
        await reader.fetch(BODIES)  # as a dump
        held = await step(pool, DAYS, now=NOON)
        assert (held.held.monday, held.shares, held.leaves_more) == (monday_of(OLD).date(), [], False)
        assert await ran(pool) == {}
        await received(pool, an_event(), at=YOUNG)  # and nobody waits for it
    assert [part for part, _ in await ran(pool)] == ["bodies_by_week"]


async def test_the_sweeps_process_removes_it_by_and_by_and_makes_weeks(pool):
    await everything(pool, OLD)
    retention = Retention(pool=pool, retry=DatabaseRetry(asyncio.Event()), days=DAYS, now=lambda: NOON)
    rows = RETENTION_ROWS.labels("bodies")._value.get()
    assert await retention.run_once() == 1  # a week; there may be another
    assert await retention.run_once() == 1
    assert await retention.run_once() == 0
    assert RETENTION_ROWS.labels("bodies")._value.get() - rows == 7
    assert RETENTION_LAST_PASS._value.get() == NOON.timestamp()
    async with pool.acquire() as conn:
        assert await make_weeks(conn, now=NOON) == 0


async def test_what_is_not_over_is_not_dropped_whatever_the_settings(pool):
    async with pool.acquire() as conn:
        await make_weeks(conn, now=NOON)
        with pytest.raises(asyncpg.RaiseError, match="did not end seven days ago"):
            await conn.execute("SELECT drop_body_week(date_trunc('week', now())::date - 7)")


PEOPLE = """
INSERT INTO people (name, display_name, role, locale, created_at, created_by)
SELECT 'p' || n, 'P', 'viewer', 'en', $1, 'root' FROM generate_series(1, 2) AS n
"""
OF_PEOPLE = """
WITH s AS (
    INSERT INTO sessions (token_hash, person_id, created_at, seen_at, expires_at)
    VALUES (sha256($2), $1, $3, $3, $3::timestamptz + interval '1 day')
), l AS (
    INSERT INTO one_time_links (person_id, token_hash, purpose, created_at, created_by, expires_at)
    VALUES ($1, sha256($2), 'password_reset', $3, 'root', $3)
)
INSERT INTO api_tokens (token_hash, person_id, name, role, may_act, created_at, created_by, expires_at, ended_at)
VALUES (sha256($2), $1, 'a', 'viewer', false, $3, 'root', $3, $4),
       (sha256($2 || $2), $1, 'b', 'viewer', false, $3, 'root', 'infinity', $3),
       (sha256($2 || '!'), $1, 'c', 'viewer', false, $3, 'root', 'infinity', NULL)
"""


async def test_what_let_people_in_goes_once_it_is_over_and_people_stay(pool):
    days = Days(access=30)
    await pool.execute(PEOPLE, NOON)
    await pool.execute(OF_PEOPLE, 1, b"old", OLD, None)
    await pool.execute(OF_PEOPLE, 2, b"young", YOUNG, YOUNG)
    will_go = await planned(pool, days)
    assert {part: rows for (part, _), (rows, _) in will_go.items()} == {
        "sessions": 1,
        "one_time_links": 1,
        "api_tokens": 2,
    }
    assert await ran(pool, days) == will_go
    assert await planned(pool, days) == {}
    counts = [await pool.fetchval(f"SELECT count(*) FROM {t}") for t in ("people", "sessions", "one_time_links")]
    assert counts == [2, 1, 1]
    assert {row["name"] for row in await pool.fetch("SELECT name FROM api_tokens WHERE person_id = 1")} == {"c"}
