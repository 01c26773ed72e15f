"""Payments told with two orders: everything known of them is placed anew, and their cases go with them."""

from functools import reduce

import msgspec

from tests.pure.domain.factories import NOON, POLICY, an_event, an_order
from tillkeeper.domain.ambiguous_payments import NAMED_ELSEWHERE, AmbiguousPayments, KeptEvent, place_ambiguous
from tillkeeper.domain.batch import BatchItem, ambiguous_in
from tillkeeper.domain.events import Kind
from tillkeeper.domain.order.case_kinds import CaseKind
from tillkeeper.domain.order.case_reasons import CaseReason
from tillkeeper.domain.order.cases import KnownCase
from tillkeeper.domain.order.facts import OrderFacts, apply
from tillkeeper.domain.order.receiving import Outcome, receive
from tillkeeper.domain.references import Bindings

PAYMENT = ("payment", "stripe-main", "p1")
PENDING = an_event(Kind.PAYMENT_PENDING, order_ref="A2")
PAID = an_event(second=5)


def kept(event, order_id, outcome="applied", reason=None):
    return (event.account, event.event_id), KeptEvent(event=event, order_id=order_id, outcome=outcome, reason=reason)


def ambiguous(*rows, items=(), claims=None, **order_ids):
    return AmbiguousPayments(
        objects={PAYMENT},
        kept=dict(rows),
        items=list(items),
        order_ids=order_ids or {"A1": 1, "A2": 2},
        claims=claims or {},
    )


def two_orders(facts_of_second=None, **cases):
    second = an_order("A2", id=2, facts=facts_of_second or OrderFacts(), **cases)
    return {1: an_order(), 2: second}


def facts_of(*events):
    return reduce(apply, events, OrderFacts())


def test_a_payment_goes_where_its_success_says():
    item = BatchItem(event=PAID, order_id=2)
    orders = two_orders(facts_of(PENDING))
    settled = place_ambiguous(ambiguous(kept(PENDING, 2), items=[item]), orders)
    assert (list(settled.facts[1].payments), list(settled.facts[2].payments)) == ([("stripe-main", "p1")], [])
    assert (item.placed, item.order_id, item.outcome) == (True, 1, Outcome.APPLIED)
    (moved,) = settled.moved
    assert (moved.event, moved.order_id, moved.outcome, moved.reason) == (
        PENDING,
        1,
        Outcome.MISMATCHED,
        CaseKind.REFERENCE_CONFLICT,
    )
    ((order_id, reason),) = settled.found
    assert (order_id, reason) == (
        1,
        CaseReason(
            kind=CaseKind.REFERENCE_CONFLICT,
            subject="payment:stripe-main/p1",
            state="A1 A2",
            account="stripe-main",
            details={"names_orders": ["A1", "A2"], "counts_for": ["A1"]},
        ),
    )
    assert sorted(settled.names) == [("A1", "stripe-main", "p1"), ("A2", "stripe-main", "p1")]
    changes = receive(orders[1], [item], policy=POLICY, now=NOON, placed_facts=settled.facts[1], found=[reason])
    assert changes.are_placed_anew
    assert (item.status_after, list(changes.cases.opened)) == ("paid", [reason.key])


def test_a_case_goes_where_its_object_goes_and_is_news_there():
    case = KnownCase(kind="disputed", subject="dispute:stripe-main/d1", order_id=2, state="opened", closed_by="mei")
    dispute = an_event(Kind.DISPUTE_OPENED, dispute_ref="d1", order_ref=None, amount=100)
    orders = two_orders(facts_of(PENDING, dispute), cases={case.key: case})
    of_all = ambiguous(kept(PENDING, 2), kept(dispute, 2), items=[BatchItem(event=PAID, order_id=2)])
    of_all.objects |= {("dispute", "stripe-main", "d1")}
    settled = place_ambiguous(of_all, orders)
    assert (list(orders[1].cases), list(orders[2].cases)) == ([case.key], [])
    changes = receive(orders[1], [], policy=POLICY, now=NOON, placed_facts=settled.facts[1])
    assert case.key in changes.cases.opened
    assert "dispute:stripe-main/d1" in settled.agreed


def test_a_claim_decides_and_what_nobody_registered_waits():
    orders = two_orders()
    settled = place_ambiguous(ambiguous(kept(PAID, 1), claims={("stripe-main", "p1"): "A2"}), orders)
    assert list(settled.facts[2].payments) == [("stripe-main", "p1")]
    assert [(each.order_id, each.reason) for each in settled.moved] == [(2, CaseKind.REFERENCE_CONFLICT)]
    early = an_event(Kind.PAYMENT_PENDING, order_ref="A1")
    settled = place_ambiguous(
        ambiguous(kept(early, 1), items=[BatchItem(event=an_event(order_ref="B9"))], A1=1), {1: orders[1]}
    )
    assert [(each.order_id, each.reason, each.status_after) for each in settled.moved] == [
        (None, NAMED_ELSEWHERE, None)
    ]


def test_an_answer_known_already_counts_for_its_later_moment_and_a_mismatch_stays_one():
    stranger = an_event(account="stranger", order_ref="A1")
    again = msgspec.structs.replace(stranger, as_of=NOON.replace(hour=13))
    of_it = ambiguous(kept(stranger, 2), items=[BatchItem(event=again, waited=True)])
    of_it.objects = {("payment", "stranger", "p1")}
    assert of_it.events[again.account, again.event_id].as_of == again.as_of
    item = of_it.items[0]
    place_ambiguous(of_it, two_orders())
    assert (item.order_id, item.outcome, item.reason) == (1, Outcome.MISMATCHED, "unexpected_account")
    changes = receive(an_order(), [item, BatchItem(event=again, placed=True, repeats=True)], policy=POLICY, now=NOON)
    assert [reason.kind for reason in changes.cases.opened.values()] == ["unexpected_account"]


def test_only_what_leads_to_two_orders_is_contested():
    bindings = Bindings(known={("order", "A1"): 1, PAYMENT: 2})
    assert ambiguous_in([BatchItem(event=PAID)], bindings) == {PAYMENT}
    assert ambiguous_in([BatchItem(event=an_event(payment_ref="p5"))], bindings) == set()
