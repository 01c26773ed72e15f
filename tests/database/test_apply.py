"""Deliveries into orders on a real database: outcomes, waiting, duplicates, mismatches, and many at once."""

import asyncio
import random
from datetime import timedelta
from itertools import count, pairwise

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.database.factories import NOON, RUN, a_delivery, a_registration, an_event
from tests.pure.domain.histories_of_one import facts_after
from tests.pure.domain.strategies import AN_ORDER, histories
from tillkeeper.domain.events import Evidence, Kind
from tillkeeper.domain.order.registration import ClaimedPayment, Contradiction
from tillkeeper.domain.order.status import summarize
from tillkeeper.domain.policy import Policy
from tillkeeper.store.apply.batch import apply_deliveries, apply_found
from tillkeeper.store.apply.registration import register
from tillkeeper.store.postgres import transactions
from tillkeeper.store.postgres.pool import open_pool
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.store.reports.order import history, show


async def applied(pool, *deliveries, void=()):
    return await repeat_on_conflict(
        pool, lambda conn: apply_deliveries(conn, deliveries, void=void, policy=Policy(), now=NOON)
    )


async def registered(pool, order_ref="A1", **fields):
    return await register(pool, a_registration(order_ref, **fields), policy=Policy(), now=NOON)


async def test_a_payment_makes_its_order_paid(pool):
    await registered(pool)
    tally = await applied(pool, a_delivery(an_event()))
    order = await show(pool, "A1")
    assert tally.outcomes == {"applied": 1}
    assert (order["status"], order["status_zh"], order["paid"], order["version"]) == ("paid", "已支付", 100, 2)
    assert [payment["status"] for payment in order["payments"]] == ["succeeded"]


async def test_the_raw_delivery_is_kept_byte_for_byte(pool):
    body = bytes(range(256)) * 20
    await applied(pool, a_delivery(an_event(), number=7, body=body, headers=(("x", "\xff"),)))
    row = await pool.fetchrow("SELECT body, headers FROM delivery_bodies WHERE number = 7")
    assert row["body"] == body
    assert msgspec.json.decode(row["headers"]) == [["x", "\xff"]]


async def test_a_status_change_leaves_through_the_outbox(pool):
    await registered(pool)
    await applied(pool, a_delivery(an_event(Kind.PAYMENT_PENDING)))
    await applied(pool, a_delivery(an_event(Kind.PAYMENT_PENDING, second=1)))
    await applied(pool, a_delivery(an_event(second=2)))
    told = [msgspec.json.decode(row["payload"]) for row in await pool.fetch("SELECT payload FROM outbox ORDER BY id")]
    assert [(event["previous_status"], event["status"], event["version"]) for event in told] == [
        ("unpaid", "processing", 2),
        ("processing", "paid", 4),
    ]


async def test_a_known_event_is_a_duplicate_and_changes_nothing(pool):
    await registered(pool)
    event = an_event()
    await applied(pool, a_delivery(event))
    tally = await applied(pool, a_delivery(event), a_delivery(event))
    assert (tally.duplicates, tally.outcomes, (await show(pool, "A1"))["version"]) == (2, {}, 2)


async def test_the_same_event_twice_in_one_batch_is_a_duplicate(pool):
    await registered(pool)
    event = an_event()
    tally = await applied(pool, a_delivery(event), a_delivery(event))
    assert (tally.duplicates, tally.outcomes) == (1, {"applied": 1})


async def test_a_delivery_that_a_lane_hands_out_again_is_nothing_new(pool):
    await registered(pool)
    delivery = a_delivery(an_event())
    await applied(pool, delivery, delivery)
    tally = await applied(pool, delivery)
    assert (tally.redelivered, tally.duplicates, tally.outcomes) == (1, 0, {})


@pytest.mark.parametrize("amounts", [(60, 100), (100, 60)])
@pytest.mark.parametrize("at_once", [True, False])
async def test_two_contents_under_one_id_count_both_whichever_came_first_and_are_a_case(pool, amounts, at_once):
    await registered(pool)
    event = an_event()
    deliveries = [a_delivery(msgspec.structs.replace(event, amount=amount)) for amount in amounts]
    tallies = (
        [await applied(pool, *deliveries)] if at_once else [await applied(pool, delivery) for delivery in deliveries]
    )
    assert [kind for tally in tallies for kind in tally.cases] == ["event_id_reused"]
    assert (await show(pool, "A1"))["paid"] == 100
    again = await applied(pool, *(a_delivery(*delivery.events) for delivery in deliveries))
    assert (again.duplicates, again.outcomes, again.cases) == (2, {}, [])
    assert await pool.fetchval("SELECT count(*) FROM inbox") == 2


async def test_what_names_only_a_refund_is_not_left_waiting_by_a_batch_whose_taking_up_tells_of_it(pool):
    await registered(pool)
    refund = an_event(Kind.REFUND_PENDING, order_ref=None, refund_ref="re_1", amount=30)
    await applied(pool, a_delivery(refund))
    alone = an_event(Kind.REFUND_SUCCEEDED, 2, order_ref=None, payment_ref=None, refund_ref="re_1")
    assert (await applied(pool, a_delivery(alone), a_delivery(an_event()))).outcomes == {"applied": 3}
    assert (await show(pool, "A1"))["status"] == "partially_refunded"


async def test_another_body_of_the_same_meaning_is_a_plain_duplicate(pool):
    await registered(pool)
    event = an_event()
    await applied(pool, a_delivery(event))
    tally = await applied(pool, a_delivery(event, body=b'{"pending_webhooks": 2}'))
    assert (tally.duplicates, tally.cases) == (1, [])


async def test_an_event_waits_for_its_order_and_is_applied_as_it_is_registered(pool):
    tally = await applied(pool, a_delivery(an_event()))
    assert tally.outcomes == {"waiting": 1}
    await registered(pool)
    assert (await show(pool, "A1"))["status"] == "paid"
    assert [entry["outcome"] for entry in await history(pool, "A1")] == ["applied"]


async def test_a_refund_waits_for_the_payment_that_names_the_order(pool):
    await registered(pool)
    refund = an_event(Kind.REFUND_SUCCEEDED, second=5, order_ref=None, refund_ref="re_1", amount=40)
    assert (await applied(pool, a_delivery(refund))).outcomes == {"waiting": 1}
    tally = await applied(pool, a_delivery(an_event()))
    assert tally.outcomes == {"applied": 2}
    assert (await show(pool, "A1"))["status"] == "partially_refunded"


async def test_what_waits_in_a_chain_is_taken_up_together(pool):
    refund = an_event(Kind.REFUND_SUCCEEDED, second=5, order_ref=None, refund_ref="re_1", amount=100)
    await applied(pool, a_delivery(refund))
    await applied(pool, a_delivery(an_event()))
    await registered(pool)
    assert (await show(pool, "A1"))["status"] == "refunded"


async def test_a_refund_and_its_payment_find_their_order_within_one_batch(pool):
    await registered(pool)
    refund = an_event(Kind.REFUND_PENDING, second=5, order_ref=None, refund_ref="re_1", amount=40)
    await applied(pool, a_delivery(refund), a_delivery(an_event()))
    assert (await show(pool, "A1"))["status"] == "refunding"


async def test_a_later_event_may_name_only_the_refund(pool):
    await registered(pool)
    await applied(pool, a_delivery(an_event()), a_delivery(an_event(Kind.REFUND_PENDING, refund_ref="re_1", amount=40)))
    late = an_event(Kind.REFUND_FAILED, second=9, order_ref=None, payment_ref=None, refund_ref="re_1")
    await applied(pool, a_delivery(late))
    assert (await show(pool, "A1"))["status"] == "paid"


@pytest.mark.parametrize(
    ("early", "late", "status"),
    [
        (Kind.REFUND_FAILED, Kind.REFUND_PENDING, "paid"),
        (Kind.REFUND_SUCCEEDED, Kind.REFUND_PENDING, "partially_refunded"),
    ],
)
async def test_what_names_only_a_refund_waits_for_the_event_that_names_its_order(pool, early, late, status):
    await registered(pool)
    alone = an_event(early, second=9, order_ref=None, payment_ref=None, refund_ref="re_1", amount=40)
    assert (await applied(pool, a_delivery(an_event()), a_delivery(alone))).outcomes == {"applied": 1, "waiting": 1}
    await applied(pool, a_delivery(an_event(late, second=1, refund_ref="re_1", amount=40)))
    assert (await show(pool, "A1"))["status"] == status
    assert await pool.fetchval("SELECT count(*) FROM inbox WHERE outcome = 'waiting'") == 0


async def test_what_names_only_a_dispute_waits_for_the_event_that_names_its_order(pool):
    await registered(pool)
    alone = an_event(Kind.DISPUTE_WON, second=9, order_ref=None, payment_ref=None, dispute_ref="dp_1")
    await applied(pool, a_delivery(an_event()), a_delivery(alone))
    await applied(pool, a_delivery(an_event(Kind.DISPUTE_OPENED, dispute_ref="dp_1")))
    assert [dispute["status"] for dispute in (await show(pool, "A1"))["disputes"]] == ["won"]


async def test_what_waits_and_names_another_orders_refund_as_well_is_a_case_and_stops_nobody(pool):
    await registered(pool)
    await registered(pool, "A2")
    waits = an_event(Kind.REFUND_SUCCEEDED, order_ref="A3", payment_ref="pi_3", refund_ref="2", amount=50)
    contradicts = msgspec.structs.replace(waits, event_id="evt-contradicts", refund_ref="3")
    await applied(pool, a_delivery(waits), a_delivery(contradicts))
    # Another order's comes after the event began to wait.
    of_another = {"order_ref": "A2", "payment_ref": "pi_2", "refund_ref": "3"}
    await applied(pool, a_delivery(an_event(Kind.REFUND_PENDING, 1, **of_another)))
    assert [refund["refund_ref"] for refund in (await show(pool, "A2"))["refunds"]] == ["3"]
    await registered(pool, "A3")
    outcomes = await pool.fetch("SELECT outcome FROM inbox WHERE order_ref = 'A3' ORDER BY refund_ref")
    assert [row["outcome"] for row in outcomes] == ["applied", "mismatched"]
    assert [refund["refund_ref"] for refund in (await show(pool, "A3"))["refunds"]] == ["2"]
    assert [case["kind"] for case in (await show(pool, "A2"))["cases"]] == ["reference_conflict"]


async def test_a_mismatched_event_that_leaves_no_fact_behind_has_its_case_all_the_same(pool):
    await registered(pool)
    await applied(pool, a_delivery(an_event(Kind.PAYMENT_PENDING, second=2, amount=100)))
    late = an_event(Kind.PAYMENT_PENDING, second=1, amount=100, currency="USD")
    tally = await applied(pool, a_delivery(late))
    assert (tally.outcomes, tally.cases) == ({"mismatched": 1}, ["wrong_currency"])


async def test_a_payments_amount_is_shown_in_one_currency(pool):
    await registered(pool)
    pending = an_event(Kind.PAYMENT_PENDING, amount=15, currency="USD")
    captures = [
        an_event(second=at, amount=amount, currency=currency, capture_ref=f"c{at}")
        for at, (amount, currency) in enumerate([(9, "USD"), (60, "CNY"), (40, "CNY")], start=1)
    ]
    await applied(pool, a_delivery(pending, *captures))
    [payment] = (await show(pool, "A1"))["payments"]
    assert (payment["amount"], payment["currency"], payment["captured"]) == (100, "CNY", 100)


async def test_work_that_is_done_already_still_waits_for_the_standbys(pool):
    """Its own commit may have been cut off while it did, and a lane must not be told of what one server alone has."""
    await registered(pool)
    delivery = a_delivery(an_event())
    await applied(pool, delivery)
    for again in (lambda: applied(pool, delivery), lambda: registered(pool)):
        before = await pool.fetchval("SELECT pg_current_wal_insert_lsn()")
        await again()
        assert await pool.fetchval("SELECT pg_current_wal_insert_lsn() > $1::pg_lsn", before)


async def test_a_payment_that_the_merchant_claims_needs_no_order_reference(pool):
    claim = ClaimedPayment(account="stripe-main", payment_ref="pi_1")
    await applied(pool, a_delivery(an_event(order_ref=None)))
    await registered(pool, payments=(claim,))
    assert (await show(pool, "A1"))["status"] == "paid"
    with pytest.raises(Contradiction, match="payments"):
        await registered(pool, "A2", payments=(claim,))
    assert await show(pool, "A2") is None


async def test_money_at_an_account_where_it_is_not_expected_counts_for_nothing(pool):
    await registered(pool)
    tally = await applied(pool, a_delivery(an_event(account="stranger"), account="stranger"))
    assert (tally.outcomes, tally.cases) == ({"mismatched": 1}, ["unexpected_account"])
    assert (await show(pool, "A1"))["status"] == "unpaid"


async def test_money_in_another_currency_counts_for_nothing(pool):
    await registered(pool)
    tally = await applied(pool, a_delivery(an_event(currency="USD")))
    assert (tally.outcomes, tally.cases) == ({"mismatched": 1}, ["wrong_currency"])
    assert [case["kind"] for case in (await show(pool, "A1"))["cases"]] == ["wrong_currency"]


async def test_a_payment_cannot_be_moved_to_another_order(pool):
    await registered(pool)
    await registered(pool, "A2")
    await applied(pool, a_delivery(an_event()))
    tally = await applied(pool, a_delivery(an_event(order_ref="A2", second=1)))
    assert (tally.outcomes, tally.cases) == ({"mismatched": 1}, ["reference_conflict"])
    assert (await show(pool, "A2"))["status"] == "unpaid"


async def test_a_case_opens_once(pool):
    await registered(pool)
    assert (await applied(pool, a_delivery(an_event(amount=130)))).cases == ["overpaid"]
    assert (await applied(pool, a_delivery(an_event(amount=140, second=1)))).cases == []


async def test_registering_again_changes_nothing_and_a_contradiction_is_named(pool):
    assert await registered(pool) == "created"
    assert await registered(pool, accounts=("alipay-main", "stripe-main")) == "unchanged"
    with pytest.raises(Contradiction, match="amount"):
        await registered(pool, amount=101)


async def test_void_numbers_are_kept(pool):
    await applied(pool, void=[(RUN, 5), (RUN, 5)])
    assert await pool.fetchval("SELECT number FROM void_numbers") == 5


def _be_patient(monkeypatch):
    """Waits and repeats for as long as a slow machine needs, as workers do by trying again."""
    monkeypatch.setattr(repeat_on_conflict, "__kwdefaults__", {"lock_wait_s": 60.0})
    monkeypatch.setattr(transactions, "POOL_ACQUIRE_S", 60.0)
    patient = msgspec.structs.replace(transactions.TRANSACTION, attempts_max=1_000)
    monkeypatch.setattr(transactions, "TRANSACTION", patient)


async def test_many_workers_and_registrations_at_once_end_as_one_would(pool, monkeypatch):
    """Payments, refunds by payment only, duplicates and registrations in any order over eight connections."""
    _be_patient(monkeypatch)
    chance = random.Random(20261122)
    orders = [f"O{i}" for i in range(60)]
    work = [registered(pool, ref) for ref in orders]
    deliveries = []
    for ref in orders:
        of_order = {"order_ref": ref, "payment_ref": f"pi_{ref}"}
        refund = {"payment_ref": f"pi_{ref}", "order_ref": None, "refund_ref": f"re_{ref}", "amount": 30}
        events = [
            an_event(Kind.PAYMENT_PENDING, **of_order),
            an_event(second=1, **of_order),
            an_event(Kind.REFUND_PENDING, second=2, **refund),
            an_event(Kind.REFUND_SUCCEEDED, second=3, **refund),
        ]
        deliveries += [a_delivery(event) for event in (*events, *chance.sample(events, 2))]
    chance.shuffle(deliveries)
    work += [applied(pool, *deliveries[i : i + 20]) for i in range(0, len(deliveries), 20)]
    chance.shuffle(work)
    connections = asyncio.Semaphore(8)

    async def in_turn(one):
        async with connections:
            await one

    await asyncio.gather(*map(in_turn, work))
    assert await pool.fetch("SELECT status, count(*) FROM orders GROUP BY 1") == [("partially_refunded", 60)]
    assert await pool.fetch("SELECT outcome, count(*) FROM inbox WHERE outcome = 'waiting' GROUP BY 1") == []
    assert await pool.fetchval("SELECT count(*) FROM inbox") == 240
    assert await pool.fetchval("SELECT sum(duplicates) FROM deliveries") == 120


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories, cuts=st.lists(st.integers(0, 12), max_size=3), registered_after=st.integers(0, 3))
def test_the_database_ends_where_the_pure_rules_end(database, history, cuts, registered_after):
    with asyncio.Runner() as runner:  # hypothesis cannot await
        runner.run(_ends_where_the_pure_rules_end(database, history, sorted(cuts), registered_after))


async def _ends_where_the_pure_rules_end(database, history, cuts, registered_after):
    ref = f"H{next(_examples)}"
    events = [_of_order(event, ref, index) for index, event in enumerate(history)]
    batches = [events[start:end] for start, end in pairwise([0, *cuts, len(events)])]
    async with await open_pool(database, max_size=1) as pool:
        for index, batch in enumerate([*batches, []]):
            if index == min(registered_after, len(batches)):
                await registered(pool, ref)
            await applied(pool, *(a_delivery(event) for event in batch))
        stored = await show(pool, ref)
    told = summarize(msgspec.structs.replace(AN_ORDER, order_ref=ref), facts_after(events))
    sums = tuple(stored[name] for name in ("status", "paid", "refunding", "refunded", "discount"))
    assert sums == msgspec.structs.astuple(told)


def _of_order(event, ref, index):
    return msgspec.structs.replace(
        event,
        event_id=f"{ref}-{index}",
        order_ref=ref,
        payment_ref=f"{ref}-{event.payment_ref}",
        refund_ref=event.refund_ref and f"{ref}-{event.refund_ref}",
        dispute_ref=event.dispute_ref and f"{ref}-{event.dispute_ref}",
    )


_examples = count()


def an_answer(kind, as_of, **fields):
    """What a query brought, under a name made of what it says."""
    moment = NOON + timedelta(seconds=as_of)
    return an_event(kind, event_id=f"query:{kind}", evidence=Evidence.QUERY, as_of=moment, **fields)


async def answered(pool, *events):
    return await repeat_on_conflict(pool, lambda conn: apply_found(conn, events, policy=Policy(), now=NOON))


async def test_an_answer_that_comes_again_stands_for_the_later_moment(pool):
    """A replica that lags said pending once more: the failure, asked for again, stands all the same."""
    await registered(pool)
    await answered(pool, an_answer(Kind.PAYMENT_FAILED, 10))
    await answered(pool, an_answer(Kind.PAYMENT_PENDING, 20))
    assert (await show(pool, "A1"))["status"] == "processing"
    await answered(pool, an_answer(Kind.PAYMENT_FAILED, 30))
    assert (await show(pool, "A1"))["status"] == "failed"
    assert [each["as_of"] for each in await pool.fetch("SELECT as_of FROM inbox ORDER BY as_of")] == [
        NOON + timedelta(seconds=20),
        NOON + timedelta(seconds=30),
    ]


async def test_the_later_of_two_equal_answers_of_one_batch_counts(pool):
    await registered(pool)
    await answered(pool, an_answer(Kind.PAYMENT_FAILED, 30), an_answer(Kind.PAYMENT_FAILED, 10))
    await answered(pool, an_answer(Kind.PAYMENT_PENDING, 20))
    assert (await show(pool, "A1"))["status"] == "failed"


async def test_an_answer_that_comes_again_while_it_waits_keeps_its_later_moment(pool):
    await answered(pool, an_answer(Kind.PAYMENT_FAILED, 10))
    await answered(pool, an_answer(Kind.PAYMENT_FAILED, 30))
    await answered(pool, an_answer(Kind.PAYMENT_PENDING, 20))
    await registered(pool)
    assert (await show(pool, "A1"))["status"] == "failed"


async def test_a_discount_and_a_reversal_outlast_the_database(pool):
    await registered(pool)
    await applied(pool, a_delivery(an_event(amount=80, discount=20)))
    order = await show(pool, "A1")
    assert (order["status"], order["paid"], order["discount"]) == ("paid", 80, 20)
    await applied(pool, a_delivery(an_event(Kind.PAYMENT_REVERSED, second=1, amount=None)))
    order = await show(pool, "A1")
    assert (order["status"], order["paid"], order["discount"]) == ("failed", 0, 0)
    assert [payment["status"] for payment in order["payments"]] == ["reversed"]
