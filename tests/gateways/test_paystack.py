"""Paystack: checked against its documents only, for its packages verify no webhooks; every status by table."""

import json
from datetime import timedelta

import msgspec
import pytest
from pydantic import ValidationError
from specimen import NOW, request_of, response_of
from walking import Walk, assert_ends_as_told, facts_after, put_of, story_of

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.status import summarize
from tillkeeper.gateways.errors import (
    AccessDenied,
    BadPayload,
    BadSignature,
    CannotQuery,
    Unavailable,
    VerificationStep,
)
from tillkeeper.gateways.kit.unknown_words import unknown_words
from tillkeeper.gateways.messages import Query, Response
from tillkeeper.gateways.paystack.api import EVERY_REFUND
from tillkeeper.gateways.paystack.gateway import Paystack
from tillkeeper.gateways.paystack.objects import FAILURES, REFUND_STATUSES, RESOLUTIONS, TRANSACTION_STATUSES, UNDATED
from tillkeeper.gateways.paystack.settings import PaystackSettings
from tillkeeper.sandbox.simulators.paystack.objects import (
    number_of,
    paystack_dispute,
    paystack_refund,
    paystack_transaction,
    time_text,
)
from tillkeeper.sandbox.simulators.paystack.signing import paystack_body, paystack_signed
from tillkeeper.sandbox.simulators.paystack.simulator import SIMULATOR
from tillkeeper.sandbox.simulators.registry import ledger_of

SECRET = "sk_test_4f1e2d3c"
OLDER = "sk_test_older_77"
PAYMENT = Query(about="payment", order_ref="ORDER-1", payment_ref="REF-1")
REFUNDS = Query(about="refund", payment_ref="REF-1", refund_ref=EVERY_REFUND)
REFUND = Query(about="refund", order_ref="ORDER-1", payment_ref="REF-1", refund_ref="9001")
TOLD_AT = NOW - timedelta(seconds=3)


def a_gateway(**settings):
    base = {"gateway": "paystack", "secret_keys": [SECRET]}
    return Paystack("paystack-main", PaystackSettings.model_validate(base | settings))


def a_transaction(**more):
    return paystack_transaction(
        "REF-1", 12900, "NGN", NOW - timedelta(minutes=1), **{"metadata": {"order_id": "ORDER-1"}} | more
    )


def a_refund(**more):
    return paystack_refund("9001", "REF-1", 400, "NGN", **more)


def a_dispute(**more):
    return paystack_dispute("REF-1", 12900, "NGN", NOW - timedelta(minutes=1), **more)


def events_of(event, data, gateway=None, secret=SECRET):
    gateway = gateway or a_gateway()
    return gateway.parse(gateway.verify(request_of(paystack_signed(secret, paystack_body(event, data))), NOW))


def event_of(event, data, gateway=None):
    (made,) = events_of(event, data, gateway)
    return made


def fetched(event, data):
    gateway = a_gateway()
    return gateway.queries_for(gateway.verify(request_of(paystack_signed(SECRET, paystack_body(event, data))), NOW))


def response(data, status=200, more=None):
    body = json.dumps({"status": True, "message": "ok", "data": data} | (more or {})).encode()
    return response_of(({"Date": "Mon, 05 Oct 2026 11:59:57 GMT"}, body), status)


def answer_to(query, data, gateway=None):
    return (gateway or a_gateway()).read_response(query, response(data), now=NOW).events


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
    event = event_of("charge.failed", a_transaction(status="failed", paid_at=None, created_at=time_text(NOW)))
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
    event = event_of("charge.dispute.resolve", a_dispute(resolvedAt=time_text(NOW), **more))
    assert (event.kind, event.payment_ref, event.order_ref) == (kind, "REF-1", "REF-1")
    assert event.dispute_ref == str(number_of("dispute", "REF-1"))
    assert event.event_id == f"charge.dispute.resolve:{event.dispute_ref}"
    assert (event.amount, event.currency) == (12900, "NGN")
    assert event.occurred_at == (NOW - timedelta(minutes=1) if kind is Kind.DISPUTE_OPENED else NOW)


def test_a_reminder_says_the_same_of_a_dispute_each_time():
    first = event_of("charge.dispute.remind", a_dispute())
    assert event_of("charge.dispute.remind", a_dispute(updated_at=time_text(NOW))) == first


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
    assert [(it.field, it.word) for it in words] == [word]


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


# --- asking -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "path"),
    [
        (PAYMENT, "/transaction/verify/REF-1"),
        (Query(about="payment", order_ref="ORDER-1"), "/transaction/verify/ORDER-1"),
        (REFUND, "/refund/9001"),
        (REFUNDS, "/refund?transaction=REF-1&perPage=100"),
    ],
)
def test_where_each_query_goes(query, path):
    call = a_gateway().query_request(query, now=NOW, nonce="n")
    assert (call.method, call.url) == ("GET", f"https://api.paystack.co{path}")
    assert call.headers["Authorization"] == f"Bearer {SECRET}"


def test_an_order_whose_reference_stands_elsewhere_cannot_be_queried():
    query = Query(about="payment", order_ref="ORDER-1")
    with pytest.raises(CannotQuery, match="order_ref_path"):
        a_gateway(order_ref_path="metadata.ref").query_request(query, now=NOW, nonce="n")
    assert a_gateway(order_ref_path="reference").query_request(query, now=NOW, nonce="n")


@pytest.mark.parametrize(("status", "kind"), TRANSACTION_STATUSES.items())
def test_what_a_transaction_says_when_queried(status, kind):
    first, *others = answer_to(PAYMENT, a_transaction(status=status))
    assert (first.kind, first.amount, first.order_ref) == (kind, 12900, "ORDER-1")
    assert first.occurred_at == (NOW - timedelta(minutes=1) if kind is Kind.PAYMENT_SUCCEEDED else TOLD_AT)
    assert [it.kind for it in others] == ([Kind.REFUND_SUCCEEDED] if status == "reversed" else [])


def test_what_was_reversed_went_back_as_a_whole():
    back = answer_to(PAYMENT, a_transaction(status="reversed"))[1]
    assert (back.total, back.amount, back.payment_ref, back.occurred_at) == (12900, None, "REF-1", TOLD_AT)


@pytest.mark.parametrize("transaction", [7, None, {"reference": "REF-1", "metadata": {"order_id": "ORDER-1"}}])
def test_a_refund_that_is_queried_is_of_the_payment_of_the_query(transaction):
    query = Query(about="refund", payment_ref="REF-1", refund_ref="9001")
    (event,) = answer_to(query, a_refund(transaction_reference=None, transaction=transaction))
    assert (event.refund_ref, event.payment_ref) == ("9001", "REF-1")
    assert event.order_ref == ("ORDER-1" if isinstance(transaction, dict) else None)


def test_each_refund_of_a_list_is_an_event():
    listed = [a_refund(id=9001), a_refund(id=9002, status="processing", transaction_reference=None)]
    listed[1] |= {"transaction": {"reference": "REF-1", "metadata": {"order_id": "ORDER-1"}}}
    events = answer_to(REFUNDS, listed)
    assert [(it.refund_ref, it.kind) for it in events] == [
        ("9001", Kind.REFUND_SUCCEEDED),
        ("9002", Kind.REFUND_PENDING),
    ]
    assert [(it.payment_ref, it.order_ref) for it in events] == [("REF-1", None), ("REF-1", "ORDER-1")]


@pytest.mark.parametrize("data", [[], None])
def test_a_list_without_refunds_finds_none(data):
    answer = a_gateway().read_response(REFUNDS, response(data), now=NOW)
    assert (answer.found, answer.events) == (False, ())


@pytest.mark.parametrize(
    "data",
    [
        [a_refund(), a_refund(id=9002, transaction_reference="REF-2")],
        [a_refund(transaction_reference=None, transaction=7)],
        [a_refund(id=None)],
        [7],
        a_refund(),
    ],
)
def test_a_list_that_may_hold_refunds_of_others_is_refused(data):
    with pytest.raises(BadPayload):
        answer_to(REFUNDS, data)


def test_a_refund_tells_its_transaction_where_nobody_else_does():
    query = Query(about="refund", refund_ref="9001")
    refund = a_refund(transaction_reference=None, transaction={"reference": "REF-1"})
    assert answer_to(query, refund)[0].payment_ref == "REF-1"


@pytest.mark.parametrize(
    ("query", "data"),
    [
        (PAYMENT, a_transaction(reference="REF-2")),
        (REFUND, a_refund(id=9002)),
        (REFUND, a_refund(id=None)),
        (PAYMENT, None),
        (PAYMENT, []),
    ],
)
def test_an_answer_about_something_else_is_refused(query, data):
    with pytest.raises(BadPayload):
        answer_to(query, data)


def no(code, message="No."):
    return {"status": False, "message": message, "code": code}


@pytest.mark.parametrize(
    ("status", "more"),
    [
        (400, no("transaction_not_found")),
        (404, no("transaction_not_found")),
        (400, no(None, "Transaction reference not found")),
        (404, no("unknown", "Refund not found")),
    ],
)
def test_not_found_is_an_answer(status, more):
    answer = a_gateway().read_response(PAYMENT, response(None, status, more), now=NOW)
    assert (answer.found, answer.events) == (False, ())


@pytest.mark.parametrize(
    ("status", "more", "refusal"),
    [
        (400, no("invalid_params"), BadPayload),
        (400, no("Odd Code"), BadPayload),
        (404, {"status": True}, BadPayload),
        (200, no("transaction_not_found"), BadPayload),
        (401, no("invalid_Key"), AccessDenied),
        (403, {}, AccessDenied),
        (429, {}, Unavailable),
        (500, no("api_error"), Unavailable),
    ],
)
def test_an_error_says_whose_it_is(status, more, refusal):
    with pytest.raises(refusal):
        a_gateway().read_response(PAYMENT, response(None, status, more), now=NOW)


# --- the play ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def walk():
    return Walk(SIMULATOR)


@pytest.mark.slow
@pytest.mark.parametrize("template", SIMULATOR.templates, ids=lambda it: it.name)
@pytest.mark.parametrize("gap_s", [30, 0])
def test_a_story_ends_as_it_says_by_deliveries_and_by_queries(walk, template, gap_s):
    story = story_of(SIMULATOR, template, currency="NGN", gap_s=gap_s)
    if template.in_other_currency:
        story = msgspec.structs.replace(story, due_currency="USD")
    assert_ends_as_told(story, walk.told_by(story))
    asked = [Query(about="payment", order_ref=story.order_ref, payment_ref=story.payment_ref)]
    refunds = {it.refund_ref for it in story.events if it.event_type.startswith("refund.")}
    asked += [Query(about="refund", order_ref=story.order_ref, refund_ref=ref) for ref in refunds]
    assert_ends_as_told(story, [event for query in asked for event in walk.answer(story, query).events])


def test_the_played_api_keeps_to_its_own(walk):
    story = story_of(SIMULATOR, SIMULATOR.templates[0], currency="NGN")
    ours = Query(about="payment", order_ref=story.order_ref)  # nobody told the payment's own reference yet
    with pytest.raises(AccessDenied):
        walk.answer(story, ours, authorization="Bearer of_another")
    for query in (PAYMENT, REFUND, REFUNDS):
        assert not walk.answer(story, query).found
    (early,) = walk.answer(story, ours, as_of=story.started_at).events
    assert early.kind is Kind.PAYMENT_PENDING
    api = SIMULATOR.api(walk.signer, ledger_of({}))
    call = walk.gateway.query_request(PAYMENT, now=NOW, nonce="n")
    for status in (429, 500):
        sealed = api.signed(api.error_response(status, put_of(call)), now=NOW)
        with pytest.raises(Unavailable):
            walk.gateway.read_response(PAYMENT, Response(status=sealed.status, headers={}, body=sealed.body), now=NOW)


def test_an_impostor_is_refused(walk):
    story = story_of(SIMULATOR, SIMULATOR.templates[0], currency="NGN")
    signed = SIMULATOR.impostor(walk.signer).sign(story, story.events[0], now=NOW, again=0)
    with pytest.raises(BadSignature):
        walk.gateway.verify(request_of(signed), NOW)


def test_free_text_is_kept_without_whom_it_is_about():
    said = "Refused for jane@shop.example, card 4242 4242 4242 4242"
    [event] = events_of("charge.failed", a_transaction(status="failed", gateway_response=said))
    assert event.failure_code == "Refused for <email>, card <card>"
    gateway = a_gateway(secret_keys=["sk_live_of_february"])
    with pytest.raises(BadPayload) as told:
        events_of("charge.failed", a_transaction(status="failed", domain=said), gateway, "sk_live_of_february")
    assert "jane" not in str(told.value) + told.value.reason
    assert "4242" not in told.value.reason
