"""Accounts that go quiet, on a real database: noticed in time, told once however many look, asked sooner, made good."""

import asyncio
import random
from contextlib import suppress
from datetime import timedelta

import msgspec
import pytest

from tests.database.factories import NOON, a_delivery, a_registration, an_event
from tillkeeper.api_client.client import QueryFailed
from tillkeeper.domain.events import Kind
from tillkeeper.domain.policy import Policy, SilencePolicy
from tillkeeper.domain.silence import DAY, HOUR
from tillkeeper.gateways.messages import Answer, Query
from tillkeeper.store.accounts.health import OUTAGE, activity_of
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.apply.registration import register
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.workers.database_retry import DatabaseRetry
from tillkeeper.workers.silence import Silence
from tillkeeper.workers.watched_api_client import WatchedApiClient

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
STRIPE, ALIPAY = "stripe-main", "alipay-main"
FIXED = Policy(silence=SilencePolicy(after=30 * MINUTE))
LEARNED = Policy()


class Gateways:
    """Answers as a test has it; Stripe alone has a list."""

    def __init__(self):
        self.says = Answer(found=False)

    def can_query(self, account):
        return True

    def can_list_events(self, account):
        return account == STRIPE

    async def query(self, account, query):
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


@pytest.fixture
def look(pool, clock):
    """Looks once, at a time, and says how much came of it."""
    silences = {}

    async def look(moment=None, policy=FIXED, sweeper=0, accounts=(STRIPE, ALIPAY), calls_per_s=10.0):
        clock.at = clock.at if moment is None else NOON + moment
        if sweeper not in silences:
            silences[sweeper] = a_silence(pool, clock, policy, accounts=accounts, calls_per_s=calls_per_s)
        return await silences[sweeper].run_once()

    return look


def a_silence(pool, clock, policy=FIXED, *, accounts=(STRIPE, ALIPAY), calls_per_s=10.0, watched=None):
    return Silence(
        pool=pool,
        watched=watched or WatchedApiClient(Gateways(), now=clock),
        accounts=accounts,
        retry=DatabaseRetry(asyncio.Event()),
        policy=lambda: policy,
        now=clock,
        calls_per_s=calls_per_s,
    )


async def heard(pool, at=NOON, account=STRIPE, deliveries=1):
    """Deliveries of no interest, which are heard all the same."""
    await repeat_on_conflict(
        pool,
        lambda conn: apply_deliveries(
            conn,
            [a_delivery(account=account, received_at=at) for _ in range(deliveries)],
            policy=Policy(),
            now=at,
        ),
    )


async def registered(pool, order_ref, at=NOON, account=ALIPAY, **fields):
    await register(pool, a_registration(order_ref, accounts=(account,), **fields), policy=Policy(), now=at)


async def told(pool):
    rows = await pool.fetch("SELECT topic, payload FROM outbox WHERE audience = 'ops' ORDER BY id")
    return [(row["topic"], msgspec.json.decode(row["payload"])["account"]) for row in rows]


async def asked(pool):
    rows = await pool.fetch("SELECT order_ref, ask_at FROM orders WHERE ask_at IS NOT NULL ORDER BY ask_at, id")
    return {row["order_ref"]: row["ask_at"] - NOON for row in rows}


async def requested(pool):
    rows = await pool.fetch(
        "SELECT account, requested_since, reason FROM backfills WHERE due_at IS NOT NULL ORDER BY 1"
    )
    return {row["account"]: (row["reason"], row["requested_since"] - NOON) for row in rows}


# --- hearing ----------------------------------------------------------------------------------------------------------


async def test_each_minute_in_which_something_came_counts_once(pool):
    for minute, deliveries in ((0, 5), (0, 1), (59, 1), (60, 2)):
        await heard(pool, NOON + minute * MINUTE + SECOND, deliveries=deliveries)
    activity = (await activity_of(pool, [STRIPE], now=NOON + 2 * HOUR))[STRIPE]
    assert activity.minutes == {NOON: 2, NOON + HOUR: 1}
    assert (activity.first_hour, activity.last_at) == (NOON, NOON + HOUR + SECOND)
    assert await pool.fetchval("SELECT sum(deliveries) FROM activity") == 9


async def test_workers_that_hear_at_once_lose_no_count(pool):
    await asyncio.gather(*(heard(pool, NOON + n * MINUTE, deliveries=3) for n in range(40)))
    activity = (await activity_of(pool, [STRIPE], now=NOON + HOUR))[STRIPE]
    assert activity.minutes == {NOON: 40}
    assert await pool.fetchval("SELECT sum(deliveries) FROM activity") == 120


async def test_a_delivery_handed_out_twice_is_heard_once(pool):
    delivery = a_delivery(received_at=NOON)
    for _ in range(2):
        await repeat_on_conflict(pool, lambda conn: apply_deliveries(conn, [delivery], policy=Policy(), now=NOON))
    assert await pool.fetchval("SELECT sum(deliveries) FROM activity") == 1


# --- silence ----------------------------------------------------------------------------------------------------------


async def test_an_account_that_was_never_heard_is_not_missed(pool, look):
    for hour in range(50):
        await look(hour * HOUR)
    assert await told(pool) == []


async def test_a_silence_is_told_once_and_its_end_once(pool, look):
    await heard(pool)
    for minute in range(90):
        await look(minute * MINUTE)
    assert await told(pool) == [("account.silent", STRIPE)]
    payload = msgspec.json.decode(await pool.fetchval("SELECT payload FROM outbox WHERE audience = 'ops'"))
    assert (payload["minutes"], payload["level"], payload["answers"]) == (30, 1, True)
    await heard(pool, NOON + 90 * MINUTE)
    for minute in range(90, 100):
        await look(minute * MINUTE)
    assert await told(pool) == [("account.silent", STRIPE), ("account.talking", STRIPE)]
    for minute in range(100, 130):
        await look(minute * MINUTE)
    assert [topic for topic, _ in await told(pool)] == ["account.silent", "account.talking", "account.silent"]


async def test_many_sweepers_tell_a_silence_once(pool, look):
    await heard(pool)
    await heard(pool, account=ALIPAY)
    for minute in (29, 30, 31, 32):
        await asyncio.gather(*(look(minute * MINUTE, sweeper=sweeper) for sweeper in range(6)))
    assert sorted(await told(pool)) == [("account.silent", ALIPAY), ("account.silent", STRIPE)]
    assert await pool.fetchval("SELECT count(*) FROM silences") == 2


async def test_a_backlog_that_is_worked_off_is_no_talk(pool, look):
    await heard(pool)
    await look(40 * MINUTE)
    await heard(pool, NOON + 5 * MINUTE)  # received long ago, applied now
    await look(41 * MINUTE)
    assert await told(pool) == [("account.silent", STRIPE)]


async def test_quiet_is_learned_from_three_weeks_of_deliveries(pool, look):
    chance = random.Random(3)
    minutes = [n for n in range(21 * 24 * 60) if chance.random() < 0.3 and 8 <= (n // 60 + 12) % 24 < 22]
    await pool.executemany(
        "INSERT INTO activity VALUES ($1, $2, 0, $3, 1, $4) ON CONFLICT (account, hour, backend) DO UPDATE"
        " SET minutes = activity.minutes | excluded.minutes, last_at = greatest(activity.last_at, excluded.last_at)",
        [(STRIPE, (at := NOON - 21 * DAY + n * MINUTE).replace(minute=0), 1 << at.minute, at) for n in minutes],
    )
    for minute in range(60):
        await look(minute * MINUTE, LEARNED)
        if await told(pool):
            break
    assert 35 <= minute <= 48  # 0.7 ** 39 is one in a million


async def test_what_is_older_than_a_month_is_forgotten(pool, look):
    await heard(pool, NOON - 40 * DAY)
    await heard(pool, NOON - DAY)
    await look(timedelta())
    assert await pool.fetchval("SELECT count(*) FROM activity") == 1


# --- what follows -----------------------------------------------------------------------------------------------------


async def test_open_payments_of_a_silent_account_are_asked_about_spread_within_its_rate(pool, look):
    await heard(pool, account=ALIPAY)
    for number in range(5):
        await registered(pool, f"A{number}", NOON + number * MINUTE)
    await registered(pool, "old", NOON - 8 * 24 * HOUR)
    await registered(pool, "elsewhere", account=STRIPE)
    await look(30 * MINUTE)
    at = 30 * MINUTE
    assert await asked(pool) == {f"A{4 - n}": at + n * timedelta(seconds=0.2) for n in range(5)}


async def test_a_round_asks_no_more_orders_than_fit_in_it(pool, look):
    await heard(pool, account=ALIPAY)
    for number in range(12):
        await registered(pool, f"A{number}")
    await look(30 * MINUTE, calls_per_s=0.02)  # half of it: one in 100 s, six in ten minutes
    assert len(await asked(pool)) == 6


async def test_a_round_comes_again_while_the_silence_lasts(pool, look):
    await heard(pool, account=ALIPAY)
    await registered(pool, "A1")
    await look(30 * MINUTE)
    await pool.execute("UPDATE orders SET ask_at = NULL")
    await look(39 * MINUTE)
    assert await asked(pool) == {}
    await registered(pool, "A2", NOON + 39 * MINUTE)
    await look(40 * MINUTE)
    assert set(await asked(pool)) == {"A1", "A2"}


async def test_an_order_that_was_asked_about_just_now_is_not_asked_again(pool, look):
    await heard(pool, account=ALIPAY)
    await registered(pool, "A1")
    await pool.execute(
        "INSERT INTO steps (order_id, phase, action, at, taken_at) SELECT id, phase, 'query', $1, $1 FROM orders",
        NOON + 26 * MINUTE,
    )
    await look(30 * MINUTE)
    assert await asked(pool) == {}


async def test_held_and_closed_orders_are_left_alone(pool, look):
    await heard(pool, account=ALIPAY)
    for ref in ("held", "closed"):
        await registered(pool, ref)
    await pool.execute("UPDATE orders SET held_until = $1 WHERE order_ref = 'held'", NOON + 9 * HOUR)
    await pool.execute("UPDATE orders SET closed_at = $1 WHERE order_ref = 'closed'", NOON)
    await look(30 * MINUTE)
    assert await asked(pool) == {}


async def test_where_there_is_a_list_it_is_wanted_and_only_payments_under_way_are_asked_about(pool, look):
    await heard(pool)
    await registered(pool, "A1", account=STRIPE)
    await registered(pool, "A2", account=STRIPE)
    await repeat_on_conflict(
        pool,
        lambda conn: apply_deliveries(
            conn, [a_delivery(an_event(Kind.PAYMENT_PENDING, order_ref="A2"))], policy=Policy(), now=NOON
        ),
    )
    await look(30 * MINUTE)
    assert await requested(pool) == {STRIPE: ("silent", -5 * MINUTE)}
    assert await asked(pool) == {"A2": 31 * MINUTE}


async def test_the_span_of_a_silence_is_wanted_again_once_it_is_over(pool, look):
    await heard(pool, account=ALIPAY)
    await look(45 * MINUTE)
    await heard(pool, NOON + 50 * MINUTE, account=ALIPAY)
    await look(51 * MINUTE)
    assert await requested(pool) == {ALIPAY: ("silent", -5 * MINUTE)}


async def test_what_nobody_watched_is_wanted(pool, look):
    await look(timedelta())
    await look(OUTAGE - SECOND)
    assert await requested(pool) == {}
    await look(3 * OUTAGE)
    assert await requested(pool) == dict.fromkeys((STRIPE, ALIPAY), ("outage", OUTAGE - SECOND - 5 * MINUTE))


# --- answering --------------------------------------------------------------------------------------------------------


async def question_put(watched):
    with suppress(QueryFailed):
        await watched.query(STRIPE, Query(about="payment", order_ref="A1"))


async def test_queries_that_fail_on_end_are_told_once_and_the_first_answer_once(pool, clock):
    gateways = Gateways()
    watched = WatchedApiClient(gateways, now=clock)
    silence = a_silence(pool, clock, watched=watched)
    for minute in range(60):
        clock.at = NOON + minute * MINUTE
        gateways.says = QueryFailed("denied") if 10 <= minute < 40 else Answer(found=False)
        await question_put(watched)
        await silence.run_once()
    assert await told(pool) == [("account.unanswering", STRIPE), ("account.answering", STRIPE)]
    payload = msgspec.json.decode(await pool.fetchval("SELECT payload FROM outbox WHERE topic = 'account.unanswering'"))
    assert (payload["reason"], payload["minutes"]) == ("denied", 15)
    assert await requested(pool) == {STRIPE: ("unanswering", 5 * MINUTE)}


async def test_a_sweeper_that_gets_answers_speaks_for_the_others(pool, clock):
    cut_off, well = Gateways(), Gateways()
    cut_off.says = QueryFailed("unreachable")
    each = [
        (watched := WatchedApiClient(gateways, now=clock), a_silence(pool, clock, watched=watched))
        for gateways in (cut_off, well)
    ]
    for minute in range(60):
        clock.at = NOON + minute * MINUTE
        for watched, silence in each:
            await question_put(watched)
            await silence.run_once()
    assert await told(pool) == []


async def test_an_account_without_credentials_is_not_unanswering(pool, clock):
    gateways = Gateways()
    gateways.says = QueryFailed("cannot_ask")
    watched = WatchedApiClient(gateways, now=clock)
    silence = a_silence(pool, clock, watched=watched)
    for minute in range(0, 60, 5):
        clock.at = NOON + minute * MINUTE
        await question_put(watched)
        await silence.run_once()
    assert await told(pool) == []


async def test_what_was_seen_while_the_database_was_away_is_told_later(pool, clock, postgres_server):
    watched = WatchedApiClient(Gateways(), now=clock)
    stop = asyncio.Event()
    stop.set()
    silence = Silence(
        pool=pool,
        watched=watched,
        accounts=(STRIPE,),
        retry=DatabaseRetry(stop),
        policy=lambda: FIXED,
        now=clock,
        calls_per_s=10.0,
    )
    await question_put(watched)
    await postgres_server.stop()
    assert await silence.run_once() == 0
    await postgres_server.start()
    await silence.run_once()
    assert await pool.fetchval("SELECT answered_at FROM account_health WHERE account = $1", STRIPE) == NOON


async def test_an_account_that_is_configured_while_it_runs_is_watched_from_then_on(pool, clock):
    accounts = {STRIPE: None}
    silence = a_silence(pool, clock, accounts=accounts.keys())
    await silence.run_once()
    accounts[ALIPAY] = None
    clock.at += MINUTE
    await silence.run_once()
    assert await pool.fetchval("SELECT count(*) FROM account_health") == 2
