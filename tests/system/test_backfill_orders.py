"""Backfill by the orders that are open, and as people start it."""

import asyncio
import json
from datetime import timedelta
from functools import partial
from uuid import uuid4

import pytest

from tests.gateway_apis import NOON, Gateways
from tests.system.backfilling import (
    ALIPAY,
    HOUR,
    MINUTE,
    STRIPE,
    WECHATPAY,
    a_backfill,
    asker_of,
    config_in,
    paid_stories,
    registered,
    requested,
    row_of,
)
from tests.system.commands import serving, tillkeeper
from tests.system.receiving import until
from tillkeeper import clock
from tillkeeper.policy import load_policy
from tillkeeper.settings import SweepSettings
from tillkeeper.store.jobs.backfill import (
    LATE_PAYMENT,
    OPEN,
    OPEN_ORDERS,
    claim_account,
    count_passed_over,
    find_open_orders,
    good_until,
)
from tillkeeper.store.reports.order import show
from tillkeeper.workers.database_retry import DatabaseRetry
from tillkeeper.workers.sweep import Sweep


@pytest.fixture
def gateways(signers):
    return Gateways(signers)


@pytest.fixture
def configured(tmp_path, gateways, database):
    return partial(config_in, tmp_path, gateways.signers, database)


# --- open orders ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("account", [ALIPAY, WECHATPAY])
async def test_without_a_list_the_sweep_asks_about_open_orders(pool, gateways, configured, account):
    stories = paid_stories(gateways, account, 4)
    for story in stories:
        await registered(pool, story)
    gateways.at_minute(30)
    policy = load_policy()
    async with asker_of(gateways, configured) as api_client:
        await requested(pool, account, NOON, gateways.now)
        backfill = a_backfill(pool, api_client, lambda: gateways.now, policy=lambda: policy)
        assert await backfill.run_once() == 1
        moments = [row["ask_at"] for row in await pool.fetch("SELECT ask_at FROM orders ORDER BY ask_at")]
        assert moments == [gateways.now + n * timedelta(seconds=0.2) for n in range(4)]
        gateways.at_minute(30.1)
        sweep = Sweep(
            pool=pool,
            api_client=api_client,
            retry=DatabaseRetry(asyncio.Event()),
            policy=lambda: policy,
            now=lambda: gateways.now,
            settings=SweepSettings(),
        )
        while await sweep.run_once():
            pass
    assert {(await show(pool, story.order_ref))["status"] for story in stories} == {"paid"}
    assert (await row_of(pool, account))["due_at"] is None


AGO = timedelta(days=30)
SINCE = NOON - 6 * HOUR


@pytest.mark.parametrize(
    ("status", "began", "expires", "asked"),
    [
        *((status, NOON - AGO, None, True) for status in ("processing", "partially_paid", "refunding")),
        *((status, NOON - AGO, SINCE - 3 * HOUR, True) for status in ("processing", "partially_paid", "refunding")),
        ("processing", NOON + MINUTE, None, False),
        ("unpaid", NOON - 10 * HOUR, None, True),
        ("unpaid", NOON - AGO, None, False),
        ("unpaid", NOON - AGO, NOON + AGO, True),
        ("unpaid", NOON - AGO, SINCE + MINUTE, True),
        ("unpaid", NOON - 10 * HOUR, SINCE - HOUR, True),
        ("unpaid", NOON - 10 * HOUR, SINCE - 3 * HOUR, False),
        ("failed", NOON - 10 * HOUR, None, True),
        ("failed", NOON - AGO, NOON + AGO, True),
        ("failed", NOON - AGO, None, False),
        ("paid", NOON - HOUR, None, False),
    ],
)
async def test_asked_about_are_orders_whose_money_may_have_moved_in_the_span_however_old_they_are(
    pool, status, began, expires, asked
):
    await pool.execute(
        "INSERT INTO orders (order_ref, amount_minor, currency, accounts, terms, registered_at, changed_at,"
        " phase_since, expires_at, status, captured_minor)"
        " VALUES ('A1', 100, 'CNY', '{alipay-main}', '{}', $1, $1, $1, $2, $3, 100)",
        began,
        expires,
        status,
    )
    async with pool.acquire() as conn:
        found = await find_open_orders(conn, ALIPAY, SINCE, NOON, limit=10, now=NOON)
        passed_over = await count_passed_over(conn, ALIPAY, NOON, found, now=NOON)
    assert len(found.ids) == asked
    assert passed_over == (not asked and status != "paid" and began <= NOON)


async def test_fifty_thousand_open_orders_of_the_past_cost_nothing(pool):
    await pool.execute(
        "INSERT INTO orders"
        " (order_ref, amount_minor, currency, accounts, terms, registered_at, changed_at, phase_since)"
        " SELECT 'old-' || n, 100, 'CNY', ARRAY['alipay-main'], '{}', $1, $1, $1 FROM generate_series(1, 50000) AS n",
        NOON - timedelta(days=20),
    )
    await pool.execute("ANALYZE orders")
    statuses = [str(each) for each in OPEN]
    told = (ALIPAY, NOON - HOUR, NOON, statuses, NOON, NOON, 100, NOON - HOUR - LATE_PAYMENT)
    rows = await pool.fetch(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT TEXT) {OPEN_ORDERS}", *told)
    plan = "\n".join(row[0] for row in rows)
    assert "orders_moving" in plan
    assert "orders_payable" in plan
    assert "Seq Scan on orders" not in plan


# --- people -----------------------------------------------------------------------------------------------------------


async def test_a_person_has_a_list_taken_in(pool, gateways, configured):
    gateways.begin_an_hour_ago()
    stories = paid_stories(gateways, STRIPE, 3)
    for story in stories:
        await registered(pool, story, clock.now() - HOUR)
    gateways.at_minute(60)
    async with gateways.open() as bases:
        config = configured(bases)
        first = await tillkeeper("backfill", STRIPE, "--config", config)
        dry = await tillkeeper("backfill", STRIPE, "--since", "6h", "--dry-run", "--config", config, "--json")
        assert await pool.fetchval("SELECT count(*) FROM inbox") == 0
        done = await tillkeeper("backfill", STRIPE, "--since", "6h", "--config", config)
        again = await tillkeeper("backfill", STRIPE, "--since", "6h", "--until", "1m", "--config", config, "--json")
        on = await tillkeeper("backfill", STRIPE, "--config", config, "--json")
    assert (first.code, first.err) == (2, "tillkeeper: no list of stripe-main was ever taken in: say --since\n")
    assert (dry.code, dry.json["new"], dry.json["known"], dry.json["dry_run"]) == (0, 3, 0, True)
    assert (done.code, done.out.splitlines()[1:]) == (0, ["3 events listed, 3 new, 0 known.", "outcomes: 3 applied"])
    assert (again.json["new"], again.json["known"]) == (0, 3)
    assert (on.code, on.json["by"], on.json["new"]) == (0, "list", 0)
    assert {(await show(pool, story.order_ref))["status"] for story in stories} == {"paid"}


async def test_a_person_waits_for_what_came_of_asking(pool, gateways, configured):
    gateways.begin_an_hour_ago()
    stories = paid_stories(gateways, ALIPAY, 3)
    for story in stories:
        await registered(pool, story, clock.now() - HOUR)
    await pool.execute("UPDATE due_orders SET due_at = NULL")  # nothing is left of their ladders
    gateways.at_minute(60)
    async with gateways.open() as bases:
        config = configured(bases)
        async with serving("sweep", "--config", config) as sweep:
            await sweep.saw("sweep_started")
            ended = await tillkeeper("backfill", ALIPAY, "--since", "2h", "--wait", "--config", config, "--json")
    assert (ended.code, ended.json["by"], ended.json["orders"]) == (0, "orders", 3)
    assert ended.json["answers"] == {"payment.succeeded": 3}
    assert {(await show(pool, story.order_ref))["status"] for story in stories} == {"paid"}


async def test_a_second_backfill_of_an_account_is_refused_while_one_runs(pool, gateways, configured):
    async with pool.acquire() as conn:
        assert await claim_account(conn, STRIPE, by=uuid4(), now=clock.now())
    async with gateways.open() as bases:
        ended = await tillkeeper("backfill", STRIPE, "--since", "1h", "--config", configured(bases))
    assert (ended.code, ended.err.startswith("tillkeeper: a backfill of stripe-main is under way")) == (1, True)


async def test_a_gateway_that_does_not_answer_a_person_is_told(pool, gateways, configured):
    gateways.begin_an_hour_ago()
    gateways.at_minute(60)
    denied = configured({STRIPE: "http://127.0.0.1:1"})
    once = {"TILLKEEPER_API_CLIENT__ATTEMPTS": "1"}
    ended = await tillkeeper("backfill", STRIPE, "--since", "1h", "--config", denied, **once)
    assert ended.code == 1
    assert ended.err.splitlines()[-1].startswith("tillkeeper: stripe-main did not answer: unreachable")
    assert (await row_of(pool))["leased_by"] is None
    async with pool.acquire() as conn:
        assert await good_until(conn, STRIPE) is None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nobody", "--since", "1h"], "no account 'nobody' is configured; known are alipay-main, "),
        ([STRIPE, "--since", "1h", "--until", "2h"], "the span ends before it begins"),
    ],
)
async def test_what_makes_no_sense_is_refused(configured, arguments, says):
    ended = await tillkeeper("backfill", *arguments, "--config", configured({}), "--json")
    assert ended.code == 2
    assert json.loads(ended.err)["errors"][0].startswith(says)


async def test_the_role_does_what_is_wanted(pool, gateways, configured):
    gateways.begin_an_hour_ago()
    story = gateways.tells(STRIPE, (gateways.signers[STRIPE].pays, 1))
    await registered(pool, story, clock.now() - HOUR)
    gateways.at_minute(60)
    await requested(pool, STRIPE, clock.now() - HOUR, clock.now())
    async with gateways.open() as bases, serving("sweep", "--config", configured(bases)) as sweep:
        done = await sweep.saw("backfill_done")
        assert (done["account"], done["new"], done["by"]) == (STRIPE, 1, "list")

        async def is_watched():
            return await pool.fetchval("SELECT count(*) FROM account_health") == 3

        await until(is_watched)
    assert (await show(pool, story.order_ref))["status"] == "paid"
