"""Stripe: what answers say, and what is no answer."""

from datetime import UTC, datetime, timedelta

import pytest
from specimen import NOW
from stripe_api_factories import PAYMENT, REFUND, SEARCH, an_error, an_intent, answer_to, the

from tillkeeper.domain.events import Evidence, Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.errors import AccessDenied, BadPayload, Unavailable
from tillkeeper.gateways.kit.unknown_words import unknown_words
from tillkeeper.gateways.messages import Answer, Query
from tillkeeper.gateways.stripe.states import CHARGE_STATES, INTENT_STATES
from tillkeeper.sandbox.simulators.stripe.objects import (
    stripe_charge,
    stripe_dispute,
    stripe_payment_intent,
    stripe_refund,
    stripe_session,
)

AT = NOW - timedelta(seconds=3)
CREATED = datetime.fromtimestamp(1_790_000_000, UTC)


def a_charge(**more):
    return stripe_charge("ch_1", "pi_1", 12900, "usd", **more)


def about_charge(charge):
    return answer_to(Query(about="payment", order_ref="ORDER-1", payment_ref="ch_1"), charge)


# What the states say.


@pytest.mark.parametrize(
    ("status", "more", "kind", "amount", "failure"),
    [
        ("requires_payment_method", {}, None, None, None),
        (
            "requires_payment_method",
            {"last_payment_error": {"code": "card_declined", "decline_code": "insufficient_funds"}},
            Kind.PAYMENT_FAILED,
            12900,
            FailureClass.INSUFFICIENT_FUNDS,
        ),
        ("requires_confirmation", {}, None, None, None),
        ("requires_action", {"next_action": {"type": "redirect_to_url"}}, None, None, None),
        ("processing", {}, Kind.PAYMENT_PENDING, 12900, None),
        ("requires_capture", {"amount_capturable": 9000}, Kind.PAYMENT_AUTHORIZED, 9000, None),
        ("canceled", {"cancellation_reason": "abandoned"}, Kind.PAYMENT_CANCELLED, 12900, FailureClass.EXPIRED_UNPAID),
        ("canceled", {}, Kind.PAYMENT_CANCELLED, 12900, FailureClass.UNKNOWN),
        ("succeeded", {"amount_received": 9000}, Kind.PAYMENT_SUCCEEDED, 9000, None),
    ],
)
def test_what_an_intent_says_of_its_payment(status, more, kind, amount, failure):
    answer = answer_to(PAYMENT, an_intent(status=status, **more))
    assert answer.found
    if kind is None:
        assert answer.events == ()
        return
    event = the(answer)
    assert (event.kind, event.amount, event.currency, event.failure) == (kind, amount, "USD", failure)
    assert (event.order_ref, event.payment_ref) == ("ORDER-1", "pi_1")
    assert (event.occurred_at, event.evidence) == (AT, Evidence.QUERY)
    assert event.event_id == f"query:pi_1:{kind}:20261005T115957Z:{amount}"


def test_every_state_is_tested_here():
    assert len(INTENT_STATES) == 7
    assert len(CHARGE_STATES) == 3


def test_a_success_has_the_time_of_its_charge_and_a_cancellation_its_own():
    assert the(answer_to(PAYMENT, an_intent(latest_charge=a_charge()))).occurred_at == CREATED
    cancelled = an_intent(status="canceled", canceled_at=1_790_000_005, latest_charge=a_charge(captured=False))
    assert the(answer_to(PAYMENT, cancelled)).occurred_at == CREATED + timedelta(seconds=5)


def test_a_failure_has_the_time_of_the_answer_for_its_charge_may_be_days_older():
    failed = an_intent(
        status="requires_payment_method",
        last_payment_error={"code": "processing_error"},
        latest_charge=a_charge(status="failed", captured=False),
    )
    assert the(answer_to(PAYMENT, failed)).occurred_at == AT


def test_the_order_is_the_answers_and_only_for_want_of_one_the_queries():
    assert the(answer_to(PAYMENT, an_intent(metadata={"order_id": "ORDER-2"}))).order_ref == "ORDER-2"
    assert the(answer_to(PAYMENT, an_intent(metadata={}))).order_ref == "ORDER-1"


@pytest.mark.parametrize(
    ("more", "method"),
    [
        ({"payment_method_types": ["card", "link"]}, None),
        ({"payment_method_types": ["sepa_debit"]}, "sepa_debit"),
        ({"payment_method_types": ["sepa_debit"], "latest_charge": a_charge()}, "card"),
        ({"payment_method_types": "card"}, None),
        ({"payment_method_types": [7]}, None),
        ({"payment_method_types": [""]}, None),
        ({"payment_method_types": []}, None),
        ({"payment_method_types": ["x" * 65]}, None),
    ],
)
def test_the_method_is_known_where_there_is_no_doubt(more, method):
    assert the(answer_to(PAYMENT, an_intent(**more))).method == method


def test_what_was_given_back_comes_as_total_and_refund_by_refund():
    refunds = [
        stripe_refund("re_1", "pi_1", 400, "usd"),
        stripe_refund("re_2", "pi_1", 100, "usd", status="pending"),
        stripe_refund("re_3", "pi_1", 200, "usd", status="failed", failure_reason="unknown"),
    ]
    charge = a_charge(amount_refunded=500, refunds={"object": "list", "data": refunds})
    payment, total, *each = answer_to(PAYMENT, an_intent(latest_charge=charge)).events
    assert payment.kind is Kind.PAYMENT_SUCCEEDED
    assert (total.kind, total.total, total.amount, total.refund_ref) == (Kind.REFUND_SUCCEEDED, 500, None, None)
    assert (total.payment_ref, total.occurred_at) == ("pi_1", AT)
    assert [(event.refund_ref, event.kind, event.amount) for event in each] == [
        ("re_1", Kind.REFUND_SUCCEEDED, 400),
        ("re_2", Kind.REFUND_PENDING, 100),
        ("re_3", Kind.REFUND_FAILED, 200),
    ]
    assert [event.occurred_at for event in each] == [CREATED, CREATED, AT]
    assert {event.order_ref for event in each} == {"ORDER-1"}


@pytest.mark.parametrize(
    ("more", "given_back"),
    [
        ({"amount_captured": 9000, "amount_refunded": 4900}, [(4900, None), (None, "re_1"), (None, "re_2")]),
        # As it was counted until release basil, whatever the version of the answer: one of them is no refund.
        (
            {"amount_captured": 9000, "amount_refunded": 12900, "refunded": True},
            [(9000, None), (None, "re_1", True), (None, "re_2")],
        ),
        (
            {"captured": False, "amount_captured": 0, "amount_refunded": 3900},
            [],
        ),
    ],
)
def test_what_was_let_go_uncaptured_is_no_refund(more, given_back):
    refunds = [stripe_refund("re_1", "pi_1", 3900, "usd"), stripe_refund("re_2", "pi_1", 1000, "usd")]
    charge = a_charge(refunds={"object": "list", "data": refunds}, **more)
    payment, *back = answer_to(PAYMENT, an_intent(latest_charge=charge)).events
    assert payment.kind is Kind.PAYMENT_SUCCEEDED
    assert [(each.total, each.refund_ref, each.may_be_release) for each in back] == [
        (*each, False)[:3] for each in given_back
    ]


@pytest.mark.parametrize(("status", "kind"), [("under_review", Kind.DISPUTE_OPENED), ("lost", Kind.DISPUTE_LOST)])
def test_a_dispute_shows_where_it_can_be_seen(status, kind):
    dispute = stripe_dispute("du_1", "pi_1", 12900, "usd", status=status)
    _, event = answer_to(PAYMENT, an_intent(latest_charge=a_charge(disputed=True, dispute=dispute))).events
    assert (event.kind, event.dispute_ref, event.amount) == (kind, "du_1", 12900)
    assert event.event_id.startswith("query:du_1:")
    assert len(answer_to(PAYMENT, an_intent(latest_charge=a_charge(disputed=True, dispute="du_1"))).events) == 1


UNIX = int(AT.timestamp())
AUTHORIZED_UNTIL = {"payment_method_details": {"type": "card", "card": {"capture_before": UNIX + 1}}}
RAN_OUT = {"payment_method_details": {"type": "card", "card": {"capture_before": UNIX - 1}}}


def test_a_charge_leaves_the_word_to_its_intent_for_it_does_not_tell_that_it_was_let_go():
    intent = an_intent(status="canceled", canceled_at=1_790_000_005, latest_charge="ch_1")
    event = the(about_charge(a_charge(captured=False, amount_captured=0, payment_intent=intent)))
    assert (event.kind, event.payment_ref) == (Kind.PAYMENT_CANCELLED, "pi_1")


def test_a_bank_debit_that_failed_once_it_was_credited_is_taken_back():
    charge = a_charge(status="failed", failure_balance_transaction="txn_back")
    error = {"code": "insufficient_funds"}
    failed = an_intent(status="requires_payment_method", last_payment_error=error, latest_charge=charge)
    kinds = [Kind.PAYMENT_FAILED, Kind.PAYMENT_REVERSED]
    assert [event.kind for event in answer_to(PAYMENT, failed).events] == kinds
    assert [event.kind for event in about_charge(charge).events] == kinds


@pytest.mark.parametrize(
    ("more", "kind", "amount", "at"),
    [
        ({}, Kind.PAYMENT_SUCCEEDED, 12900, CREATED),
        ({"amount_captured": 9000}, Kind.PAYMENT_SUCCEEDED, 9000, CREATED),
        ({"captured": False, "amount_captured": 0}, Kind.PAYMENT_AUTHORIZED, 12900, AT),
        ({"captured": False, "amount_captured": 0, "refunded": True}, Kind.PAYMENT_CANCELLED, 12900, AT),
        (AUTHORIZED_UNTIL | {"captured": False, "amount_captured": 0}, Kind.PAYMENT_AUTHORIZED, 12900, AT),
        (RAN_OUT | {"captured": False, "amount_captured": 0}, Kind.PAYMENT_CANCELLED, 12900, AT),
        ({"status": "pending", "captured": False}, Kind.PAYMENT_PENDING, 12900, AT),
        (
            {"status": "failed", "captured": False, "failure_code": "expired_card"},
            Kind.PAYMENT_FAILED,
            12900,
            AT,
        ),
    ],
)
def test_what_a_charge_says_of_its_payment(more, kind, amount, at):
    event = the(about_charge(a_charge(**more)))
    assert (event.kind, event.amount, event.occurred_at, event.payment_ref) == (kind, amount, at, "pi_1")
    assert event.method == "card"


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({"status": "open", "payment_status": "unpaid"}, None),
        ({"status": "complete"}, Kind.PAYMENT_SUCCEEDED),
        ({"status": "complete", "payment_status": "unpaid"}, Kind.PAYMENT_PENDING),
        ({"status": "complete", "mode": "setup"}, None),
        ({"status": "expired", "payment_status": "unpaid"}, Kind.PAYMENT_CANCELLED),
        ({"status": "expired", "mode": "setup", "amount_total": None}, None),
    ],
)
def test_what_a_session_says_of_its_payment(more, kind):
    query = Query(about="payment", order_ref="ORDER-1", payment_ref="cs_1")
    answer = answer_to(query, stripe_session("cs_1", None, 12900, "usd", **more))
    assert answer.found
    assert [event.kind for event in answer.events] == ([] if kind is None else [kind])
    assert all(event.payment_ref == "cs_1" for event in answer.events)


def test_a_session_leaves_the_word_to_its_intent():
    query = Query(about="payment", order_ref="ORDER-9", payment_ref="cs_1")
    intent = an_intent(metadata={}, status="processing")
    session = stripe_session("cs_1", None, 12900, "usd", payment_intent=intent, client_reference_id="ORDER-1")
    event = the(answer_to(query, session))
    assert (event.kind, event.payment_ref, event.order_ref) == (Kind.PAYMENT_PENDING, "pi_1", "ORDER-1")


@pytest.mark.parametrize(
    ("status", "kind", "at"),
    [
        ("pending", Kind.REFUND_PENDING, CREATED),
        ("requires_action", Kind.REFUND_PENDING, CREATED),
        ("succeeded", Kind.REFUND_SUCCEEDED, CREATED),
        ("failed", Kind.REFUND_FAILED, AT),
        ("canceled", Kind.REFUND_FAILED, AT),
    ],
)
def test_a_refund_began_when_it_was_made_and_failed_by_when_that_was_reported(status, kind, at):
    event = the(answer_to(REFUND, stripe_refund("re_1", "pi_1", 400, "usd", status=status)))
    assert (event.kind, event.amount, event.refund_ref, event.payment_ref) == (kind, 400, "re_1", "pi_1")
    assert (event.occurred_at, event.method) == (at, None)


def test_an_amount_is_read_in_stripes_own_units():
    isk = stripe_payment_intent("pi_1", 12900, "isk", "ORDER-1")
    assert (the(answer_to(PAYMENT, isk)).amount, the(answer_to(PAYMENT, isk)).currency) == (129, "ISK")


# Searching.


def test_every_attempt_to_pay_an_order_is_found():
    attempts = [
        an_intent(status="requires_payment_method", last_payment_error={"code": "expired_card"}),
        stripe_payment_intent("pi_2", 12900, "usd", "ORDER-1"),
    ]
    answer = answer_to(SEARCH, {"object": "search_result", "data": attempts})
    assert answer == Answer(
        found=True, also=tuple(Query(about="payment", order_ref="ORDER-1", payment_ref=f"pi_{each}") for each in (1, 2))
    )


def test_a_search_lags_so_it_tells_only_what_has_a_date():
    cancelled = an_intent(status="canceled", canceled_at=1_790_000_005)
    paid = stripe_payment_intent("pi_2", 12900, "usd", "ORDER-1", latest_charge=a_charge(payment_intent="pi_2"))
    held = stripe_payment_intent("pi_3", 12900, "usd", "ORDER-1", status="requires_capture", amount_capturable=12900)
    events = answer_to(SEARCH, {"object": "search_result", "data": [cancelled, paid, held]}).events
    assert [(event.payment_ref, event.kind, event.occurred_at, event.as_of) for event in events] == [
        ("pi_1", Kind.PAYMENT_CANCELLED, CREATED + timedelta(seconds=5), CREATED + timedelta(seconds=5)),
        ("pi_2", Kind.PAYMENT_SUCCEEDED, CREATED, CREATED),
    ]


def test_what_a_search_finds_counts_only_for_the_very_order():
    others = {"object": "search_result", "data": [stripe_payment_intent("pi_2", 1, "usd", "order-1")]}
    assert answer_to(SEARCH, others) == Answer(found=False)
    assert answer_to(SEARCH, {"object": "search_result", "data": []}) == Answer(found=False)


def test_a_missing_resource_is_not_found_and_not_failed():
    assert answer_to(PAYMENT, an_error("resource_missing"), status=404) == Answer(found=False)


@pytest.mark.parametrize(
    ("status", "content", "error"),
    [
        (401, an_error(None), AccessDenied),
        (403, an_error("platform_account_required"), AccessDenied),
        (409, an_error("idempotency_key_in_use"), Unavailable),
        (424, an_error(None), Unavailable),
        (429, an_error("rate_limit"), Unavailable),
        (429, an_error("lock_timeout"), Unavailable),
        (400, an_error("lock_timeout"), Unavailable),
        (500, b"<html>", Unavailable),
        (503, b"", Unavailable),
        (400, an_error("parameter_unknown"), BadPayload),
        (404, b"<html>", BadPayload),
        (404, an_error("url_invalid"), BadPayload),
        (404, {"error": "resource_missing"}, BadPayload),
        (302, b"", BadPayload),
    ],
)
def test_an_error_says_whose_turn_it_is(status, content, error):
    with pytest.raises(error) as caught:
        answer_to(PAYMENT, content, status=status)
    assert "pi_1" not in str(caught.value)


@pytest.mark.parametrize(
    ("query", "content"),
    [
        (PAYMENT, an_intent(id="pi_2")),
        (PAYMENT, an_intent(object="invoice")),
        (PAYMENT, an_intent(livemode=True)),
        (PAYMENT, an_intent(latest_charge=a_charge(refunds={"data": {}}))),
        (PAYMENT, an_intent(latest_charge=a_charge(created=-1))),
        (PAYMENT, an_intent(metadata={"order_id": "x" * 256})),
        (REFUND, stripe_refund("re_2", "pi_1", 400, "usd")),
        (SEARCH, {"data": {}}),
    ],
)
def test_an_answer_that_makes_no_sense_is_refused(query, content):
    with pytest.raises(BadPayload):
        answer_to(query, content)


@pytest.mark.parametrize(
    ("query", "content", "field", "word"),
    [
        (PAYMENT, an_intent(status="odd"), "payment_intent.status", "odd"),
        (PAYMENT, an_intent(currency="xxx"), "currency", "XXX"),
        (Query(about="payment", payment_ref="ch_1"), a_charge(status="odd"), "charge.status", "odd"),
        (
            Query(about="payment", payment_ref="cs_1"),
            stripe_session("cs_1", None, 1, "usd", status="odd"),
            "session.status",
            "odd",
        ),
        (REFUND, stripe_refund("re_1", "pi_1", 400, "usd", status="odd"), "refund.status", "odd"),
        (
            Query(about="payment", payment_ref="du_1"),
            stripe_dispute("du_1", "pi_1", 1, "usd", status="odd"),
            "dispute.status",
            "odd",
        ),
    ],
)
def test_an_unknown_word_is_noted_and_nothing_is_guessed(query, content, field, word):
    with unknown_words() as words:
        answer = answer_to(query, content)
    assert (answer.found, answer.events) == (True, ())
    assert [(each.field, each.word) for each in words] == [(field, word)]
