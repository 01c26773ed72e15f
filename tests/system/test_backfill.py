"""What webhooks never told is brought in: from the sandbox's own APIs, by the loop, by the role and by a person."""

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

import pytest

from tests.database.factories import a_delivery, a_registration
from tests.gateway_apis import NOON, Gateways
from tests.system.commands import serving, tillkeeper
from tests.system.receiving import TOKEN, until
from tillkeeper import clock
from tillkeeper.api_client.client import ApiClient, QueryFailed
from tillkeeper.api_client.http import open_http
from tillkeeper.domain.policy import Policy, SilencePolicy
from tillkeeper.gateways.messages import Request
from tillkeeper.policy import load_policy
from tillkeeper.sandbox.accounts import new_signers, write_config
from tillkeeper.sandbox.apis.faults import Fault, Spell
from tillkeeper.settings import SweepSettings, load_settings
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.apply.registration import register
from tillkeeper.store.jobs.backfill import (
    LEASE,
    OPEN,
    OPEN_ORDERS,
    UNDATED,
    claim_account,
    count_passed_over,
    good_until,
    open_in,
    request_backfill,
)
from tillkeeper.store.postgres.transactions import repeat_when_raced
from tillkeeper.store.reports.order import history, show
from tillkeeper.workers.backfill import LIST_LAG, PART, Backfill
from tillkeeper.workers.database_retry import DatabaseRetry
from tillkeeper.workers.silence import Silence
from tillkeeper.workers.sweep import Sweep
from tillkeeper.workers.watched_api_client import WatchedApiClient

STRIPE, ALIPAY, WECHATPAY = "stripe-main", "alipay-main", "wechatpay-main"
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def signers():
    return new_signers()


@pytest.fixture
def gateways(signers):
    return Gateways(signers)


@pytest.fixture
def configured(tmp_path, gateways, database):
    """A configuration that asks the sandbox's APIs where they are."""

    def write(bases):
        path = tmp_path / "tillkeeper.toml"
        write_config(path, gateways.signers, database_url=database, broker_url=None, port=0, token=TOKEN, bases=bases)
        return path

    return write


@asynccontextmanager
async def asker_of(gateways, configured, *spells):
    """An ApiClient of the sandbox's APIs, in their time."""
    async with gateways.open(*spells) as bases:
        settings = load_settings(configured(bases), {})
        ask = settings.api_client.model_copy(update={"calls_per_s": 0.0, "attempts": 1, "breaker_failures": 1000})
        async with open_http(ask) as send:
            yield ApiClient(settings.build_gateways(), ask, send=send, now=lambda: gateways.now)


def a_backfill(pool, lists, now, accounts=(STRIPE, ALIPAY, WECHATPAY), **more):
    defaults = {"policy": Policy, "retry": DatabaseRetry(asyncio.Event()), "calls_per_s": 10.0}
    return Backfill(pool=pool, lists=lists, accounts=accounts, now=now, **{**defaults, **more})


async def registered(pool, story, at=NOON):
    await register(
        pool,
        a_registration(story.order_ref, amount=story.amount, currency=story.currency, accounts=(story.account,)),
        policy=Policy(),
        now=at,
    )


async def wished(pool, account, since, now, reason="outage"):
    await repeat_when_raced(pool, lambda conn: request_backfill(conn, account, since, reason=reason, now=now))


async def row_of(pool, account=STRIPE):
    return await pool.fetchrow("SELECT * FROM backfills WHERE account = $1", account)


def paid_stories(gateways, account, number, *, minute=1):
    pays = gateways.signers[account].pays
    return [gateways.tells(account, (pays, minute + n), order_ref=f"T-{n:06}") for n in range(number)]


# --- lists ------------------------------------------------------------------------------------------------------------


async def test_what_no_webhook_told_is_taken_in_from_the_list_once(pool, gateways, configured):
    stories = paid_stories(gateways, STRIPE, 230, minute=0.1)
    for story in stories[:3]:
        await registered(pool, story)
    gateways.at_minute(240)
    async with asker_of(gateways, configured) as api_client:
        backfill = a_backfill(pool, api_client, lambda: gateways.now)
        for _ in range(2):
            await wished(pool, STRIPE, NOON, gateways.now)
            assert await backfill.run_once() == 1
            assert await backfill.run_once() == 0
    assert [(await show(pool, story.order_ref))["status"] for story in stories[:3]] == ["paid"] * 3
    (event,) = await history(pool, stories[0].order_ref)
    assert (event["evidence"], event["event_id"]) == ("query", stories[0].events[0].event_id)
    assert await pool.fetchval("SELECT count(*) FROM inbox") == 230
    row = await row_of(pool)
    assert (row["requested_since"], row["leased_by"], row["good_until"]) == (None, None, gateways.now - LIST_LAG)


async def test_an_event_of_the_list_is_the_same_as_its_webhook(pool, gateways, configured):
    story = gateways.tells(STRIPE, (gateways.signers[STRIPE].pays, 1))
    await registered(pool, story)
    gateways.at_minute(10)
    async with asker_of(gateways, configured) as api_client:
        gateway = load_settings(configured({}), {}).build_gateways()[STRIPE]
        headers, body = gateways.signers[STRIPE].sign(story, story.events[0], now=gateways.now, again=0)
        request = Request({name.lower(): [value] for name, value in headers.items()}, body)
        events = gateway.parse(gateway.verify(request, gateways.now))
        await repeat_when_raced(
            pool, lambda conn: apply_deliveries(conn, [a_delivery(*events)], policy=Policy(), now=gateways.now)
        )
        await wished(pool, STRIPE, NOON, gateways.now)
        await a_backfill(pool, api_client, lambda: gateways.now).run_once()
    assert await pool.fetchval("SELECT count(*) FROM inbox") == 1
    assert await pool.fetchval("SELECT count(*) FROM cases") == 0


async def test_a_gateway_that_does_not_answer_is_tried_again_later_and_then_longer(pool, gateways, configured):
    story = gateways.tells(STRIPE, (gateways.signers[STRIPE].pays, 1))
    await registered(pool, story)
    gateways.at_minute(5)
    broken = Spell(account=STRIPE, fault=Fault.BROKEN, since=NOON, until=NOON + 6 * MINUTE, share=1.0)
    async with asker_of(gateways, configured, broken) as api_client:
        backfill = a_backfill(pool, api_client, lambda: gateways.now)
        await wished(pool, STRIPE, NOON, gateways.now)
        assert await backfill.run_once() == 1
        row = await row_of(pool)
        assert (row["due_at"] - gateways.now, row["tries"], row["leased_by"]) == (MINUTE / 2, 1, None)
        assert await backfill.run_once() == 0
        gateways.at_minute(5.5)
        assert await backfill.run_once() == 1
        assert (await row_of(pool))["due_at"] - gateways.now == MINUTE
        gateways.at_minute(6.5)
        assert await backfill.run_once() == 1
    assert (await show(pool, story.order_ref))["status"] == "paid"
    assert (await row_of(pool))["due_at"] is None


class EventLists:
    """Stands for the api_client: keeps which parts were listed, and does what a test has it do at one."""

    def __init__(self):
        self.parts = []
        self.at_part = lambda _since: None

    def can_query(self, account):
        return True

    async def events(self, account, *, since, until):
        self.parts.append((since, until))
        self.at_part(since)
        yield ()


class Clock:
    def __init__(self):
        self.at = NOON

    def __call__(self):
        return self.at


async def test_it_goes_on_where_it_stopped(pool):
    lists, now = EventLists(), Clock()

    def fails(since):
        if since == NOON - 3 * PART:
            raise QueryFailed("unreachable")

    lists.at_part = fails
    backfill = a_backfill(pool, lists, now)
    await wished(pool, STRIPE, NOON - 6 * PART, NOON)
    await backfill.run_once()
    assert (await row_of(pool))["requested_since"] == NOON - 3 * PART
    lists.at_part, lists.parts = lambda _: None, []
    now.at += HOUR
    await backfill.run_once()
    assert lists.parts[0][0] == NOON - 3 * PART
    assert lists.parts[-1][1] == now.at
    assert all(earlier[1] == later[0] for earlier, later in zip(lists.parts, lists.parts[1:], strict=False))


async def test_a_sweeper_that_dies_leaves_the_rest_to_another_once_its_lease_is_over(pool):
    now, lists = Clock(), EventLists()
    await wished(pool, STRIPE, NOON - HOUR, NOON)

    class Killed(BaseException):
        pass

    def dies(_since):
        raise Killed

    lists.at_part = dies
    with pytest.raises(Killed):
        await a_backfill(pool, lists, now).run_once()
    lists.at_part = lambda _: None
    assert await a_backfill(pool, lists, now).run_once() == 0
    now.at += LEASE
    assert await a_backfill(pool, lists, now).run_once() == 1


async def test_one_that_is_too_slow_leaves_it_to_whoever_took_over(pool):
    now, lists = Clock(), EventLists()
    await wished(pool, STRIPE, NOON - 3 * PART, NOON)
    slow, other = a_backfill(pool, lists, now), a_backfill(pool, EventLists(), now)

    class Slow(EventLists):
        async def events(self, account, *, since, until):
            self.parts.append((since, until))
            now.at += LEASE
            assert await other.run_once() == 1
            yield ()

    slow._gaps._lists = tardy = Slow()
    assert await slow.run_once() == 1
    assert len(tardy.parts) == 1
    assert (await row_of(pool))["due_at"] is None


async def test_many_sweepers_list_a_span_once(pool):
    now, lists = Clock(), EventLists()
    backfills = [a_backfill(pool, lists, now) for _ in range(6)]
    for _ in range(3):
        await wished(pool, STRIPE, NOON - 2 * PART, NOON)
        await asyncio.gather(*(backfill.run_once() for backfill in backfills))
    assert len(lists.parts) == 6
    assert await a_backfill(pool, lists, now).run_once() == 0


async def test_what_is_wanted_while_it_runs_is_done_after_it(pool):
    now = Clock()

    class Meanwhile(EventLists):
        async def events(self, account, *, since, until):
            self.parts.append((since, until))
            if len(self.parts) == 1:
                now.at += MINUTE
                await wished(pool, STRIPE, now.at - 10 * MINUTE, now.at)
            yield ()

    lists = Meanwhile()
    backfill = a_backfill(pool, lists, now)
    await wished(pool, STRIPE, NOON - MINUTE, NOON)
    assert await backfill.run_once() == 1
    assert await backfill.run_once() == 1
    assert await backfill.run_once() == 0
    assert lists.parts[-1] == (NOON - 9 * MINUTE, NOON + MINUTE)


async def test_told_to_stop_it_stops_between_parts_and_keeps_its_place(pool):
    now, lists = Clock(), EventLists()
    stopping = iter([False, False, True])
    backfill = a_backfill(pool, lists, now, stopping=lambda: next(stopping))
    await wished(pool, STRIPE, NOON - 6 * PART, NOON)
    assert await backfill.run_once() == 0
    assert (await row_of(pool))["requested_since"] == NOON - 4 * PART


async def test_a_span_before_all_lists_begins_with_the_list(pool):
    now, lists = Clock(), EventLists()
    await wished(pool, STRIPE, NOON - timedelta(days=90), NOON)
    await a_backfill(pool, lists, now).run_once()
    assert lists.parts[0][0] == NOON - timedelta(days=30)
    assert (await row_of(pool))["due_at"] is None


@pytest.mark.parametrize("account", [STRIPE, ALIPAY, WECHATPAY])
async def test_what_is_paid_while_an_account_is_silent_is_known_within_a_round(pool, gateways, configured, account):
    """Without any ladder: nothing else would ask."""
    policy = Policy(silence=SilencePolicy(after=15 * MINUTE, ask_every=10 * MINUTE))
    stories = [
        gateways.tells(account, (gateways.signers[account].pays, 5 * n), order_ref=f"T-{n:06}") for n in range(9)
    ]
    for story in stories:
        await registered(pool, story)
    await pool.execute("UPDATE orders SET due_at = NULL")
    heard = a_delivery(account=account, received_at=NOON)
    await repeat_when_raced(pool, lambda conn: apply_deliveries(conn, [heard], policy=policy, now=NOON))
    rules = {"retry": DatabaseRetry(asyncio.Event()), "policy": lambda: policy, "now": lambda: gateways.now}
    paid_at = {}
    async with asker_of(gateways, configured) as api_client:
        watched = WatchedApiClient(api_client, now=rules["now"])
        loops = [
            Silence(pool=pool, watched=watched, accounts=(account,), calls_per_s=10.0, **rules),
            Backfill(pool=pool, lists=watched, accounts=(account,), calls_per_s=10.0, **rules),
            Sweep(pool=pool, api_client=watched, settings=SweepSettings(), **rules),
        ]
        for minute in range(60):
            gateways.at_minute(minute)
            for loop in loops:
                while await loop.run_once():
                    pass
            for row in await pool.fetch("SELECT order_ref FROM orders WHERE status = 'paid'"):
                paid_at.setdefault(row["order_ref"], minute)
    assert set(paid_at) == {story.order_ref for story in stories}
    assert all(paid_at[f"T-{n:06}"] <= max(15, 5 * n) + 12 for n in range(9))
    assert await pool.fetchval("SELECT count(*) FROM outbox WHERE topic = 'account.silent'") == 1


# --- open orders ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("account", [ALIPAY, WECHATPAY])
async def test_without_a_list_the_sweep_asks_about_open_orders(pool, gateways, configured, account):
    stories = paid_stories(gateways, account, 4)
    for story in stories:
        await registered(pool, story)
    gateways.at_minute(30)
    policy = load_policy()
    async with asker_of(gateways, configured) as api_client:
        await wished(pool, account, NOON, gateways.now)
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
        found = await open_in(conn, ALIPAY, SINCE, NOON, limit=10, now=NOON)
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
    statuses = [str(it) for it in OPEN]
    told = (ALIPAY, NOON - HOUR, NOON, statuses, NOON, NOON, 100, NOON - HOUR - UNDATED)
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
    await pool.execute("UPDATE orders SET due_at = NULL")  # nothing is left of their ladders
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
    await wished(pool, STRIPE, clock.now() - HOUR, clock.now())
    async with gateways.open() as bases, serving("sweep", "--config", configured(bases)) as sweep:
        done = await sweep.saw("backfill_done")
        assert (done["account"], done["new"], done["by"]) == (STRIPE, 1, "list")

        async def is_watched():
            return await pool.fetchval("SELECT count(*) FROM account_health") == 3

        await until(is_watched)
    assert (await show(pool, story.order_ref))["status"] == "paid"
