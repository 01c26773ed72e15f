"""What cases say: kind, subject, state, account and details of each reason, whole."""

from datetime import timedelta

import pytest

from tests.pure.domain.factories import MINUTE, NOON, POLICY, an_event, an_order
from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.domain.ladder import Action, Step
from tillkeeper.domain.order import acts
from tillkeeper.domain.order.advancing import stuck
from tillkeeper.domain.order.answers import QueryOutcome, settle
from tillkeeper.domain.order.case_reasons import CaseReason, reasons_in, unmatched
from tillkeeper.domain.order.cases import CaseChanges, KnownCase
from tillkeeper.domain.order.changes import DueQuery
from tillkeeper.domain.order.facts import OrderFacts, apply
from tillkeeper.domain.order.receiving import Arrival, receive

PENDING, PAID, FAILED = Kind.PAYMENT_PENDING, Kind.PAYMENT_SUCCEEDED, Kind.PAYMENT_FAILED
ORDER = an_order().order


def facts_of(*events):
    facts = OrderFacts()
    for event in events:
        facts = apply(facts, event)
    return facts


def refund(kind=Kind.REFUND_SUCCEEDED, second=5, **fields):
    return an_event(kind, second, **{"refund_ref": "r1", "amount": 30, **fields})


def foreign(state, subject="payment:stripe-main/p1"):
    details = {"currencies": ["USD"], "expected": "CNY", "state": state}
    return CaseReason(kind="wrong_currency", subject=subject, state=state, account="stripe-main", details=details)


def at_stranger(state, subject="payment:stranger/p1"):
    return CaseReason(
        kind="unexpected_account", subject=subject, state=state, account="stranger", details={"state": state}
    )


def about_sums(kind, **details):
    return CaseReason(kind=kind, subject="order:A1", state="stands", details={**details, "currency": "CNY"})


@pytest.mark.parametrize(
    ("events", "reasons"),
    [
        # money of another currency or account: at stake from the moment that it is asked for
        ([an_event(currency="USD")], [foreign("succeeded 100 USD")]),
        ([an_event(PENDING, currency="USD", amount=100)], [foreign("pending")]),
        ([an_event(FAILED, currency="USD", amount=100)], [foreign("")]),
        (
            [an_event(capture_ref=ref, currency="USD", amount=amount) for ref, amount in (("c1", 30), ("c2", 40))],
            [foreign("succeeded 70 USD")],
        ),
        ([an_event(account="stranger")], [at_stranger("succeeded 100 CNY")]),
        (
            [an_event(), refund(currency="USD")],
            [foreign("succeeded 30 USD", subject="refund:stripe-main/r1")],
        ),
        (
            [
                an_event(),
                an_event(Kind.DISPUTE_OPENED, account="stranger", dispute_ref="d1", amount=7, payment_ref=None),
            ],
            [
                at_stranger("opened 7 CNY", subject="dispute:stranger/d1"),
                CaseReason(
                    kind="disputed",
                    subject="dispute:stranger/d1",
                    state="opened",
                    account="stranger",
                    details={"state": "opened", "payment_ref": None, "amount": 7, "currency": "CNY"},
                ),
            ],
        ),
        # sums that disagree
        ([an_event(amount=130)], [about_sums("overpaid", captured=130, due=100)]),
        ([an_event(), an_event(payment_ref="p2")], [about_sums("paid_twice", captured=200, due=100)]),
        ([an_event(amount=70), an_event(payment_ref="p2")], [about_sums("overpaid", captured=170, due=100)]),
        ([an_event(amount=60), an_event(payment_ref="p2", amount=60)], [about_sums("overpaid", captured=120, due=100)]),
        ([an_event(amount=100)], []),
        ([an_event(amount=130), refund(amount=30)], []),
        ([an_event(amount=130), refund(amount=29)], [about_sums("overpaid", captured=130, due=100)]),
        ([an_event(), refund(amount=100)], []),
        (
            [an_event(), refund(amount=101)],
            [about_sums("refunded_more_than_captured", captured=100, due=100, refunded=101)],
        ),
        # a refund that failed, and one of which nothing is known but that it is
        (
            [an_event(), refund(Kind.REFUND_FAILED, failure=FailureClass.INSUFFICIENT_FUNDS, failure_code="no_funds")],
            [
                CaseReason(
                    kind="refund_failed",
                    subject="refund:stripe-main/r1",
                    state="stands",
                    account="stripe-main",
                    details={
                        "amount": 30,
                        "currency": "CNY",
                        "payment_ref": "p1",
                        "failure": "insufficient_funds",
                        "failure_code": "no_funds",
                    },
                )
            ],
        ),
        (
            [an_event(), refund(Kind.REFUND_FAILED, amount=None, currency=None)],
            [
                CaseReason(
                    kind="refund_failed",
                    subject="refund:stripe-main/r1",
                    state="stands",
                    account="stripe-main",
                    details={
                        "amount": None,
                        "currency": "CNY",
                        "payment_ref": "p1",
                        "failure": None,
                        "failure_code": None,
                    },
                )
            ],
        ),
        (
            [an_event(has_refunds=True)],
            [
                CaseReason(
                    kind="refund_unknown",
                    subject="payment:stripe-main/p1",
                    state="stands",
                    account="stripe-main",
                    details={"payment_ref": "p1", "currency": "CNY"},
                )
            ],
        ),
        ([an_event(has_refunds=True), refund()], []),
        ([an_event(has_refunds=True), refund(payment_ref=None)], []),
        # a success that its gateway took back
        (
            [an_event(), an_event(Kind.PAYMENT_REVERSED, second=9, amount=None, currency=None)],
            [
                CaseReason(
                    kind="payment_reversed",
                    subject="payment:stripe-main/p1",
                    state="reversed 100 CNY",
                    account="stripe-main",
                    details={"amount": 100, "currency": "CNY", "captured": 0, "due": 100},
                )
            ],
        ),
        # disputes
        (
            [an_event(), an_event(Kind.DISPUTE_LOST, second=9, dispute_ref="d1", amount=40)],
            [
                CaseReason(
                    kind="disputed",
                    subject="dispute:stripe-main/d1",
                    state="lost",
                    account="stripe-main",
                    details={"state": "lost", "payment_ref": "p1", "amount": 40, "currency": "CNY"},
                )
            ],
        ),
        ([an_event(), an_event(Kind.DISPUTE_WON, second=9, dispute_ref="d1", amount=40)], []),
    ],
)
def test_each_reason_says_all_of_what_it_is(events, reasons):
    assert list(reasons_in(ORDER, facts_of(*events))) == reasons


def test_the_reasons_of_an_order_are_those_of_its_present_facts():
    order = an_order(facts=facts_of(an_event(amount=130)))
    assert order.case_reasons() == (about_sums("overpaid", captured=130, due=100),)
    assert order.case_reasons() is order.case_reasons()
    later = order.with_facts(facts_of(an_event(amount=100)))
    assert (later.case_reasons(), later.summary.captured) == ((), 100)
    assert order.with_facts(order.facts) is order


def test_money_that_finds_no_order_is_told_whole():
    event = an_event(amount=70, account="stripe-main", second=9)
    assert unmatched(event) == CaseReason(
        kind="unmatched_payment",
        subject=f"event:stripe-main/{event.event_id}",
        account="stripe-main",
        details={
            "says": "payment.succeeded",
            "order_ref": "A1",
            "payment_ref": "p1",
            "amount": 70,
            "currency": "CNY",
            "occurred_at": "2026-11-22T12:00:09+00:00",
        },
    )


def test_a_stuck_order_is_told_whole():
    order = an_order(facts=facts_of(an_event(amount=40)), phase=7, phase_since=NOON)
    assert stuck(order) == CaseReason(
        kind="stuck",
        subject="order:A1/phase:7",
        details={
            "status": "partially_paid",
            "since": "2026-11-22T12:00:00+00:00",
            "amount": 100,
            "paid": 40,
            "refunding": 0,
            "currency": "CNY",
        },
    )


def test_a_mismatch_that_leaves_no_fact_is_told_whole():
    before = facts_of(an_event(second=60))
    event = an_event(PENDING, second=1, currency="USD", amount=None)
    changes = receive(an_order(facts=before), [Arrival(event=event)], policy=POLICY, now=NOON)
    reason = CaseReason(
        kind="wrong_currency",
        subject="payment:stripe-main/p1",
        account="stripe-main",
        details={"currencies": ["USD"]},
    )
    assert changes.cases.opened == {reason.key: reason}


def test_an_answer_that_the_database_refuses_is_told_by_its_kinds():
    order = an_order()
    query = DueQuery(
        order=order, step=Step(action=Action.QUERY, at=NOON), tries=1, taken_at=NOON, leased_until=NOON + MINUTE
    )
    outcome = QueryOutcome(query=query, result="cannot be applied", answered=True, unapplied=("b", "a", "b"))
    changes = settle(order, outcome, policy=POLICY, now=NOON)
    assert changes.cases.opened == {
        ("answer_not_applied", "order:A1"): CaseReason(
            kind="answer_not_applied", subject="order:A1", state="a b", details={"answers": ["b", "a", "b"]}
        )
    }


@pytest.mark.parametrize(
    ("case", "reason", "is_noted"),
    [
        ({"refunded": 10}, {"refunded": 20}, True),
        ({"refunded": 10}, {"refunded": 10}, False),
        ({"captured": 10, "refunded": 10}, {"captured": 20, "refunded": 10}, True),
        ({"captured": 10}, {}, False),
        ({}, {"captured": 10}, False),
    ],
)
def test_an_open_case_is_noted_anew_where_either_sum_moved(case, reason, is_noted):
    known = KnownCase(kind="overpaid", subject="order:A1", order_id=1, state="stands", **case)
    changes = CaseChanges()
    changes.open(
        {known.key: known}, 1, [CaseReason(kind="overpaid", subject="order:A1", state="stands", details=reason)]
    )
    assert bool(changes.noted) is is_noted


def test_a_case_that_closed_by_itself_is_not_gone_once_more():
    closed = KnownCase(kind="disputed", subject="dispute:a/1", closed_by="system", state="opened", order_id=1)
    stateless = KnownCase(kind="disputed", subject="dispute:a/2", closed_by="mei", state="", order_id=1)
    changes = CaseChanges()
    changes.close({closed.key: closed, stateless.key: stateless}, [])
    assert (changes.gone, changes.closed) == ([], [])


def test_what_opens_for_good_may_exist_and_what_passes_may_not():
    reason = CaseReason(kind="wrong_currency", subject="payment:a/1")
    changes = CaseChanges()
    changes.open({}, 1, [reason], again=False)
    assert changes.first_alone == {reason.key}
    changes.open({}, 1, [reason])
    assert changes.first_alone == set()


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        (
            {"cases": [("unexpected_account", "payment:a/1")]},
            "a case is open, unexpected_account: somebody's money counts for nothing until a person looks at it",
        ),
        (
            {"cases": [("wrong_currency", "payment:a/1")]},
            "a case is open, wrong_currency: somebody's money counts for nothing until a person looks at it",
        ),
        (
            {"cases": [("reference_conflict", "payment:a/1")]},
            "a case is open, reference_conflict: somebody's money counts for nothing until a person looks at it",
        ),
        ({"cases": [("overpaid", "order:A1")]}, None),
        (
            {"has_parked": True},
            "an event of it is parked: replay or discard it first (tillkeeper parked list)",
        ),
        ({"facts": facts_of(an_event(amount=40))}, "0.40 CNY was paid and is not given back"),
        ({"facts": facts_of(an_event(amount=40), refund(amount=40))}, None),
        ({"facts": facts_of(an_event(amount=40), refund(amount=30))}, "0.10 CNY was paid and is not given back"),
        (
            {"facts": facts_of(an_event(PENDING))},
            "payment p1 at stripe-main is pending: its money may be on its way",
        ),
    ],
)
def test_what_stands_against_closing_is_said_in_these_words(fields, why):
    keys = fields.pop("cases", [])
    cases = {key: KnownCase(kind=key[0], subject=key[1], order_id=1) for key in keys}
    told = {"by": "mei", "note": "", "now": NOON + timedelta(hours=1)}
    order = an_order(**{"cases": cases, **fields})
    if why is None:
        assert acts.close(order, nearby=(), force=False, **told).has_closed
        return
    with pytest.raises(acts.ActRefused) as refused:
        acts.close(order, nearby=(), force=False, **told)
    assert str(refused.value) == why
    assert acts.close(order, nearby=(), force=True, **told).has_closed
