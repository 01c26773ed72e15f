"""Backfill by the list of events that a gateway has."""

import asyncio
from datetime import timedelta
from functools import partial

import pytest

from tests.database.factories import a_delivery
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
from tests.virtual_time import Clock
from tillkeeper.api_client.client import QueryFailed
from tillkeeper.domain.policy import Policy, SilencePolicy
from tillkeeper.gateways.messages import Request
from tillkeeper.sandbox.apis.faults import ApiFault, FaultPeriod
from tillkeeper.settings import SweepSettings, load_settings
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.jobs.backfill import (
    LEASE,
)
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.store.reports.order import history, show
from tillkeeper.workers.backfill import LIST_LAG, PART, Backfill
from tillkeeper.workers.database_retry import DatabaseRetry
from tillkeeper.workers.silence import Silence
from tillkeeper.workers.sweep import Sweep
from tillkeeper.workers.watched_api_client import WatchedApiClient


@pytest.fixture
def gateways(signers):
    return Gateways(signers)


@pytest.fixture
def configured(tmp_path, gateways, database):
    return partial(config_in, tmp_path, gateways.signers, database)


# --- lists ------------------------------------------------------------------------------------------------------------


async def test_what_no_webhook_told_is_taken_in_from_the_list_once(pool, gateways, configured):
    stories = paid_stories(gateways, STRIPE, 230, minute=0.1)
    for story in stories[:3]:
        await registered(pool, story)
    gateways.at_minute(240)
    async with asker_of(gateways, configured) as api_client:
        backfill = a_backfill(pool, api_client, lambda: gateways.now)
        for _ in range(2):
            await requested(pool, STRIPE, NOON, gateways.now)
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
        await repeat_on_conflict(
            pool, lambda conn: apply_deliveries(conn, [a_delivery(*events)], policy=Policy(), now=gateways.now)
        )
        await requested(pool, STRIPE, NOON, gateways.now)
        await a_backfill(pool, api_client, lambda: gateways.now).run_once()
    assert await pool.fetchval("SELECT count(*) FROM inbox") == 1
    assert await pool.fetchval("SELECT count(*) FROM cases") == 0


async def test_a_gateway_that_does_not_answer_is_tried_again_later_and_then_longer(pool, gateways, configured):
    story = gateways.tells(STRIPE, (gateways.signers[STRIPE].pays, 1))
    await registered(pool, story)
    gateways.at_minute(5)
    broken = FaultPeriod(account=STRIPE, fault=ApiFault.BROKEN, since=NOON, until=NOON + 6 * MINUTE, share=1.0)
    async with asker_of(gateways, configured, broken) as api_client:
        backfill = a_backfill(pool, api_client, lambda: gateways.now)
        await requested(pool, STRIPE, NOON, gateways.now)
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


async def test_it_goes_on_where_it_stopped(pool):
    lists, now = EventLists(), Clock()

    def fails(since):
        if since == NOON - 3 * PART:
            raise QueryFailed("unreachable")

    lists.at_part = fails
    backfill = a_backfill(pool, lists, now)
    await requested(pool, STRIPE, NOON - 6 * PART, NOON)
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
    await requested(pool, STRIPE, NOON - HOUR, NOON)

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
    await requested(pool, STRIPE, NOON - 3 * PART, NOON)
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
        await requested(pool, STRIPE, NOON - 2 * PART, NOON)
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
                await requested(pool, STRIPE, now.at - 10 * MINUTE, now.at)
            yield ()

    lists = Meanwhile()
    backfill = a_backfill(pool, lists, now)
    await requested(pool, STRIPE, NOON - MINUTE, NOON)
    assert await backfill.run_once() == 1
    assert await backfill.run_once() == 1
    assert await backfill.run_once() == 0
    assert lists.parts[-1] == (NOON - 9 * MINUTE, NOON + MINUTE)


async def test_stopped_it_stops_between_parts_and_keeps_its_place(pool):
    now, lists = Clock(), EventLists()
    stopping = iter([False, False, True])
    backfill = a_backfill(pool, lists, now, stopping=lambda: next(stopping))
    await requested(pool, STRIPE, NOON - 6 * PART, NOON)
    assert await backfill.run_once() == 0
    assert (await row_of(pool))["requested_since"] == NOON - 4 * PART


async def test_a_span_before_all_lists_begins_with_the_list(pool):
    now, lists = Clock(), EventLists()
    await requested(pool, STRIPE, NOON - timedelta(days=90), NOON)
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
    await pool.execute("UPDATE due_orders SET due_at = NULL")
    heard = a_delivery(account=account, received_at=NOON)
    await repeat_on_conflict(pool, lambda conn: apply_deliveries(conn, [heard], policy=policy, now=NOON))
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
