"""Paystack: signatures and what deliveries say."""

from datetime import timedelta

import pytest
from paystack_factories import (
    PAYMENT,
    REFUND,
    REFUNDS,
    SECRET,
    a_gateway,
    a_refund,
    a_transaction,
    answer_to,
    events_of,
)
from pydantic import ValidationError
from specimen import NOW, request_of
from walking import facts_after

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.status import summarize
from tillkeeper.gateways.errors import (
    BadPayload,
    BadSignature,
    VerificationStep,
)
from tillkeeper.gateways.kit.unknown_words import unknown_words
from tillkeeper.gateways.paystack.objects import FAILURES, REFUND_STATUSES, RESOLUTIONS, TRANSACTION_STATUSES, UNDATED
from tillkeeper.sandbox.formats import utc_milliseconds
from tillkeeper.sandbox.simulators.paystack.objects import number_of, paystack_dispute
from tillkeeper.sandbox.simulators.paystack.signing import paystack_body, paystack_signed

OLDER = "sk_test_older_77"


def a_dispute(**more):
    return paystack_dispute("REF-1", 12900, "NGN", NOW - timedelta(minutes=1), **more)


def event_of(event, data, gateway=None):
    (made,) = events_of(event, data, gateway)
    return made


def fetched(event, data):
    gateway = a_gateway()
    return gateway.queries_for(gateway.verify(request_of(paystack_signed(SECRET, paystack_body(event, data))), NOW))


# --- the signature ----------------------------------------------------------------------------------------------------


def test_either_of_two_keys_fits_and_is_named():
    gateway = a_gateway(secret_keys=[SECRET, OLDER])
    for at, secret in enumerate((SECRET, OLDER)):
        request = request_of(paystack_signed(secret, b"{}"))
        assert gateway.verify(request, NOW).key == gateway.key_labels()[at]


def test_a_signature_by_sha256_or_in_capitals_is_none():
    request = request_of(paystack_signed(SECRET, b"{}"))
    value = request.header("x-paystack-signature")
    assert len(value) == 128
    with pytest.raises(BadSignature):
        a_gateway().verify(request_of(({"x-paystack-signature": value.upper()}, b"{}")), NOW)


def test_the_first_key_makes_queries_and_tells_the_mode():
    gateway = a_gateway(secret_keys=["sk_live_of_february", "sk_live_of_november"])
    assert gateway.live is True
    assert gateway.query_request(PAYMENT, now=NOW, nonce="n").headers["Authorization"] == "Bearer sk_live_of_february"
    assert a_gateway().live is False
    assert a_gateway(secret_keys=["of_an_emulator"]).live is None


def test_live_and_test_keys_do_not_go_together():
    with pytest.raises(ValidationError, match="an account each"):
        a_gateway(secret_keys=["sk_live_of_february", SECRET])


@pytest.mark.parametrize(
    ("event", "data"),
    [
        ("charge.success", a_transaction(domain="live")),
        ("refund.processed", a_refund(domain="live")),
        ("charge.dispute.create", a_dispute(domain="odd")),
    ],
)
def test_what_is_of_the_other_mode_is_refused(event, data):
    with pytest.raises(BadPayload) as refused:
        events_of(event, data)
    assert refused.value.step is VerificationStep.MODE


def test_what_tells_no_mode_is_taken():
    assert event_of("charge.success", a_transaction(domain=None)).kind is Kind.PAYMENT_SUCCEEDED


# --- what events say --------------------------------------------------------------------------------------------------


def test_a_charge_that_succeeded():
    event = event_of("charge.success", a_transaction())
    assert event.event_id == f"charge.success:{number_of('transaction', 'REF-1')}"
    assert (event.kind, event.amount, event.currency) == (Kind.PAYMENT_SUCCEEDED, 12900, "NGN")
    assert (event.order_ref, event.payment_ref, event.method) == ("ORDER-1", "REF-1", "card")
    assert event.occurred_at == NOW - timedelta(minutes=1)
    assert event.failure is None


@pytest.mark.parametrize(("status", "kind"), TRANSACTION_STATUSES.items())
def test_the_status_decides_and_not_the_events_name(status, kind):
    assert event_of("charge.success", a_transaction(status=status)).kind is kind


def test_a_failed_charge_that_was_never_paid_stands_when_it_was_made():
    event = event_of("charge.failed", a_transaction(status="failed", paid_at=None, created_at=utc_milliseconds(NOW)))
    assert (event.kind, event.occurred_at) == (Kind.PAYMENT_FAILED, NOW)


@pytest.mark.parametrize("metadata", ["", 0, None, "text", [], {}, {"order_id": ""}, {"order_id": None}])
def test_without_metadata_the_reference_names_the_order(metadata):
    assert event_of("charge.success", a_transaction(metadata=metadata)).order_ref == "REF-1"


def test_an_order_number_may_be_a_number():
    assert event_of("charge.success", a_transaction(metadata={"order_id": 77})).order_ref == "77"


def test_a_path_of_ones_own_is_the_only_one_looked_at():
    gateway = a_gateway(order_ref_path="metadata.shop.ref")
    assert event_of("charge.success", a_transaction(), gateway).order_ref is None
    nested = a_transaction(metadata={"shop": {"ref": "MINE"}})
    assert event_of("charge.success", nested, gateway).order_ref == "MINE"


@pytest.mark.parametrize("event", [f"refund.{status}" for status in REFUND_STATUSES])
@pytest.mark.parametrize(("status", "kind"), REFUND_STATUSES.items())
def test_a_refund_shows_in_its_status(event, status, kind):
    made = event_of(event, a_refund(status=status))
    assert made.event_id == f"{event}:9001"
    assert (made.kind, made.refund_ref, made.payment_ref) == (kind, "9001", "REF-1")
    assert (made.amount, made.total, made.currency) == (400, None, "NGN")
    assert made.failure == (FailureClass.UNKNOWN if kind is Kind.REFUND_FAILED else None)


def test_a_refunds_amount_is_a_number_or_digits_in_quotes():
    assert {event_of("refund.processed", a_refund(amount=amount)).amount for amount in (400, "400")} == {400}


def test_words_about_refunds_have_no_time_so_that_a_late_one_undoes_none():
    assert {event_of("refund.pending", a_refund(status=status)).occurred_at for status in REFUND_STATUSES} == {UNDATED}
    assert {event.occurred_at for event in answer_to(REFUND, a_refund())} == {UNDATED}


@pytest.mark.parametrize("more", [{"id": None}, {"id": None, "refund_reference": "TRF_7"}, {"id": 9001}])
@pytest.mark.parametrize("event", ["refund.pending", "refund.processed"])
def test_a_refund_is_known_by_its_number_and_listed_where_that_is_missing(event, more):
    gateway = a_gateway()
    request = request_of(paystack_signed(SECRET, paystack_body(event, a_refund(refund_reference=None) | more)))
    verified = gateway.verify(request, NOW)
    has_number = more["id"] is not None
    assert [made.refund_ref for made in gateway.parse(verified)] == (["9001"] if has_number else [])
    assert gateway.queries_for(verified) == (() if has_number else (REFUNDS,))


def test_one_refund_that_webhook_and_sweep_tell_of_counts_once():
    paid, listed = event_of("charge.success", a_transaction()), answer_to(REFUNDS, [a_refund(amount=5000)])
    facts = facts_after(
        [paid, *listed, *answer_to(REFUND, a_refund(amount=5000)), *answer_to(REFUNDS, [a_refund(amount=5000)])]
    )
    assert len(facts.refunds) == 1
    order = Order(order_ref="ORDER-1", amount=12900, currency="NGN", accounts=frozenset({"paystack-main"}))
    assert summarize(order, facts).refunded == 5000


def test_a_refund_that_names_neither_itself_nor_its_transaction_is_refused():
    with pytest.raises(BadPayload, match="transaction_reference"):
        fetched("refund.processed", a_refund(id=None, transaction_reference=None))


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({"status": "pending"}, Kind.DISPUTE_OPENED),
        ({"status": "awaiting-bank-feedback"}, Kind.DISPUTE_OPENED),
        ({"status": "resolved"}, Kind.DISPUTE_OPENED),
        ({"status": "resolved", "resolution": "something-new"}, Kind.DISPUTE_OPENED),
        *(({"status": "resolved", "resolution": name}, kind) for name, kind in RESOLUTIONS.items()),
    ],
)
def test_a_dispute_ends_by_its_resolution(more, kind):
    event = event_of("charge.dispute.resolve", a_dispute(resolvedAt=utc_milliseconds(NOW), **more))
    assert (event.kind, event.payment_ref, event.order_ref) == (kind, "REF-1", "REF-1")
    assert event.dispute_ref == str(number_of("dispute", "REF-1"))
    assert event.event_id == f"charge.dispute.resolve:{event.dispute_ref}"
    assert (event.amount, event.currency) == (12900, "NGN")
    assert event.occurred_at == (NOW - timedelta(minutes=1) if kind is Kind.DISPUTE_OPENED else NOW)


def test_a_reminder_says_the_same_of_a_dispute_each_time():
    first = event_of("charge.dispute.remind", a_dispute())
    assert event_of("charge.dispute.remind", a_dispute(updated_at=utc_milliseconds(NOW))) == first


def test_a_dispute_without_a_sum_or_a_transaction_is_an_event_all_the_same():
    event = event_of("charge.dispute.create", a_dispute(refund_amount=0))
    assert event.amount == 12900
    bare = a_dispute(refund_amount=None, currency=None)
    event = event_of("charge.dispute.create", bare)
    assert (event.amount, event.currency) == (12900, "NGN")
    bare = a_dispute(refund_amount=None, transaction=None, transaction_reference="REF-1")
    event = event_of("charge.dispute.create", bare)
    assert (event.amount, event.payment_ref, event.order_ref) == (None, "REF-1", None)


@pytest.mark.parametrize("event", ["transfer.success", "subscription.create", "invoice.update", "something.new"])
def test_an_event_of_no_interest_is_answered_and_changes_nothing(event):
    assert events_of(event, {"id": 7}) == ()
    assert fetched(event, {"id": 7}) == fetched(event, None) == ()


@pytest.mark.parametrize(
    ("event", "data"),
    [
        ("charge.success", a_transaction(amount="12.90")),
        ("charge.success", a_transaction(amount=-1)),
        ("charge.success", a_transaction(amount=None)),
        ("charge.success", a_transaction(id=None)),
        ("charge.success", a_transaction(reference="")),
        ("charge.success", a_transaction(paid_at=None, created_at=None)),
        ("charge.success", a_transaction(paid_at="yesterday")),
        ("charge.success", a_transaction(metadata={"order_id": "x" * 256})),
        ("charge.success", []),
        ("refund.processed", a_refund(amount="4.00")),
        ("charge.dispute.create", a_dispute(id=None)),
        ("charge.dispute.create", a_dispute(status=None)),
        ("charge.dispute.create", a_dispute(currency=None, transaction=None)),
    ],
)
def test_an_object_that_makes_no_sense_is_refused(event, data):
    with pytest.raises(BadPayload):
        events_of(event, data)


@pytest.mark.parametrize(
    ("event", "data", "word"),
    [
        ("charge.success", a_transaction(status="half"), ("transaction.status", "half")),
        ("charge.success", a_transaction(currency="XXX"), ("currency", "XXX")),
        ("refund.processed", a_refund(status="half"), ("refund.status", "half")),
        ("charge.dispute.create", a_dispute(currency="XXX"), ("currency", "XXX")),
    ],
)
def test_an_unknown_word_is_noted_and_nothing_is_guessed(event, data, word):
    with unknown_words() as words:
        assert events_of(event, data) == ()
    assert [(each.field, each.word) for each in words] == [word]


def test_an_answer_with_an_unknown_word_is_an_answer():
    with unknown_words() as words:
        assert answer_to(PAYMENT, a_transaction(status="half")) == ()
        assert answer_to(REFUND, a_refund(status="half")) == ()
    assert len(words) == 2


@pytest.mark.parametrize(
    ("more", "amount", "on_top"),
    [
        ({"amount": 13100, "requested_amount": 12900, "fees": 200}, 12900, 200),
        ({"amount": 12900, "requested_amount": 12900, "fees": 200}, 12900, None),
        ({"amount": 12900, "requested_amount": 13000, "fees": 200}, 12900, None),
        ({"amount": 13100, "requested_amount": 0, "fees": 13100}, 13100, None),
        ({"amount": 13100, "requested_amount": 13100, "fees": 0}, 13100, None),
        ({"amount": 13100, "requested_amount": None, "fees": 200}, 13100, None),
        ({"amount": 13100, "requested_amount": 12900, "fees": None}, 13100, None),
    ],
)
def test_a_fee_that_the_payer_bears_is_not_the_orders(more, amount, on_top):
    event = event_of("charge.success", a_transaction(**more))
    assert (event.amount, event.on_top) == (amount, on_top)


def test_an_answer_about_refunds_is_as_undated_as_their_webhooks_or_those_would_never_count_again():
    (pending,) = answer_to(REFUND, a_refund(status="pending"))
    processed = event_of("refund.processed", a_refund())
    assert pending.known_at == processed.known_at


@pytest.mark.parametrize(("currency", "sent", "minor"), [("KES", 500, 500), ("XOF", 50000, 500), ("RWF", 50000, 500)])
def test_amounts_are_hundredths_of_francs_too(currency, sent, minor):
    assert event_of("charge.success", a_transaction(amount=sent, currency=currency)).amount == minor


@pytest.mark.parametrize(
    ("said", "failure"),
    [
        ("Insufficient Funds", FailureClass.INSUFFICIENT_FUNDS),
        ("Exceeds withdrawal limit", FailureClass.LIMIT_EXCEEDED),
        ("Timeout", FailureClass.NETWORK_TIMEOUT),
        ("Incorrect PIN", FailureClass.BANK_VERIFICATION_FAILED),
        ("Suspected fraud", FailureClass.SUSPECTED_FRAUD),
        ("Expired Card", FailureClass.CARD_EXPIRED_OR_INVALID),
        ("Restricted card", FailureClass.ACCOUNT_FROZEN),
        ("Transaction not permitted on card", FailureClass.METHOD_UNAVAILABLE),
        ("Declined", FailureClass.UNKNOWN),
        ("Do not honor", FailureClass.UNKNOWN),
        (None, FailureClass.UNKNOWN),
    ],
)
def test_free_text_tells_why_a_charge_failed(said, failure):
    event = event_of("charge.failed", a_transaction(status="failed", gateway_response=said))
    assert (event.failure, event.failure_code) == (failure, said)


@pytest.mark.parametrize(("words", "failure"), FAILURES)
def test_each_line_of_the_table_can_be_reached(words, failure):
    event = event_of("charge.failed", a_transaction(status="failed", gateway_response=words.title()))
    assert event.failure is failure


def test_a_transaction_that_nobody_finished_has_expired():
    event = event_of("charge.failed", a_transaction(status="abandoned", gateway_response="x" * 300))
    assert (event.kind, event.failure) == (Kind.PAYMENT_CANCELLED, FailureClass.EXPIRED_UNPAID)
    assert len(event.failure_code) == 100


@pytest.mark.parametrize(
    ("data", "order_ref", "payment_ref"),
    [
        (a_transaction(), "ORDER-1", "REF-1"),
        (a_refund(), None, "REF-1"),
        (a_transaction(reference="../x", metadata=""), None, None),
        ({}, None, None),
        ([], None, None),
    ],
)
def test_an_unproven_delivery_names_a_transaction(data, order_ref, payment_ref):
    named = a_gateway().claimed_references(request_of(({}, paystack_body("charge.success", data))))
    assert (named and named.order_ref, named and named.payment_ref) == (order_ref, payment_ref)
