"""Payments that are told with more than one order: every order of arrival ends alike, with a case."""

from itertools import permutations

import pytest

from tests.database.factories import NOON, a_delivery, a_registration, an_event
from tillkeeper.domain.events import Kind
from tillkeeper.domain.order.registration import ClaimedPayment
from tillkeeper.domain.policy import Policy
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.apply.registration import register
from tillkeeper.store.jobs.follow_up import take_up_left_over
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.store.reports.audit import audit
from tillkeeper.store.reports.order import show

PENDING, PAID, POLICY = Kind.PAYMENT_PENDING, Kind.PAYMENT_SUCCEEDED, Policy()


async def told(pool, *events):
    deliveries = [a_delivery(event) for event in events]
    await repeat_on_conflict(pool, lambda conn: apply_deliveries(conn, deliveries, policy=POLICY, now=NOON))


async def registered(pool, order_ref, **fields):
    await register(pool, a_registration(order_ref, **fields), policy=POLICY, now=NOON)


async def end_of(pool, *order_refs):
    """What every order of arrival must come to."""
    orders = [await show(pool, ref) for ref in order_refs]
    rows = await pool.fetch("SELECT event_id, outcome, order_id IS NULL FROM inbox ORDER BY event_id")
    cases = await pool.fetch("SELECT kind, subject, state FROM cases WHERE closed_at IS NULL ORDER BY 1, 2")
    settled = [(row[0], row[1] if row[1] in ("waiting", "mismatched") else "counts") for row in rows]
    assert (await audit(pool, settled_until=NOON, now=NOON)).misjudged == []
    async with pool.acquire() as conn:
        tally, _ = await take_up_left_over(conn, after=0, policy=POLICY, limit=10, now=NOON)
        assert tally.outcomes == {}
    return (
        [
            (str(order["status"]), order["paid"], order["refunded"], [r["refund_ref"] for r in order["refunds"]])
            for order in orders
            if order
        ],
        settled,
        [tuple(row) for row in cases],
    )


async def emptied(pool):
    await pool.execute("TRUNCATE orders, deliveries, inbox, named_elsewhere, outbox, cases RESTART IDENTITY CASCADE")


async def test_a_payment_whose_order_is_renamed_on_its_way_ends_alike_however_it_is_heard(pool):
    """A draft's number is overwritten when the payer pays: the success says whose it is."""
    events = {
        "early": an_event(PENDING, 0, event_id="e1", order_ref="A1", amount=100),
        "success": an_event(PAID, 5, event_id="e2", order_ref="A2"),
    }
    ends = set()
    for steps in permutations(["A1", "A2", "early", "success"]):
        for step in steps:
            await (told(pool, events[step]) if step in events else registered(pool, step))
        ends.add(repr(await end_of(pool, "A1", "A2")))
        await emptied(pool)
    assert ends == {
        repr(
            (
                [("unpaid", 0, 0, []), ("paid", 100, 0, [])],
                [("e1", "mismatched"), ("e2", "counts")],
                [("reference_conflict", "payment:stripe-main/pi_1", "A1 A2")],
            )
        )
    }


async def test_a_drafts_number_that_nobody_registers_makes_no_case(pool):
    await told(pool, an_event(PENDING, order_ref="draft", amount=100))
    await registered(pool, "A2")
    await told(pool, an_event(PAID, 5, order_ref="A2"))
    assert (await show(pool, "A2"))["status"] == "paid"
    assert await pool.fetchval("SELECT count(*) FROM cases") == 0
    assert await pool.fetchval("SELECT count(*) FROM inbox WHERE outcome = 'waiting'") == 0


async def test_a_success_that_names_an_order_nobody_registered_pays_no_other(pool):
    await registered(pool, "A1")
    await told(pool, an_event(PENDING, order_ref="A1", amount=100), an_event(PAID, 5, order_ref="A9"))
    assert (await show(pool, "A1"))["status"] == "unpaid"
    await registered(pool, "A9")
    assert (await show(pool, "A9"))["status"] == "paid"


A_CONTRADICTION = [
    an_event(PAID, 0, event_id="e1", payment_ref="pi_1", order_ref="A1"),
    an_event(PAID, 0, event_id="e2", payment_ref="pi_2", order_ref="A2"),
    an_event(Kind.REFUND_PENDING, 1, event_id="e3", payment_ref="pi_1", order_ref="A2", refund_ref="re_9", amount=40),
    an_event(
        Kind.REFUND_SUCCEEDED, 2, event_id="e4", payment_ref=None, order_ref=None, refund_ref="re_9", amount=40
    ),
    an_event(
        Kind.REFUND_SUCCEEDED, 3, event_id="e5", payment_ref="pi_2", order_ref="A2", refund_ref="re_9", amount=40
    ),
]  # fmt: skip


async def test_an_event_that_contradicts_binds_nothing_in_any_order_and_split(pool):
    ends = set()
    orders = [list(order) for order in permutations(range(5))][::7]
    for number, order in enumerate(orders):
        for ref in ("A1", "A2"):
            await registered(pool, ref)
        cut = number % 5
        for batch in (order[:cut], order[cut:]):
            await told(pool, *(A_CONTRADICTION[message] for message in batch))
        ends.add(repr(await end_of(pool, "A1", "A2")))
        await emptied(pool)
    assert ends == {
        repr(
            (
                [("paid", 100, 0, []), ("partially_refunded", 100, 40, ["re_9"])],
                [("e1", "counts"), ("e2", "counts"), ("e3", "mismatched"), ("e4", "counts"), ("e5", "counts")],
                [("reference_conflict", "payment:stripe-main/pi_1", "A1 A2")],
            )
        )
    }


async def test_what_names_a_contradicted_refund_alone_waits_for_a_word_that_does_not_contradict(pool):
    for ref in ("A1", "A2"):
        await registered(pool, ref)
    await told(pool, *A_CONTRADICTION[:4])
    refs = [(await show(pool, ref))["refunds"] for ref in ("A1", "A2")]
    assert refs == [(), ()]
    assert await pool.fetchval("SELECT outcome FROM inbox WHERE event_id = 'e4'") == "waiting"


async def test_a_payment_that_moves_takes_its_refunds_along_and_both_merchants_are_told(pool):
    for ref in ("A1", "A2"):
        await registered(pool, ref)
    await told(pool, an_event(PENDING, 0, order_ref="A1", amount=100))
    await told(pool, an_event(Kind.REFUND_PENDING, 9, order_ref=None, refund_ref="re_1", amount=30))
    assert (await show(pool, "A1"))["status"] == "refunding"
    await told(pool, an_event(PAID, 5, order_ref="A2"))
    assert [(await show(pool, ref))["status"] for ref in ("A1", "A2")] == ["unpaid", "refunding"]
    last = await pool.fetch(
        "SELECT DISTINCT ON (order_id) payload ->> 'status' FROM outbox WHERE audience = 'merchant' "
        "ORDER BY order_id, version DESC"
    )
    assert [row[0] for row in last] == ["unpaid", "refunding"]


@pytest.mark.parametrize("claimed_first", [True, False])
async def test_a_payment_that_a_merchant_claims_is_that_orders_and_another_name_is_a_case(pool, claimed_first):
    claim = {"payments": (ClaimedPayment(account="stripe-main", payment_ref="pi_1"),)}
    await registered(pool, "A2")
    if claimed_first:
        await registered(pool, "A1", **claim)
        await told(pool, an_event(PENDING, order_ref="A2", amount=100))
        await told(pool, an_event(PAID, 5, order_ref=None))
    else:
        await told(pool, an_event(PAID, 5, order_ref=None))
        await registered(pool, "A1", **claim)
        await told(pool, an_event(PENDING, order_ref="A2", amount=100))
    assert [(await show(pool, ref))["status"] for ref in ("A1", "A2")] == ["paid", "unpaid"]
    assert [row["kind"] for row in await pool.fetch("SELECT kind FROM cases")] == ["reference_conflict"]


async def test_a_dispute_whose_names_agree_in_the_end_leaves_no_case_that_they_did_not(pool):
    """Its payment is told with another order first, and belongs to the one that its success names."""
    events = [
        an_event(Kind.PAYMENT_FAILED, 0, event_id="e1", order_ref="A2"),
        an_event(PAID, 5, event_id="e2", order_ref="A1"),
        an_event(Kind.DISPUTE_OPENED, 6, event_id="e3", order_ref=None, dispute_ref="d1", amount=30),
        an_event(Kind.DISPUTE_LOST, 7, event_id="e4", order_ref="A1", payment_ref=None, dispute_ref="d1", amount=30),
    ]
    ends = set()
    for order in permutations(events):
        for ref in ("A1", "A2"):
            await registered(pool, ref)
        for event in order:
            await told(pool, event)
        ends.add(repr(await end_of(pool, "A1", "A2")))
        await emptied(pool)
    [end] = ends
    assert "dispute:stripe-main/d1" in end
    assert "('reference_conflict', 'dispute" not in end
    assert "('reference_conflict', 'payment:stripe-main/pi_1'" in end
