"""Statements are fetched from a gateway's API, day by day, and reconciled: judged from orders, cases and rows."""

import asyncio
from datetime import date, timedelta

import msgspec
import pytest

from tests.database.factories import a_registration
from tests.gateway_apis import Gateways
from tests.system import test_roles
from tillkeeper.accounts import KnownAccounts
from tillkeeper.api_client.client import ApiClient
from tillkeeper.api_client.http import open_http
from tillkeeper.api_client.settings import ApiClientSettings
from tillkeeper.domain.guard import GuardSign, Rule
from tillkeeper.domain.policy import Policy
from tillkeeper.domain.statement_terms import BooksPolicy, BooksTerms
from tillkeeper.sandbox.accounts import write_config
from tillkeeper.sandbox.apis.faults import ApiFault, FaultPeriod
from tillkeeper.settings import load_settings
from tillkeeper.store.apply.registration import register
from tillkeeper.store.books.exclusive import alone_at
from tillkeeper.store.jobs.statement_days import claim_day
from tillkeeper.store.postgres.lease import LeaseLost
from tillkeeper.store.postgres.pool import open_pool
from tillkeeper.workers.database_retry import DatabaseRetry
from tillkeeper.workers.statement_days import StatementDays

urls = test_roles.urls
WECHATPAY = "wechatpay-main"
DAY = date(2026, 11, 22)
READY_MINUTE = 14 * 60  # 10:00 of the 23rd in Beijing
DAY_MINUTES = 24 * 60
ONE_DAY = timedelta(days=1)
FETCHED = Policy(books=BooksPolicy(accounts={WECHATPAY: BooksTerms(fetch=True)}))
LIMITS = ApiClientSettings(calls_per_s=0, attempts=1, breaker_failures=1000)


@pytest.fixture
def gateways(signers):
    played = Gateways({WECHATPAY: signers[WECHATPAY]})
    played.at_minute(READY_MINUTE)
    return played


@pytest.fixture
async def bases(gateways):
    """Its API, which is away for an hour from a day and a half after it is ready."""
    async with gateways.open() as bases:
        yield bases


@pytest.fixture
def accounts(gateways, bases, tmp_path):
    config = tmp_path / "tillkeeper.toml"
    place = {"database_url": "postgresql://nobody@127.0.0.1/", "broker_url": None, "port": 1}
    write_config(config, gateways.signers, **place, token="a-token-of-the-tests", bases=bases)
    return KnownAccounts(load_settings(config).accounts)


@pytest.fixture
async def days(gateways, accounts, pool):
    async with fetching(gateways, accounts, pool) as days:
        yield days


class fetching:  # noqa: N801 - it is used as a function
    """The worker on a pool, with the clock of the gateways."""

    def __init__(self, gateways, accounts, pool, policy=FETCHED, **more):
        self._http = open_http(LIMITS)
        self._made = lambda send: StatementDays(
            pool=pool,
            retry=DatabaseRetry(asyncio.Event()),
            policy=lambda: policy,
            now=lambda: gateways.now,
            api_client=ApiClient(accounts.gateways, LIMITS, send=send, now=lambda: gateways.now),
            accounts=accounts,
            jitter=lambda _least, most: min(most, 1.0),
            **more,
        )

    async def __aenter__(self):
        return self._made(await self._http.__aenter__())

    async def __aexit__(self, *error):
        await self._http.__aexit__(*error)


@pytest.fixture
def ordered(pool, gateways):
    async def register_one(order_ref="T-000001", amount=12900):
        registration = a_registration(order_ref, amount=amount, accounts=(WECHATPAY,))
        await register(pool, registration, policy=FETCHED, now=gateways.begins)

    return register_one


async def rows(pool):
    found = await pool.fetch("SELECT day, state, attempts, last_error FROM statement_days ORDER BY day")
    return [(row["day"], row["state"], row["attempts"], row["last_error"]) for row in found]


async def cases(pool):
    return [tuple(row) for row in await pool.fetch("SELECT kind, subject, closed_by FROM cases ORDER BY id")]


async def test_what_no_webhook_told_is_found_in_the_bill_of_the_day(days, gateways, ordered, pool):
    await ordered()
    await ordered("T-000002")
    gateways.tells(WECHATPAY, ("TRANSACTION.SUCCESS", 0))
    paid_and_back = (("TRANSACTION.SUCCESS", 1), ("REFUND.SUCCESS", 2, "1", 900))
    gateways.tells(WECHATPAY, *paid_and_back, order_ref="T-000002")
    assert await days.run_once() == 1
    assert await rows(pool) == [(DAY, "taken", 0, None)]
    orders = await pool.fetch("SELECT order_ref, status FROM orders ORDER BY order_ref")
    assert [tuple(row) for row in orders] == [("T-000001", "paid"), ("T-000002", "partially_refunded")]
    assert {row["evidence"] for row in await pool.fetch("SELECT evidence FROM inbox")} == {"statement"}
    [statement] = await pool.fetch("SELECT id, form, lines, taken_by, matched_at FROM statements")
    assert (statement["form"], statement["lines"], statement["taken_by"]) == ("wechatpay.trade", 3, "tillkeeper")
    assert statement["matched_at"] == gateways.now
    assert await pool.fetchval("SELECT statement_id FROM statement_days") == statement["id"]
    assert await days.run_once() == 0  # once a day
    assert await cases(pool) == []


async def test_a_day_is_not_asked_for_before_it_is_complete_and_missed_days_are_caught_up_on(days, gateways, pool):
    gateways.tells(WECHATPAY, ("TRANSACTION.SUCCESS", 0))
    assert await days.run_once() == 1
    gateways.at_minute(READY_MINUTE + DAY_MINUTES - 1)
    assert await days.run_once() == 0
    gateways.at_minute(READY_MINUTE + 3 * DAY_MINUTES)
    assert [await days.run_once() for _ in range(4)] == [1, 1, 1, 0]
    found = [(day, state) for day, state, *_ in await rows(pool)]
    assert found == [(DAY, "taken"), *((DAY + nth * ONE_DAY, "empty") for nth in (1, 2, 3))]


async def test_a_day_without_trades_says_that_what_is_known_here_alone_did_not_happen(days, gateways, pool):
    assert await days.run_once() == 1
    [statement] = await pool.fetch("SELECT form, lines, covers, begins, ends FROM statements")
    assert (statement["form"], statement["lines"]) == ("wechatpay.trade", 0)
    assert sorted(statement["covers"]) == ["payment", "refund"]
    assert statement["ends"] - statement["begins"] == ONE_DAY
    assert await rows(pool) == [(DAY, "empty", 0, None)]


async def test_a_bill_that_is_being_made_is_asked_for_again(gateways, accounts, pool):
    gateway = accounts.gateways[WECHATPAY]
    calendar = gateway.statement_calendar
    gateway.statement_calendar = msgspec.structs.replace(calendar, ready_at=calendar.ready_at.replace(hour=8))
    gateways.at_minute(READY_MINUTE - 90)  # 8:30: they are made from 9:00 on
    gateways.tells(WECHATPAY, ("TRANSACTION.SUCCESS", 0))
    async with fetching(gateways, accounts, pool) as days:
        assert await days.run_once() == 1
        assert await rows(pool) == [(DAY, "due", 1, "the gateway has not made it yet")]
        assert await days.run_once() == 0  # not at once
        gateways.at_minute(READY_MINUTE)
        assert await days.run_once() == 1
    assert await rows(pool) == [(DAY, "taken", 1, None)]


async def test_a_day_that_does_not_come_is_a_case_once_which_closes_when_it_comes(gateways, accounts_away, pool):
    async with fetching(gateways, accounts_away, pool) as days:
        for _ in range(30):
            await days.run_once()
            gateways.now += timedelta(hours=1)
        day, state, attempts, error = (await rows(pool))[0]
        assert (day, state) == (DAY, "late")
        assert attempts >= 4
        assert error.startswith("busy")
        gateways.now += timedelta(days=2)
        assert [await days.run_once() for _ in range(5)] == [1, 1, 1, 1, 0]
    assert {state for _, state, *_ in await rows(pool)} == {"empty"}
    [(kind, subject, closed_by)] = await cases(pool)
    assert (kind, subject) == ("statement_missing", f"statement:{WECHATPAY}/{DAY}")
    assert closed_by is not None


@pytest.fixture
async def accounts_away(gateways, tmp_path):
    """The account, whose API fails for two days."""
    fault = FaultPeriod(
        account=WECHATPAY,
        fault=ApiFault.BROKEN,
        since=gateways.begins,
        until=gateways.begins + 2.2 * ONE_DAY,
        share=1.0,
    )
    async with gateways.open(fault) as bases:
        config = tmp_path / "away.toml"
        place = {"database_url": "postgresql://nobody@127.0.0.1/", "broker_url": None, "port": 1}
        write_config(config, gateways.signers, **place, token="a-token-of-the-tests", bases=bases)
        yield KnownAccounts(load_settings(config).accounts)


async def test_what_cannot_be_taken_in_is_said_and_nothing_of_it_is_there(gateways, accounts, ordered, pool):
    gateways.tells(WECHATPAY, ("TRANSACTION.SUCCESS", 0), ("REFUND.SUCCESS", DAY_MINUTES, "1", 12900))
    await ordered()
    async with fetching(gateways, accounts, pool) as days, alone_at(pool, WECHATPAY):
        assert await days.run_once() == 1
    assert (await rows(pool))[0][3] == "somebody else reconciles the account at present"
    assert await pool.fetchval("SELECT count(*) FROM statements") == 0
    gateways.at_minute(READY_MINUTE + DAY_MINUTES)
    rules = {GuardSign.TAKEN_BACK: Rule(least=1, share=0.01)}
    async with fetching(gateways, accounts, pool, guard=rules) as days:
        assert [await days.run_once() for _ in range(3)] == [1, 1, 0]
    (_, *first), (_, *second) = await rows(pool)
    assert first == ["taken", 1, None]
    assert second[:2] == ["due", 1]
    assert "the guard has paused the account" in second[2]
    assert await pool.fetchval("SELECT status FROM orders") == "paid"


async def test_a_bill_of_mostly_other_shops_is_not_taken_in(days, gateways, pool):
    for nth in range(101):
        gateways.tells(WECHATPAY, ("TRANSACTION.SUCCESS", 0), order_ref=f"OTHER-{nth:06d}")
    assert await days.run_once() == 1
    assert "order_prefixes" in (await rows(pool))[0][3]
    assert await pool.fetchval("SELECT count(*) FROM statement_lines") == 0


async def test_an_answer_that_is_not_the_gateways_is_none(gateways, accounts, tmp_path, pool):
    gateways.tells(WECHATPAY, ("TRANSACTION.SUCCESS", 0))
    fault = FaultPeriod(
        account=WECHATPAY, fault=ApiFault.FORGED, since=gateways.begins, until=gateways.begins + ONE_DAY, share=1.0
    )
    async with gateways.open(fault) as bases:
        config = tmp_path / "forged.toml"
        place = {"database_url": "postgresql://nobody@127.0.0.1/", "broker_url": None, "port": 1}
        write_config(config, gateways.signers, **place, token="a-token-of-the-tests", bases=bases)
        async with fetching(gateways, KnownAccounts(load_settings(config).accounts), pool) as days:
            assert await days.run_once() == 1
    [(_, state, _, error)] = await rows(pool)
    assert (state, error.split(":")[0]) == ("due", "bad_answer")


@pytest.mark.parametrize("is_known", [False, True])
async def test_a_file_of_another_day_is_refused(days, gateways, pool, monkeypatch, is_known):
    gateways.tells(WECHATPAY, ("TRANSACTION.SUCCESS", 0))
    asked = days._api_client.statement
    monkeypatch.setattr(days._api_client, "statement", lambda account, day: asked(account, DAY))
    if is_known:
        assert await days.run_once() == 1
    gateways.at_minute(READY_MINUTE + DAY_MINUTES)
    assert await days.run_once() == 1
    day, state, _, error = (await rows(pool))[-1]
    assert (day, state) == (DAY + ONE_DAY, "due")
    assert f"it is not of {DAY + ONE_DAY} alone" in error
    assert await pool.fetchval("SELECT count(*) FROM statements") == is_known


async def test_only_accounts_that_the_policy_names_and_that_can_be_asked_are(gateways, accounts, pool):
    async with fetching(gateways, accounts, pool, policy=Policy()) as days:
        assert await days.run_once() == 0
    assert await rows(pool) == []
    gateway = accounts.gateways[WECHATPAY]
    gateway._signer = None
    async with fetching(gateways, accounts, pool) as days:
        assert await days.run_once() == 0
    assert await rows(pool) == []


async def test_two_sweepers_fetch_a_day_once_and_who_lost_its_lease_writes_nothing(gateways, accounts, pool):
    gateways.tells(WECHATPAY, ("TRANSACTION.SUCCESS", 0))
    async with fetching(gateways, accounts, pool) as one, fetching(gateways, accounts, pool) as other:
        assert sorted(await asyncio.gather(one.run_once(), other.run_once())) == [0, 1]
        gateways.at_minute(READY_MINUTE + DAY_MINUTES)
        handle = one._handle

        async def overtaken(claimed, calendar):
            async with pool.acquire() as conn:
                again = await claim_day(conn, [WECHATPAY], now=gateways.now + timedelta(hours=1))
            assert again.claims == claimed.claims + 1
            with pytest.raises(LeaseLost):
                await handle(claimed, calendar)
            raise LeaseLost

        one._handle = overtaken
        assert await one.run_once() == 1
    assert [state for _, state, *_ in await rows(pool)] == ["taken", "due"]


async def test_the_role_of_the_sweep_may_do_all_of_it(gateways, accounts, urls):
    async with await open_pool(urls[""], max_size=2) as owner:
        registration = a_registration("T-000001", amount=12900, accounts=(WECHATPAY,))
        await register(owner, registration, policy=FETCHED, now=gateways.begins)
    gateways.tells(WECHATPAY, ("TRANSACTION.SUCCESS", 0))
    async with await open_pool(urls["sweep"], max_size=4) as sweep:
        async with fetching(gateways, accounts, sweep) as days:
            assert await days.run_once() == 1
        assert [state for _, state, *_ in await rows(sweep)] == ["taken"]
        assert await sweep.fetchval("SELECT status FROM orders") == "paid"
