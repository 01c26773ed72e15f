"""What deliveries say to ask about is asked, answered and applied."""

import asyncio
from collections import Counter
from datetime import timedelta
from functools import partial
from random import Random
from uuid import uuid4

import msgspec
import pytest

from tests.database.factories import NOON, a_delivery, an_event
from tests.database.fetching import (
    ACCOUNT,
    MINUTE,
    PAYMENT,
    SECOND,
    Gateways,
    a_loop,
    books,
    paid,
    registered,
    requested,
    rows,
    until,
)
from tillkeeper.api_client.client import QueryFailed
from tillkeeper.domain.backoff import FETCH as FETCH_BACKOFF
from tillkeeper.domain.backoff import FETCH_NOT_FOUND
from tillkeeper.domain.events import Evidence, Kind
from tillkeeper.domain.fetching import Fetch, Finished, GivenUp, next_step
from tillkeeper.domain.policy import Policy
from tillkeeper.gateways.messages import Answer, Call, Query
from tillkeeper.store.apply.batch import apply_deliveries, replay
from tillkeeper.store.cases.acts import resolve
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.store.queries.fetches import claim_fetches, settle_fetch
from tillkeeper.store.reports.order import history, show
from tillkeeper.workers.apply_or_park import apply_or_park, park_delivery

LEASE = 60 * SECOND
CALL = Call(method="POST", url="http://127.0.0.1:9/acknowledge", headers={})


@pytest.fixture
def gateways(clock):
    return Gateways(clock)


@pytest.fixture
def loop(pool, gateways, clock):
    return a_loop(pool, gateways, clock)


async def test_a_query_is_asked_and_what_is_answered_is_applied_as_any_query(pool, loop, gateways):
    await registered(pool)
    gateways.says = lambda *_: paid()
    await requested(pool, PAYMENT)
    assert (await books(pool)).fetches == {
        "wanted": 1,
        "dropped": 0,
        "open": 1,
        "found": 0,
        "not_found": 0,
        "given_up": 0,
    }
    assert await loop.run_once() == 1
    assert [each[1:] for each in gateways.asked] == [(ACCOUNT, Query(about="payment", payment_ref="tr_1"))]
    assert (await show(pool, "A1"))["status"] == "paid"
    [told] = [entry for entry in await history(pool, "A1") if entry["what"] == "event"]
    assert (told["evidence"], told["outcome"]) == ("query", "applied")
    [row] = await rows(pool)
    assert (row["due_at"], row["result"], row["finished_at"]) == (None, "payment.succeeded", NOON)
    found = await books(pool)
    assert (found.fetches["found"], found.fetches["open"], found.balances) == (1, 0, True)
    assert await loop.run_once() == 0


async def test_a_pass_over_nothing_asks_nothing(loop, gateways):
    assert (await loop.run_once(), gateways.asked) == (0, [])


async def test_many_requests_are_one_query_while_nobody_asks(pool, loop, gateways):
    for _ in range(5):
        await requested(pool, PAYMENT, PAYMENT)
    await requested(pool, Fetch(about="refund", refund_ref="re_1"))
    assert await loop.run_once() == 2
    assert len(await rows(pool)) == 2
    await until(loop, gateways.clock, timedelta(hours=2))
    told = await books(pool)
    assert (told.fetches["wanted"], told.fetches["not_found"], told.balances) == (11, 11, True)


async def test_a_request_that_comes_while_the_gateway_is_asked_leads_to_one_query_more(pool, loop, gateways):
    async def meanwhile():
        gateways.says = lambda *_: paid()
        await requested(pool, PAYMENT)
        await requested(pool, PAYMENT)
        assert await a_loop(pool, gateways, gateways.clock).run_once() == 0  # it is in somebody's hands
        return paid()

    gateways.says = lambda *_: meanwhile()
    await requested(pool, PAYMENT)
    assert await loop.run_once() == 1
    assert await loop.run_once() == 1
    assert await loop.run_once() == 0
    assert len(gateways.asked) == 2
    told = await books(pool)
    assert (told.fetches["found"], told.balances) == (3, True)


async def test_what_was_answered_is_asked_again_when_it_is_requested_again(pool, loop, gateways):
    gateways.says = lambda *_: paid()
    for _ in range(3):
        await requested(pool, PAYMENT)
        assert await loop.run_once() == 1
    assert len(gateways.asked) == 3
    assert await pool.fetchval("SELECT count(*) FROM inbox") == 1


async def test_an_answer_whose_order_is_not_known_yet_waits_as_others_do(pool, loop, gateways):
    gateways.says = lambda *_: paid()
    await requested(pool, PAYMENT)
    await loop.run_once()
    assert await pool.fetchval("SELECT outcome FROM inbox") == "waiting"
    await registered(pool)
    assert (await show(pool, "A1"))["status"] == "paid"


async def test_what_is_asked_about_a_known_payment_names_its_order_too(pool, loop, gateways):
    """An answer may name further payments, and no order: they are that order's."""
    await requested(pool, PAYMENT, events=[an_event(kind=Kind.PAYMENT_PENDING, payment_ref="tr_1", order_ref="A1")])
    await registered(pool)
    capture = an_event(event_id="query:7", payment_ref="tr_capture", order_ref=None, evidence=Evidence.QUERY)

    def says(_account, query):
        return Answer(found=True, events=(msgspec.structs.replace(capture, order_ref=query.order_ref),))

    gateways.says = says
    await loop.run_once()
    assert [query.order_ref for _, _, query in gateways.asked] == ["A1"]
    assert (await show(pool, "A1"))["status"] == "paid"


async def test_without_an_answer_it_is_asked_for_three_days_and_then_there_is_a_case(pool, loop, gateways, clock):
    gateways.says = lambda *_: QueryFailed("unreachable", "TimeoutError")
    await requested(pool, PAYMENT)
    await loop.run_once()
    [row] = await rows(pool)
    assert (row["due_at"], row["failures"]) == (NOON + MINUTE, 1)
    await until(loop, clock, FETCH_BACKOFF.give_up_after + timedelta(hours=1), step=timedelta(hours=1))
    [case] = await pool.fetch("SELECT * FROM cases")
    assert (case["kind"], case["account"], case["subject"]) == (
        "fetch_failed",
        ACCOUNT,
        "fetch:stripe-main/payment/tr_1/-/-",
    )
    assert "unreachable: TimeoutError" in case["details"]
    [row] = await rows(pool)
    assert (row["due_at"], row["given_up"]) == (None, 1)
    told = await books(pool, clock.at)
    assert (told.fetches["given_up"], told.balances) == (1, True)


async def test_a_request_that_fails_anew_is_told_again_though_a_person_resolved_the_last(pool, loop, gateways, clock):
    gateways.says = lambda *_: QueryFailed("denied", "status 401")
    for _ in range(2):
        await requested(pool, PAYMENT, now=clock.at)
        await until(
            loop, clock, clock.at - NOON + FETCH_BACKOFF.give_up_after + timedelta(hours=13), step=timedelta(hours=2)
        )
        [case] = await pool.fetch("SELECT id, closed_at FROM cases")
        assert case["closed_at"] is None
        await repeat_on_conflict(
            pool, lambda conn, case_id=case["id"]: resolve(conn, case_id, outcome="x", text="", by="mei", now=clock.at)
        )


async def test_its_case_closes_by_itself_when_the_gateway_says_it_after_all(pool, loop, gateways, clock):
    gateways.says = lambda *_: QueryFailed("denied", "status 401")
    await requested(pool, PAYMENT)
    await until(loop, clock, FETCH_BACKOFF.give_up_after + timedelta(hours=1), step=timedelta(hours=1))
    gateways.says = lambda *_: paid()
    await requested(pool, PAYMENT, now=clock.at)
    await loop.run_once()
    assert await pool.fetchval("SELECT closed_by FROM cases") == "system"
    told = await books(pool, clock.at)
    assert (told.fetches["given_up"], told.fetches["found"], told.balances) == (1, 1, True)


async def test_an_account_that_cannot_be_asked_has_a_case_at_once_and_is_asked_when_it_can(pool, loop, gateways, clock):
    gateways.says = lambda *_: QueryFailed("cannot_ask", "api_key is not set")
    for number in range(3):
        await requested(pool, Fetch(about="payment", payment_ref=f"tr_{number}"))
    await loop.run_once()
    [case] = await pool.fetch("SELECT * FROM cases")
    assert (case["subject"], case["closed_at"]) == ("account:stripe-main", None)
    gateways.says = lambda _, query: paid(query.payment_ref)
    await until(loop, clock, 2 * MINUTE)
    assert await pool.fetchval("SELECT closed_by FROM cases") == "system"
    assert (await books(pool, clock.at)).fetches["found"] == 3


async def test_what_is_not_there_is_asked_about_a_few_times_and_opens_no_case(pool, loop, gateways, clock):
    await requested(pool, PAYMENT)
    await loop.run_once()
    await until(loop, clock, timedelta(hours=1), step=30 * SECOND)
    assert len(gateways.asked) == len(FETCH_NOT_FOUND.pauses) + 1
    assert await pool.fetchval("SELECT count(*) FROM cases") == 0
    [row] = await rows(pool)
    assert (row["due_at"], row["result"], row["not_found"]) == (None, "not found", 1)


async def test_what_becomes_visible_a_little_later_is_found(pool, loop, gateways, clock):
    await registered(pool)
    await requested(pool, PAYMENT)
    await loop.run_once()
    gateways.says = lambda *_: paid()
    await until(loop, clock, MINUTE, step=10 * SECOND)
    assert (await show(pool, "A1"))["status"] == "paid"


async def test_what_the_gateway_wants_to_be_told_is_told_once_the_events_are_committed(pool, loop, gateways):
    await registered(pool)
    statuses = []

    async def make(account, calls):
        statuses.append((account, *calls, (await show(pool, "A1"))["status"]))

    gateways.make = make
    gateways.says = lambda *_: paid(then=(CALL,))
    await requested(pool, PAYMENT)
    await loop.run_once()
    assert statuses == [(ACCOUNT, CALL, "paid")]


async def test_a_bad_event_in_an_answer_keeps_no_other_and_the_query_open(pool, loop, gateways):
    await registered(pool)
    bad = an_event(event_id="query:bad", payment_ref="tr_1", evidence=Evidence.QUERY, failure_code="no\x00where")
    gateways.says = lambda *_: Answer(found=True, events=(*paid().events, bad))
    await requested(pool, PAYMENT)
    await loop.run_once()
    assert (await show(pool, "A1"))["status"] == "paid"
    [row] = await rows(pool)
    assert (row["due_at"], row["result"]) == (NOON + MINUTE, "1 events could not be applied")


async def test_a_fault_of_ours_in_one_query_keeps_no_other(pool, loop, gateways):
    def says(_, query):
        return ZeroDivisionError() if query.payment_ref == "tr_1" else paid(query.payment_ref)

    gateways.says = says
    await requested(pool, PAYMENT, Fetch(about="payment", payment_ref="tr_2"))
    assert await loop.run_once() == 2
    assert [(row["due_at"] is None, row["failures"]) for row in await rows(pool)] == [(False, 1), (True, 0)]


async def test_whoever_dies_with_a_query_has_it_asked_by_another_and_writes_nothing_later(pool, gateways, clock):
    """The first is only slow: it comes back after its lease ran out, and another has finished the row."""
    await registered(pool)
    slow, quick = a_loop(pool, gateways, clock), a_loop(pool, gateways, clock)
    is_asked, goes_on = asyncio.Event(), asyncio.Event()

    async def late():
        is_asked.set()
        await goes_on.wait()
        return Answer(found=False)

    gateways.says = lambda *_: late()
    await requested(pool, PAYMENT)
    running = asyncio.ensure_future(slow.run_once())
    await is_asked.wait()
    gateways.says = lambda *_: paid()
    assert await quick.run_once() == 0
    clock.at += LEASE
    assert await quick.run_once() == 1
    goes_on.set()
    assert await running == 1
    [row] = await rows(pool)
    assert (row["due_at"], row["result"], row["found"], row["not_found"]) == (None, "payment.succeeded", 1, 0)


async def test_an_account_that_hangs_holds_back_the_fetches_of_no_other_account(pool, loop, gateways):
    """More of them are due at the account that hangs, and for longer, than may be in flight at once."""
    payments = [Fetch(about="payment", payment_ref=f"tr_{number}") for number in range(100)]
    await requested(pool, *payments, account="hung", now=NOON - MINUTE)
    await requested(pool, *payments[:9], account="good")
    all_good = asyncio.Event()

    async def query(account, query):
        if account == "hung":
            await asyncio.Event().wait()
        if len([asked_of for _, asked_of, _ in gateways.asked if asked_of == "good"]) == 9:
            all_good.set()
        return Answer(found=False)

    gateways.says = query
    running = asyncio.ensure_future(loop.keep_running(asyncio.Event(), idle_s=0.01))
    async with asyncio.timeout(100):
        await all_good.wait()
    running.cancel()
    await asyncio.wait({running})


async def test_many_workers_ask_each_query_once(pool, gateways, clock):
    gateways.says = lambda _, query: paid(query.payment_ref)
    requests = [Fetch(about="payment", payment_ref=f"tr_{number}") for number in range(100)]
    await requested(pool, *requests)
    loops = [a_loop(pool, gateways, clock) for _ in range(5)]
    while any(await asyncio.gather(*(loop.run_once() for loop in loops))):
        pass
    assert Counter(query.payment_ref for *_, query in gateways.asked) == Counter(
        request.payment_ref for request in requests
    )


async def test_requests_from_many_workers_at_once_are_all_counted(pool, gateways, clock):
    requests = [Fetch(about="payment", payment_ref=f"tr_{number}") for number in range(10)]
    gateways.says = lambda _, query: paid(query.payment_ref)
    loop = a_loop(pool, gateways, clock)
    await asyncio.gather(
        *(requested(pool, *requests[start:], *requests[:start]) for start in range(10)),
        *(loop.run_once() for _ in range(3)),
    )
    await until(loop, clock, MINUTE)
    told = await books(pool, clock.at)
    assert (told.fetches["wanted"], told.fetches["found"], told.balances) == (100, 100, True)


# Whatever happens in whatever order.


class Chances:
    """Requests, claims, answers, failures, deaths and late comers at random, and a model of what must hold."""

    def __init__(self, pool, clock, seed):
        self.pool, self.clock, self.chance = pool, clock, Random(seed)
        self.refs = ["tr_1", "tr_2", "tr_3"]
        self.step = 0
        self.requested_at = dict.fromkeys(self.refs, -1)
        self.answered_from = dict.fromkeys(self.refs, -1)  # when the last query that was answered began
        self.hands = {}  # by claim: what is being asked, when that began, and until when it is theirs

    async def transact(self, work):
        return await repeat_on_conflict(self.pool, work)

    async def act(self):
        self.step += 1
        act = self.chance.choice(["request", "take", "take", "found", "not_found", "no_answer", "pass", "die"])
        if act == "pass":
            self.clock.at += self.chance.choice([SECOND, MINUTE, 10 * MINUTE])
        elif act == "request":
            await self.request()
        elif act == "take":
            await self.take()
        elif self.hands:
            held = self.hands.pop(self.chance.choice(list(self.hands)))
            if act != "die":
                await self.answer(held, act)

    async def request(self):
        chosen = self.chance.choices(self.refs, k=self.chance.randint(1, 3))
        fetches = [Fetch(about="payment", payment_ref=each, proven=self.chance.random() < 0.7) for each in chosen]
        await requested(self.pool, *fetches, now=self.clock.at)
        self.requested_at.update(dict.fromkeys(chosen, self.step))

    async def take(self):
        for each in await self.transact(partial(claim_fetches, limit=2, lease=LEASE, now=self.clock.at)):
            same = [until for held, _, until in self.hands.values() if held.id == each.id]
            assert all(self.clock.at >= until for until in same), "two ask the same at once"
            self.hands[each.id, each.claim] = (each, self.step, self.clock.at + LEASE)

    async def answer(self, held, outcome):
        taken, since, _ = held
        now = self.clock.at
        what = next_step(taken.progress, outcome, now=now, jitter=lambda *_: 1.0)
        is_ours = await self.transact(
            lambda conn: settle_fetch(conn, taken, what, result=outcome, policy=Policy().cases, now=now)
        )
        if is_ours and (outcome == "found" or what == Finished("not_found")):
            ref = taken.fetch.payment_ref
            self.answered_from[ref] = max(self.answered_from[ref], since)

    async def come_to_an_end(self):
        self.step += 1
        for _ in range(20):
            self.clock.at += timedelta(hours=7)
            await self.take()
            while self.hands:
                await self.answer(self.hands.popitem()[1], "found")


@pytest.mark.parametrize("seed", range(12))
async def test_every_request_is_followed_by_a_query_and_no_two_ask_the_same_at_once(pool, clock, seed):
    chances = Chances(pool, clock, seed)
    for _ in range(120):
        await chances.act()
        assert (await books(pool, clock.at)).unfetched == []
    await chances.come_to_an_end()
    told = await books(pool, clock.at)
    assert (told.fetches["open"], told.balances) == (0, True)
    assert all(chances.requested_at[ref] <= chances.answered_from[ref] for ref in chances.refs)


# Deliveries that cannot be kept, and those that killed their workers.


async def test_what_cannot_be_kept_is_parked_with_its_queries_and_replayed_once(pool, loop, gateways):
    await registered(pool)
    gateways.says = lambda *_: paid()
    bad = a_delivery(an_event(Kind.PAYMENT_FAILED), run=uuid4(), number=1, key="\x00", fetches=(PAYMENT, PAYMENT))
    await apply_or_park(pool, bad, policy=Policy(), now=NOON)
    told = await books(pool)
    assert (told.parked, told.fetches["wanted"], told.balances) == (2, 0, True)
    for row in await pool.fetch("SELECT id, body FROM parked ORDER BY id"):
        mended = row["body"].replace(b"\xa1\x00", b"\xa1k")
        await pool.execute("UPDATE parked SET body = $2 WHERE id = $1", row["id"], mended)
        await repeat_on_conflict(
            pool, lambda conn, number=row["id"]: replay(conn, number, by="me", note="mended", policy=Policy(), now=NOON)
        )
    told = await books(pool)
    assert (told.parked, told.fetches["wanted"], told.fetches["open"], told.balances) == (0, 2, 2, True)
    await loop.run_once()
    assert (await show(pool, "A1"))["status"] == "paid"


async def test_what_killed_its_workers_is_parked_and_its_queries_are_asked(pool, loop, gateways):
    await registered(pool)
    gateways.says = lambda *_: paid()
    delivery = a_delivery(run=uuid4(), number=1, fetches=(PAYMENT,))
    for _ in range(2):
        await park_delivery(pool, delivery, reason="delivery_limit", error="-", now=NOON)
    await loop.run_once()
    assert (await show(pool, "A1"))["status"] == "paid"
    assert (await books(pool)).balances


async def test_a_delivery_that_a_lane_hands_out_twice_requests_once(pool):
    delivery = a_delivery(run=uuid4(), number=1, fetches=(PAYMENT,), query="a=b")
    for _ in range(2):
        await repeat_on_conflict(pool, lambda conn: apply_deliveries(conn, [delivery], policy=Policy(), now=NOON))
    told = await books(pool)
    assert (told.fetches["wanted"], told.balances) == (1, True)
    assert await pool.fetchval("SELECT query FROM delivery_bodies") == "a=b"


@pytest.mark.parametrize("outcome", ["found", "not_found", "no_answer"])
async def test_what_is_settled_twice_counts_once_also_where_a_request_came_meanwhile(pool, outcome):
    await requested(pool, PAYMENT)
    async with pool.acquire() as conn:
        [taken] = await claim_fetches(conn, limit=9, lease=LEASE, now=NOON)
        await requested(pool, PAYMENT)
        step = Finished(outcome) if outcome != "no_answer" else GivenUp()
        settled = [
            await settle_fetch(conn, taken, step, result=outcome, policy=Policy().cases, now=NOON) for _ in range(2)
        ]
    assert settled == [True, False]
    [row] = await rows(pool)
    assert (row["requests"], row["found"] + row["not_found"] + row["given_up"]) == (2, 1)
    assert (await books(pool)).balances


async def test_what_was_answered_before_a_further_query_had_no_answer_counts_and_the_query_stays(pool, loop, gateways):
    await registered(pool)
    gateways.says = lambda *_: QueryFailed("unreachable", events=paid().events)
    await requested(pool, PAYMENT)
    await loop.run_once()
    assert (await show(pool, "A1"))["status"] == "paid"
    [row] = await rows(pool)
    assert (row["due_at"], row["failures"]) == (NOON + MINUTE, 1)
