"""Braintree: what notifications say."""

import pytest
from braintree_factories import FORM, a_dispute, a_gateway, events_of, events_of_request, without
from specimen import NOW, request_of
from specimen_braintree import CREDIT, PAID_AT, SALE, VOICE

from tillkeeper.domain.events import Evidence, Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.braintree.objects import (
    DECLINES,
    DISPUTE_STATUSES,
    DISPUTES,
    REFUND_KINDS,
    REJECTIONS,
    SALE_STATUSES,
)
from tillkeeper.gateways.errors import (
    BadPayload,
)
from tillkeeper.gateways.messages import ClaimedReferences, Query
from tillkeeper.sandbox.simulators.braintree.objects import notification


def event_of(kind, subject, **more):
    (event,) = events_of(kind, subject, **more)
    return event


def fetched_by(kind, subject):
    events, queries = events_of_request(request_of(VOICE.sent(notification(kind, PAID_AT, subject))))
    assert events == ()
    return queries


# What notifications say.


def test_a_settled_sale_is_a_payment():
    event = event_of("transaction_settled", {"transaction": SALE})
    assert (event.kind, event.amount, event.currency) == (Kind.PAYMENT_SUCCEEDED, 12900, "USD")
    assert (event.order_ref, event.payment_ref, event.method) == ("ORDER-1", "e5z9qk2n", "us_bank_account")
    assert (event.occurred_at, event.evidence) == (PAID_AT, Evidence.WEBHOOK)
    assert event.event_id == "transaction_settled:e5z9qk2n:2026-10-05T11:59:00Z"


def test_the_status_tells_and_not_the_kind():
    assert event_of("transaction_settled", {"transaction": SALE | {"status": "voided"}}).kind is Kind.PAYMENT_CANCELLED


def test_two_kinds_and_two_times_are_different_events():
    told = {
        event_of("transaction_settled", {"transaction": SALE}).event_id,
        event_of("transaction_retried", {"transaction": SALE}).event_id,
        event_of("transaction_settled", {"transaction": SALE}, at=NOW).event_id,
    }
    assert len(told) == 3


@pytest.mark.parametrize(
    ("written", "currency", "minor"), [("0.29", "USD", 29), ("100", "USD", 10000), ("129", "JPY", 129)]
)
def test_amounts_are_decimal_text(written, currency, minor):
    told = event_of("transaction_settled", {"transaction": SALE | {"amount": written, "currency-iso-code": currency}})
    assert (told.amount, told.currency) == (minor, currency)


@pytest.mark.parametrize(("status", "kind"), SALE_STATUSES.items())
def test_every_status_of_a_sale_and_of_a_credit(status, kind):
    event = event_of("transaction_settled", {"transaction": SALE | {"status": status}})
    assert event.kind is kind
    assert (event.failure is None) is (kind not in {Kind.PAYMENT_FAILED, Kind.PAYMENT_CANCELLED})
    refund = event_of("transaction_settled", {"transaction": CREDIT | {"status": status}})
    assert refund.kind is REFUND_KINDS[kind]
    assert (refund.refund_ref, refund.payment_ref, refund.amount) == ("r3fundq8", "e5z9qk2n", 400)
    assert (refund.order_ref, refund.method) == ("ORDER-1", None)


def test_only_what_is_settled_is_a_success_for_a_success_is_for_ever():
    assert [status for status, kind in SALE_STATUSES.items() if kind is Kind.PAYMENT_SUCCEEDED] == ["settled"]


def test_a_credit_that_refunds_nothing_is_no_orders():
    assert events_of("transaction_settled", {"transaction": CREDIT | {"refunded-transaction-id": None}}) == ()


def test_a_failed_refund_that_is_complete_is_an_event():
    event = event_of("refund_failed", {"transaction": CREDIT | {"status": "processor_declined"}})
    assert (event.kind, event.refund_ref) == (Kind.REFUND_FAILED, "r3fundq8")
    assert (event.payment_ref, event.order_ref, event.amount) == ("e5z9qk2n", "ORDER-1", 400)
    assert event.event_id.startswith("refund_failed:r3fundq8:")


@pytest.mark.parametrize(("code", "failure"), DECLINES.items())
def test_a_declines_code_has_a_class(code, failure):
    told = SALE | {"status": "processor_declined", "processor-response-code": code}
    event = event_of("transaction_settled", {"transaction": told})
    assert (event.failure, event.failure_code) == (failure, code)


@pytest.mark.parametrize(("reason", "failure"), REJECTIONS.items())
def test_a_rejections_reason_has_a_class(reason, failure):
    told = SALE | {"status": "gateway_rejected", "gateway-rejection-reason": reason}
    event = event_of("transaction_settled", {"transaction": told})
    assert (event.failure, event.failure_code) == (failure, reason)


@pytest.mark.parametrize(
    ("more", "failure", "code"),
    [
        ({"status": "failed", "processor-response-code": "9999"}, FailureClass.UNKNOWN, "failed"),
        ({"status": "failed", "processor-response-code": None}, FailureClass.UNKNOWN, "failed"),
        ({"status": "gateway_rejected", "gateway-rejection-reason": "new"}, FailureClass.UNKNOWN, "new"),
        ({"status": "gateway_rejected", "gateway-rejection-reason": "<odd>"}, FailureClass.UNKNOWN, "gateway_rejected"),
        ({"status": "gateway_rejected"}, FailureClass.UNKNOWN, "gateway_rejected"),
        ({"status": "authorization_expired"}, FailureClass.EXPIRED_UNPAID, "authorization_expired"),
    ],
)
def test_an_unknown_reason_is_unknown(more, failure, code):
    event = event_of("transaction_settled", {"transaction": SALE | more})
    assert (event.failure, event.failure_code) == (failure, code)


@pytest.mark.parametrize("kind", sorted(DISPUTES))
def test_every_kind_of_dispute_is_read(kind):
    assert event_of(kind, {"dispute": a_dispute()}).kind is Kind.DISPUTE_OPENED


@pytest.mark.parametrize(("status", "kind"), DISPUTE_STATUSES.items())
def test_every_status_of_a_dispute(status, kind):
    event = event_of("dispute_opened", {"dispute": a_dispute(status=status)})
    assert (event.kind, event.dispute_ref, event.payment_ref) == (kind, "dp_ORDER1", "e5z9qk2n")
    assert (event.order_ref, event.amount, event.currency) == ("ORDER-1", 12900, "USD")


def test_what_is_disputed_may_be_less_than_what_was_paid():
    assert event_of("dispute_opened", {"dispute": a_dispute(**{"amount-disputed": "4.00"})}).amount == 400
    assert event_of("dispute_opened", {"dispute": a_dispute(**{"amount-disputed": None})}).amount == 12900


@pytest.mark.parametrize(
    ("kind", "name", "failure"),
    [
        ("local_payment_expired", "local-payment-expired", FailureClass.EXPIRED_UNPAID),
        ("local_payment_reversed", "local-payment-reversed", FailureClass.UNKNOWN),
    ],
)
def test_a_local_payment_that_ends_without_a_transaction_is_cancelled(kind, name, failure):
    event = event_of(kind, {name: {"payment-id": "PAY-1"}})
    assert (event.kind, event.payment_ref, event.failure) == (Kind.PAYMENT_CANCELLED, "PAY-1", failure)
    assert (event.order_ref, event.amount) == (None, None)


def test_a_local_payment_before_its_transaction_says_nothing_yet():
    assert events_of("local_payment_completed", {"local-payment": {"payment-id": "PAY-1"}}) == ()


def test_what_is_incomplete_is_queried():
    for name in ("status", "type", "currency-iso-code", "amount"):
        told = {"transaction": without(SALE, name)}
        assert fetched_by("transaction_settled", told) == (Query(about="payment", payment_ref="e5z9qk2n"),)
    assert fetched_by("refund_failed", {"transaction": {"id": "r1"}}) == (Query(about="refund", refund_ref="r1"),)
    with pytest.raises(BadPayload):
        fetched_by("transaction_disbursed", {"transaction": {"id": "../x"}})


def test_a_notification_of_another_merchant_counts_for_nothing():
    for subject in ({"transaction": SALE}, {"transaction": {"id": "x"}}):
        body = notification("transaction_settled", PAID_AT, subject)
        for merchant, is_ours in (("another", False), (VOICE.merchant_id, True)):
            told = body.replace(b"<subject>", f"<source-merchant-id>{merchant}</source-merchant-id><subject>".encode())
            assert (events_of_request(request_of(VOICE.sent(told))) != ((), ())) is is_ours


@pytest.mark.parametrize(
    ("kind", "subject"),
    [
        ("transaction_settled", {"transaction": SALE | {"amount": "1.001"}}),
        ("transaction_settled", {"transaction": SALE | {"order-id": "x" * 256}}),
        ("transaction_settled", {"transaction": without(SALE, "id")}),
        ("transaction_settled", {"transaction": "e5z9qk2n"}),
        ("transaction_settled", {}),
        ("transaction_settled", {"subscription": {"id": "s"}}),
        ("dispute_opened", {"dispute": without(a_dispute(), "transaction")}),
        ("dispute_opened", {"dispute": without(a_dispute(), "id")}),
        ("local_payment_expired", {"local-payment-expired": {}}),
    ],
)
def test_an_authentic_notification_that_makes_no_sense_is_refused(kind, subject):
    with pytest.raises(BadPayload):
        events_of(kind, subject)


def test_a_time_that_is_none_is_refused():
    body = notification("transaction_settled", PAID_AT, {"transaction": SALE}).replace(b"T11:59", b" 11:59")
    with pytest.raises(BadPayload):
        events_of_request(request_of(VOICE.sent(body)))


def test_a_notification_names_its_transaction_without_proof():
    named = a_gateway().claimed_references(
        request_of(VOICE.sent(notification("transaction_settled", PAID_AT, {"transaction": SALE})))
    )
    assert named == ClaimedReferences(order_ref="ORDER-1", payment_ref="e5z9qk2n")
    assert (
        a_gateway().claimed_references(request_of(VOICE.sent(notification("check", PAID_AT, {"check": "true"}))))
        is None
    )
    assert a_gateway().claimed_references(request_of((FORM, b"bt_payload=AAAA"))) is None
