"""What is asked about an order: everything that could change its truth, each thing once."""

from datetime import timedelta
from functools import reduce

import pytest
from hypothesis import given

from tests.pure.domain.strategies import AN_ORDER, NOON, histories
from tillkeeper.domain.events import Kind, PaymentEvent
from tillkeeper.domain.order import facts as rules
from tillkeeper.domain.order.facts import ObjectStatus, OrderFacts
from tillkeeper.domain.order.implied_money import implied_money
from tillkeeper.domain.order.queries import (
    PAID_LATELY,
    PAYMENTS_ASKED_MAX,
    PENDS_LONG,
    QUERIES_MAX,
    first_queries,
    further_queries,
)
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.status import summarize
from tillkeeper.domain.query import Abilities, Query, Queryable
from tillkeeper.domain.statuses import Status

STRIPE, ALIPAY = "stripe-main", "alipay-main"
ONE = Order(order_ref="A1", amount=100, currency="CNY", accounts=frozenset({STRIPE}))
WEEK = timedelta(days=7)


def able(*asks: Queryable, **more):
    return Abilities(queryable=frozenset(asks), **more)


def event(kind=Kind.PAYMENT_SUCCEEDED, second=0, **fields):
    defaults = {"account": STRIPE, "payment_ref": "p1", "order_ref": "A1", "currency": "CNY"}
    if kind is Kind.PAYMENT_SUCCEEDED or (kind.is_refund and "total" not in fields):
        defaults["amount"] = 100
    at = NOON + timedelta(seconds=second)
    return PaymentEvent(event_id="e", kind=kind, occurred_at=at, **{**defaults, **fields})


def after(*events):
    return reduce(rules.apply, events, OrderFacts())


def names(asked):
    """By what each is asked, in short: p1, r1, or `order`."""
    return [f"{account}/{query.refund_ref or query.payment_ref or 'order'}" for account, query in asked]


def first(facts, order=ONE, **more):
    return names(first_queries(order, facts, **more))


def then(facts, order=ONE, **more):
    return names(further_queries(order, facts, **more))


PENDING = event(Kind.PAYMENT_PENDING)
FAILED_2 = event(Kind.PAYMENT_FAILED, payment_ref="p2")


def test_of_what_nothing_is_known_everybody_is_asked_by_the_order():
    assert first(after(), AN_ORDER) == [f"{ALIPAY}/order", f"{STRIPE}/order"]
    assert first(after(PENDING), AN_ORDER) == [f"{STRIPE}/p1", f"{ALIPAY}/order"]


@pytest.mark.parametrize("kind", [Kind.PAYMENT_FAILED, Kind.PAYMENT_CANCELLED])
def test_while_money_is_awaited_the_order_is_asked_about_too_where_a_payment_is_known(kind):
    assert (first(after(event(kind))), then(after(event(kind)))) == ([f"{STRIPE}/p1"], [f"{STRIPE}/order"])


def test_one_that_pends_has_others_looked_for_once_it_pends_long():
    assert (then(after(PENDING)), then(after(PENDING), age=PENDS_LONG)) == ([], [f"{STRIPE}/order"])


def test_beside_one_that_paid_what_is_open_is_asked_about_and_lately_also_what_may_have_been_tried_again():
    facts = after(event(), FAILED_2, event(Kind.PAYMENT_PENDING, payment_ref="p3", account=ALIPAY))
    assert set(first(facts, AN_ORDER)) == {f"{STRIPE}/p1", f"{STRIPE}/p2", f"{ALIPAY}/p3"}
    assert then(facts, AN_ORDER) == [f"{ALIPAY}/order", f"{STRIPE}/order"]
    assert set(first(facts, AN_ORDER, age=PAID_LATELY)) == {f"{STRIPE}/p1", f"{ALIPAY}/p3"}
    assert then(facts, AN_ORDER, age=PAID_LATELY) == []


def test_a_part_that_came_in_is_asked_about_as_is_what_did_not():
    facts = after(event(amount=60, capture_ref="c1"), FAILED_2)
    assert summarize(ONE, facts).status is Status.PARTIALLY_PAID
    assert set(first(facts, age=WEEK)) == {f"{STRIPE}/p1", f"{STRIPE}/p2"}
    assert then(facts, age=WEEK) == [f"{STRIPE}/order"]


def test_while_a_refund_pends_it_and_what_its_payment_gave_back_besides_are_asked_about():
    pending = event(Kind.REFUND_PENDING, 9, refund_ref="r1", amount=10)
    assert first(after(event(), pending)) == [f"{STRIPE}/r1"]
    assert first(after(event(), pending, event(Kind.REFUND_SUCCEEDED, 9, total=30))) == [f"{STRIPE}/p1", f"{STRIPE}/r1"]
    assert first(after(event(), pending, event(Kind.REFUND_SUCCEEDED, 9, total=10))) == [f"{STRIPE}/r1"]
    open_too = event(Kind.PAYMENT_PENDING, payment_ref="p2")
    assert first(after(event(), pending, open_too)) == [f"{STRIPE}/p2", f"{STRIPE}/r1"]
    assert then(after(event(), pending)) == []


def test_a_refund_whose_payment_was_never_heard_of_has_the_payment_asked_about():
    back = event(Kind.REFUND_SUCCEEDED, refund_ref="r1", amount=30)
    assert f"{STRIPE}/p1" in first(after(back))
    assert f"{STRIPE}/order" in first(after(event(Kind.DISPUTE_OPENED, dispute_ref="d1", payment_ref=None)))
    nameless = event(Kind.REFUND_SUCCEEDED, refund_ref="r1", amount=30, payment_ref=None)
    assert f"{STRIPE}/r1" in first(after(nameless))


def test_a_refund_that_succeeded_may_have_failed_since():
    assert first(after(event(), event(Kind.REFUND_SUCCEEDED, 9, refund_ref="r1")), age=WEEK) == [
        f"{STRIPE}/p1",
        f"{STRIPE}/r1",
    ]


def test_a_payment_that_says_it_gave_something_back_has_its_failed_refunds_asked_about():
    failed = event(Kind.REFUND_FAILED, 9, refund_ref="r1")
    assert first(after(event(), failed), age=WEEK) == [f"{STRIPE}/p1"]
    assert first(after(event(has_refunds=True), failed), age=WEEK) == [f"{STRIPE}/p1", f"{STRIPE}/r1"]


def test_where_refunds_cannot_be_asked_about_their_payment_is_and_once():
    facts = after(event(), *(event(Kind.REFUND_PENDING, refund_ref=f"r{n}", amount=1) for n in range(3)))
    assert first(facts, abilities={STRIPE: able("payment")}) == [f"{STRIPE}/p1"]


def refunds_asked(facts, abilities):
    return [
        (query.payment_ref, query.refund_ref)
        for _, query in first_queries(ONE, facts, abilities=abilities)
        if query.about == "refund"
    ]


def test_a_refund_that_names_no_payment_is_asked_about_with_the_one_that_it_is_of():
    nameless = event(Kind.REFUND_PENDING, refund_ref="r1", amount=30, payment_ref=None)
    for each in (able("payment", "order", "refund"), able("payment", "refund", refunds_in_payments=True)):
        assert refunds_asked(after(event(), nameless), {STRIPE: each}) == [("p1", "r1")]


def test_a_refund_that_may_be_of_several_payments_is_asked_about_with_each_where_it_is_found_by_that_alone():
    nameless = event(Kind.REFUND_PENDING, refund_ref="r1", amount=30, payment_ref=None)
    facts = after(event(amount=60), event(amount=40, payment_ref="p2"), nameless)
    assert refunds_asked(facts, {STRIPE: able("payment", "order", "refund")}) == [(None, "r1")]
    by_payment = {STRIPE: able("payment", "order", "refund", refunds_in_payments=True)}
    assert refunds_asked(facts, by_payment) == [("p1", "r1"), ("p2", "r1")]
    # Until a payment is known the order is asked about.
    assert f"{STRIPE}/order" in first(after(nameless), abilities=by_payment)
    cannot = {STRIPE: able("payment", "refund", refunds_in_payments=True)}
    assert first(after(nameless), abilities=cannot) == [f"{STRIPE}/r1"]


def test_where_an_order_names_one_payment_who_knows_it_is_asked_once():
    one_each = {STRIPE: able("payment", "order", "refund", single_payment=True)}
    facts = after(event(Kind.PAYMENT_FAILED))
    assert (first(facts, abilities=one_each), then(facts, abilities=one_each)) == ([f"{STRIPE}/p1"], [])
    assert then(facts, abilities=one_each, missed={STRIPE}) == [f"{STRIPE}/order"]  # that name was a wrong one


def test_who_cannot_be_asked_by_the_order_is_not_where_a_payment_is_known():
    by_name = {STRIPE: able("payment")}
    assert then(after(event(Kind.PAYMENT_FAILED)), abilities=by_name) == []
    assert first(after(), abilities=by_name) == [f"{STRIPE}/order"]  # so that somebody is told that it cannot


def test_queries_have_an_end():
    many = [event(Kind.PAYMENT_FAILED, n, payment_ref=f"p{n}") for n in range(40)]
    assert first(after(*many)) == [f"{STRIPE}/p{n}" for n in range(39, 39 - PAYMENTS_ASKED_MAX, -1)]
    accounts = frozenset(f"a{n}" for n in range(30))
    assert (
        len(first_queries(Order(order_ref="A1", amount=1, currency="CNY", accounts=accounts), after())) == QUERIES_MAX
    )


@given(histories)
def test_whatever_may_change_the_truth_is_asked_about_once_and_only_where_it_is_expected(history):
    facts = after(*history)
    asked = [*first_queries(AN_ORDER, facts), *further_queries(AN_ORDER, facts)]
    assert {account for account, _ in asked} <= AN_ORDER.accounts
    first_asked = first_queries(AN_ORDER, facts)
    assert len(set(first_asked)) == len(first_asked) <= QUERIES_MAX
    by_name = {(account, query.payment_ref) for account, query in asked if query.about == "payment"}
    refunds = {(account, query.refund_ref) for account, query in asked if query.about == "refund"}
    for query in implied_money(AN_ORDER, facts):
        assert (
            (query.account, query.refund_ref) in refunds
            if query.refund_ref
            else (query.account, query.payment_ref) in by_name
        )
    for key, payment in facts.payments.items():
        if key[0] in AN_ORDER.accounts and payment.status in (ObjectStatus.PENDING, ObjectStatus.AUTHORIZED):
            assert key in by_name
    for key, refund in facts.refunds.items():
        if key[0] in AN_ORDER.accounts and refund.latest.status is ObjectStatus.PENDING:
            assert key in refunds
    assert all(
        query == Query(about="payment", order_ref="A1", amount_due=AN_ORDER.amount)
        for _, query in further_queries(AN_ORDER, facts)
    )


def test_beside_one_that_paid_nobody_is_asked_by_the_order_who_cannot_be():
    by_name = {ALIPAY: able("payment")}
    assert first(after(event()), AN_ORDER, abilities=by_name) == [f"{STRIPE}/p1"]
    assert first(after(PENDING), AN_ORDER, abilities=by_name) == [f"{STRIPE}/p1", f"{ALIPAY}/order"]


def test_what_the_first_answers_settled_is_left_to_the_ladder_of_its_new_status():
    assert then(after(event()), moved=True) == []
    assert then(after(event(Kind.PAYMENT_FAILED)), moved=True) == [f"{STRIPE}/order"]
