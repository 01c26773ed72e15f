"""Razorpay: the official package verifies what we take and asks as we ask; every event and status by table."""

import json
from datetime import timedelta

import pytest
import razorpay
from pydantic import ValidationError
from razorpay.errors import SignatureVerificationError
from specimen import NOW, request_of, response_of, with_header
from told_plays import Told, broken_answers, impostor_of, with_amount_raised
from walking import facts_after

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.domain.order.facts import OrderFacts, apply
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
from tillkeeper.gateways.messages import Query
from tillkeeper.gateways.razorpay.gateway import Razorpay
from tillkeeper.gateways.razorpay.objects import FAILURES, PAYMENT_STATUSES, REFUND_STATUSES
from tillkeeper.gateways.razorpay.settings import RazorpaySettings
from tillkeeper.sandbox.simulators.razorpay.objects import (
    DECLINE,
    razorpay_dispute,
    razorpay_order,
    razorpay_payment,
    razorpay_refund,
)
from tillkeeper.sandbox.simulators.razorpay.signing import razorpay_body, razorpay_signed
from tillkeeper.sandbox.simulators.razorpay.simulator import SIMULATOR

SECRET = "webhook-secret-of-the-till"
OLDER = "older-secret-of-the-till"
KEY = {"key_id": "rzp_test_1", "key_secret": "key-secret-1"}
UNIX = int(NOW.timestamp())
PAYMENT = Query(about="payment", order_ref="ORDER-1", payment_ref="pay_1")
ORDER = Query(about="payment", order_ref="ORDER-1")
REFUND = Query(about="refund", order_ref="ORDER-1", payment_ref="pay_1", refund_ref="rfnd_1")
ORDER_ID = "order_FPoIeimWki9j8A"


def a_gateway(**settings):
    base = {"gateway": "razorpay", "webhook_secrets": [SECRET], **KEY}
    return Razorpay("razorpay-main", RazorpaySettings.model_validate(base | settings))


def a_payment(order_ref="ORDER-1", **more):
    return razorpay_payment("pay_1", 12900, "INR", order_ref, **more)


def a_refund(**more):
    return razorpay_refund("rfnd_1", "pay_1", 400, "INR", **more)


def a_dispute(**more):
    return razorpay_dispute("disp_1", "pay_1", 12900, "INR", **more)


def events_of(name, gateway=None, created=UNIX, **entities):
    gateway = gateway or a_gateway()
    request = request_of(razorpay_signed(SECRET, razorpay_body(name, created, **entities), event_id="evt1"))
    return gateway.parse(gateway.verify(request, NOW))


def event_of(name, gateway=None, **entities):
    (event,) = events_of(name, gateway, **entities)
    return event


def answer_to(query, content, status=200, gateway=None):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    headers = {"Date": "Mon, 05 Oct 2026 11:59:57 GMT"}
    return (gateway or a_gateway()).read_response(query, response_of((headers, body), status), now=NOW)


def a_list(*items):
    return {"entity": "collection", "count": len(items), "items": [*items]}


@pytest.mark.parametrize(("account_id", "count"), [(None, 1), ("acc_BFQ7uQEaa7j2z7", 1), ("acc_another", 0)])
def test_events_of_another_account_change_nothing(account_id, count):
    assert len(events_of("payment.captured", a_gateway(account_id=account_id), payment=a_payment())) == count


# The signature.


@pytest.mark.parametrize("body", [b"{}", '{"name":"Ada 王 é"}'.encode(), b"not JSON", b'{"a": 1.10}\n'])
def test_the_official_package_accepts_what_the_sandbox_signs_and_so_do_we(body):
    headers, _ = razorpay_signed(SECRET, body, event_id="evt1")
    utility = razorpay.Client(auth=("a", "b")).utility
    assert utility.verify_webhook_signature(body.decode(), headers["X-Razorpay-Signature"], SECRET)
    with pytest.raises(SignatureVerificationError):
        utility.verify_webhook_signature(body.decode(), headers["X-Razorpay-Signature"], OLDER)
    assert a_gateway().verify(request_of((headers, body)), NOW).content == body


def test_a_repetition_may_be_signed_with_the_secret_before():
    gateway = a_gateway(webhook_secrets=[SECRET, OLDER])
    assert gateway.verify(request_of(razorpay_signed(OLDER, b"{}", event_id="e")), NOW).key == gateway.key_labels()[1]


def test_the_api_keys_secret_signs_no_webhooks():
    with pytest.raises(BadSignature) as caught:
        a_gateway().verify(request_of(razorpay_signed(KEY["key_secret"], b"{}", event_id="e")), NOW)
    assert caught.value.step is VerificationStep.SIGNATURE


@pytest.mark.parametrize("values", [[], ["evt_other"], ["evt1", "evt2"], [""], ["x" * 500]])
def test_the_event_id_that_nothing_signs_makes_no_other_event(values):
    body = razorpay_body("payment.captured", UNIX, payment=a_payment())
    request = with_header(request_of(razorpay_signed(SECRET, body, event_id="evt1")), "x-razorpay-event-id", values)
    (event,) = a_gateway().parse(a_gateway().verify(request, NOW))
    assert event.event_id == f"payment.captured:pay_1:{UNIX}"


def test_two_facts_never_share_an_id():
    told = [
        *events_of("payment.authorized", payment=a_payment()),
        *events_of("payment.captured", payment=a_payment()),
        *events_of("payment.captured", payment=a_payment(id="pay_2")),
        *events_of("payment.captured", payment=a_payment(), created=UNIX - 1),
        *events_of("order.paid", payment=a_payment()),
        *events_of("refund.created", refund=a_refund()),
        *events_of("refund.processed", refund=a_refund()),
        *events_of("refund.processed", refund=a_refund(id="rfnd_2")),
        *events_of("payment.dispute.created", dispute=a_dispute()),
    ]
    assert len({it.event_id for it in told}) == len(told)


# Events.


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("payment.authorized", Kind.PAYMENT_AUTHORIZED),
        ("payment.captured", Kind.PAYMENT_SUCCEEDED),
        ("payment.failed", Kind.PAYMENT_FAILED),
        ("order.paid", Kind.PAYMENT_SUCCEEDED),
    ],
)
def test_payments_by_the_events_name(name, kind):
    event = event_of(name, payment=a_payment(), order=razorpay_order("ORDER-1", 12900, "INR"))
    assert (event.kind, event.occurred_at, event.payment_ref, event.order_ref) == (kind, NOW, "pay_1", "ORDER-1")
    assert (event.amount, event.currency, event.method) == (12900, "INR", "card")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("refund.created", Kind.REFUND_PENDING),
        ("refund.processed", Kind.REFUND_SUCCEEDED),
        ("refund.failed", Kind.REFUND_FAILED),
    ],
)
@pytest.mark.parametrize("payment", [{"payment": a_payment()}, {}])
def test_refunds_by_the_events_name(name, kind, payment):
    event = event_of(name, refund=a_refund(), **payment)
    assert (event.kind, event.refund_ref, event.payment_ref, event.amount) == (kind, "rfnd_1", "pay_1", 400)
    assert event.order_ref == ("ORDER-1" if payment else None)
    assert event.total is None


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("refund.created", Kind.PAYMENT_CANCELLED),
        ("refund.processed", Kind.PAYMENT_CANCELLED),
        ("refund.failed", Kind.PAYMENT_AUTHORIZED),
    ],
)
def test_a_refund_of_what_was_never_captured_ends_the_authorization(name, kind):
    refund = a_refund(amount=12900)
    event = event_of(name, refund=refund, payment=a_payment(status="refunded", captured=False))
    assert (event.kind, event.payment_ref, event.refund_ref) == (kind, "pay_1", None)
    assert event.event_id == f"{name}:rfnd_1:{UNIX}"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("created", Kind.DISPUTE_OPENED),
        ("under_review", Kind.DISPUTE_OPENED),
        ("action_required", Kind.DISPUTE_OPENED),
        ("won", Kind.DISPUTE_WON),
        ("lost", Kind.DISPUTE_LOST),
        ("closed", Kind.DISPUTE_WON),
    ],
)
def test_disputes_by_the_events_name(name, kind):
    event = event_of(f"payment.dispute.{name}", payment=a_payment(), dispute=a_dispute())
    assert (event.kind, event.dispute_ref, event.payment_ref, event.amount) == (kind, "disp_1", "pay_1", 12900)


def test_a_dispute_that_closed_with_money_taken_is_lost():
    assert event_of("payment.dispute.closed", dispute=a_dispute(amount_deducted=12900)).kind is Kind.DISPUTE_LOST


@pytest.mark.parametrize("name", ["refund.speed_changed", "payment.downtime.started", "invoice.paid", ""])
def test_other_events_are_of_no_interest_or_nameless(name):
    if name:
        assert events_of(name, refund=a_refund()) == ()
    else:
        with pytest.raises(BadPayload):
            events_of(name)


@pytest.mark.parametrize("name", ["payment.captured", "refund.processed", "payment.dispute.won", "order.paid"])
def test_an_event_without_its_object_is_refused(name):
    with pytest.raises(BadPayload):
        events_of(name, order=razorpay_order("ORDER-1", 12900, "INR"))


def test_an_event_without_meaning_is_refused():
    with pytest.raises(BadPayload):
        events_of("payment.captured", payment=a_payment(id="pay_" + "x" * 300))


def test_what_failed_may_be_authorized_late():
    failed = events_of("payment.failed", payment=a_payment(**DECLINE), created=UNIX - 60)
    late = events_of("payment.authorized", payment=a_payment(status="authorized"), created=UNIX)
    for told in (failed + late, late + failed):
        facts = OrderFacts()
        for event in told:
            facts = apply(facts, event)
        assert facts.payments["razorpay-main", "pay_1"].status == "authorized"


def test_order_paid_and_payment_captured_are_the_same_money():
    facts = OrderFacts()
    for event in (
        *events_of("payment.captured", payment=a_payment()),
        *events_of("order.paid", payment=a_payment(), order=razorpay_order("ORDER-1", 12900, "INR")),
    ):
        facts = apply(facts, event)
    (payment,) = facts.payments.values()
    assert [it.minor for it in payment.captures.values()] == [12900]


# The order's reference.


@pytest.mark.parametrize(
    ("payment", "order", "ref"),
    [
        (a_payment(), None, "ORDER-1"),
        (a_payment(), razorpay_order("RECEIPT-1", 12900, "INR"), "ORDER-1"),
        (a_payment(order_ref=None), razorpay_order("RECEIPT-1", 12900, "INR"), "RECEIPT-1"),
        (a_payment(notes={}), razorpay_order("", 12900, "INR", notes={"order_id": "NOTED-1"}), "NOTED-1"),
        (a_payment(notes=[], order_id=ORDER_ID), None, ORDER_ID),
        (a_payment(notes={"order_id": 1001}), None, "1001"),
        (a_payment(notes=None, order_id=None), None, None),
    ],
)
def test_where_the_orders_reference_is_looked_for(payment, order, ref):
    more = {} if order is None else {"order": order}
    assert event_of("order.paid", payment=payment, **more).order_ref == ref


@pytest.mark.parametrize("notes", [{"order_id": ["a"]}, {"order_id": True}, ["order_id"], "order_id", 7])
def test_odd_notes_are_refused(notes):
    with pytest.raises(BadPayload):
        events_of("payment.captured", payment=a_payment(notes=notes))


def test_the_path_can_be_set():
    gateway = a_gateway(order_ref_path="payment.notes.cart")
    assert event_of("payment.captured", gateway, payment=a_payment(notes={"cart": "C-1"})).order_ref == "C-1"
    assert event_of("payment.captured", gateway, payment=a_payment()).order_ref is None


@pytest.mark.parametrize("path", ["", "notes.order_id", "payment", "payment.", "refund.notes.order_id"])
def test_a_path_that_leads_nowhere_is_refused(path):
    with pytest.raises(ValidationError):
        a_gateway(order_ref_path=path)


def test_what_an_unproven_delivery_names():
    def named(**entities):
        return a_gateway().claimed_references(request_of(({}, razorpay_body("payment.captured", UNIX, **entities))))

    assert (named(payment=a_payment()).payment_ref, named(payment=a_payment()).order_ref) == ("pay_1", "ORDER-1")
    assert named(order=razorpay_order("RECEIPT-1", 1, "INR")).order_ref == "RECEIPT-1"
    assert named(refund=a_refund()) is None
    assert named(payment=a_payment(notes=["odd"])) is None


# Why it failed.


@pytest.mark.parametrize(("code", "failure"), FAILURES.items())
def test_reasons_by_table(code, failure):
    event = event_of("payment.failed", payment=a_payment(**DECLINE | {"error_reason": code}))
    assert (event.failure, event.failure_code) == (failure, code)


@pytest.mark.parametrize(
    ("reason", "code", "failure", "told"),
    [
        (None, "GATEWAY_ERROR", FailureClass.GATEWAY_FAULT, "GATEWAY_ERROR"),
        ("payment_failed", "BAD_REQUEST_ERROR", FailureClass.UNKNOWN, "payment_failed"),
        ("payment_failed", "SERVER_ERROR", FailureClass.GATEWAY_FAULT, "SERVER_ERROR"),
        (None, None, FailureClass.UNKNOWN, None),
    ],
)
def test_reasons_that_the_table_does_not_know(reason, code, failure, told):
    event = event_of("payment.failed", payment=a_payment(error_reason=reason, error_code=code))
    assert (event.failure, event.failure_code) == (failure, told)


# Asking.


@pytest.mark.parametrize(("key_id", "live"), [("rzp_live_1", True), ("rzp_test_1", False), ("odd", None), (None, None)])
def test_the_key_tells_the_mode(key_id, live):
    assert a_gateway(key_id=key_id).live is live


class Recorder:
    """A session that sends nothing, and remembers what it was to send."""

    def __init__(self):
        self.sent = []

    def get(self, url, **options):
        self.sent.append((url, options))
        response = razorpay.client.requests.Response()
        response.status_code = 200
        response._content = b"{}"
        return response


@pytest.mark.parametrize(
    ("query", "officially"),
    [
        (PAYMENT, lambda it: it.payment.fetch("pay_1")),
        (REFUND, lambda it: it.refund.fetch("rfnd_1")),
        (Query(about="payment", order_ref=ORDER_ID), lambda it: it.order.payments(ORDER_ID)),
    ],
    ids=["payment", "refund", "order"],
)
def test_the_official_package_sends_the_same_request(query, officially):
    recorder = Recorder()
    officially(razorpay.Client(session=recorder, auth=tuple(KEY.values())))
    ((url, options),) = recorder.sent
    call = a_gateway().query_request(query, now=NOW, nonce="n")
    prepared = razorpay.client.requests.Request("GET", url, auth=options["auth"]).prepare()
    assert (call.method, call.url) == ("GET", prepared.url)
    assert call.headers["Authorization"] == prepared.headers["Authorization"]


def test_an_order_is_found_by_its_receipt():
    url = a_gateway().query_request(Query(about="payment", order_ref="order_1001"), now=NOW, nonce="n").url
    assert url == "https://api.razorpay.com/v1/orders?receipt=order_1001&count=100&expand%5B%5D=payments"


@pytest.mark.parametrize("settings", [{"key_id": None}, {"key_secret": None}])
def test_without_a_key_nothing_is_queried(settings):
    with pytest.raises(CannotQuery, match="not set"):
        a_gateway(**settings).query_request(PAYMENT, now=NOW, nonce="n")


@pytest.mark.parametrize("order_ref", [None, "R" * 41, "é", " ", "a\n"])
def test_a_receipt_that_razorpay_cannot_keep(order_ref):
    with pytest.raises(CannotQuery):
        a_gateway().query_request(Query(about="payment", order_ref=order_ref), now=NOW, nonce="n")


@pytest.mark.parametrize(("status", "kind"), PAYMENT_STATUSES.items())
def test_payments_by_status(status, kind):
    answer = answer_to(PAYMENT, a_payment(status=status))
    assert answer.found
    assert [it.kind for it in answer.events] == ([kind] if kind else [])


def test_a_payment_that_was_let_go_is_not_refunded():
    (event,) = answer_to(PAYMENT, a_payment(status="refunded", captured=False, amount_refunded=12900)).events
    assert (event.kind, event.failure) == (Kind.PAYMENT_CANCELLED, FailureClass.EXPIRED_UNPAID)


def test_what_was_given_back_so_far_is_a_total():
    success, total = answer_to(PAYMENT, a_payment(status="captured", amount_refunded=400)).events
    assert (success.kind, success.amount, total.kind, total.total) == (
        Kind.PAYMENT_SUCCEEDED,
        12900,
        Kind.REFUND_SUCCEEDED,
        400,
    )
    assert total.occurred_at == NOW - timedelta(seconds=3)


@pytest.mark.parametrize(("status", "kind"), REFUND_STATUSES.items())
def test_refunds_by_status(status, kind):
    (event,) = answer_to(REFUND, a_refund(status=status)).events
    assert (event.kind, event.amount, event.order_ref) == (kind, 400, "ORDER-1")


FEE = {"amount": 13204, "fee": 304, "tax": 46}


@pytest.mark.parametrize(
    ("settings", "payment", "order", "told"),
    [
        ({}, {"fee_bearer": "customer"}, {}, (12900, 304, None)),
        ({}, {"fee_bearer": "platform"}, {}, (13204, None, None)),
        ({}, {"fee_bearer": "customer", "fee": None}, {}, (13204, None, None)),
        ({"payer_bears_fee": True}, {}, {}, (12900, 304, None)),
        ({"payer_bears_fee": True}, {"fee": 0}, {}, (13204, None, None)),
        ({"payer_bears_fee": True}, {"fee": 99999}, {}, (13204, None, None)),
        # The order beside it tells what was asked for.
        ({}, {}, {"amount": 12900}, (12900, 304, None)),
        ({}, {}, {"amount": 12854}, (12854, 350, None)),
        ({}, {}, {"amount": 13204}, (13204, None, None)),
        ({}, {"offer_id": "offer_1"}, {"amount": 15000, "amount_paid": 13204}, (13204, None, 1796)),
        ({}, {}, {"amount": 15000, "amount_paid": 13204, "offers": ["offer_1"]}, (13204, None, 1796)),
        ({}, {}, {"amount": 15000, "amount_paid": 13204}, (13204, None, None)),
        ({}, {"offer_id": "offer_1"}, {"amount": 15000, "amount_paid": 15000}, (13204, None, None)),
    ],
)
def test_what_the_payer_gave_on_top_and_what_an_offer_took_off(settings, payment, order, told):
    order = {"order": razorpay_order("ORDER-1", 1, "INR") | order} if order else {}
    name = "order.paid" if order else "payment.captured"
    event = event_of(name, a_gateway(**settings), payment=a_payment(**FEE | payment), **order)
    assert (event.amount, event.on_top, event.discount) == told


@pytest.mark.parametrize("turn", [1, -1])
def test_a_fee_that_only_order_paid_tells_of_is_not_overpaid(turn):
    """Both come within a second, and payment.captured does not say who bears the fee."""
    payment = a_payment(**FEE)
    alone = event_of("payment.captured", payment=payment)
    paid = event_of("order.paid", payment=payment, order=razorpay_order("ORDER-1", 12900, "INR"))
    facts = facts_after([alone, paid][::turn])
    order = Order(order_ref="ORDER-1", amount=12900, currency="INR", accounts=frozenset({"razorpay-main"}))
    assert (alone.amount, paid.amount, summarize(order, facts).captured) == (13204, 12900, 12900)


def test_a_total_holds_the_fee_that_goes_back_as_well():
    _, total = answer_to(PAYMENT, a_payment(**FEE, fee_bearer="customer", amount_refunded=13204)).events
    assert (total.total, total.on_top) == (13204, None)


def test_a_refund_queried_alone_has_its_payment_queried():
    alone = Query(about="refund", refund_ref="rfnd_1")
    assert answer_to(alone, a_refund()).also == (Query(about="payment", payment_ref="pay_1"),)
    assert answer_to(REFUND, a_refund()).also == ()


@pytest.mark.parametrize(
    ("query", "subject", "word"),
    [
        (PAYMENT, a_payment(status="odd"), ("payment.status", "odd")),
        (REFUND, a_refund(status="odd"), ("refund.status", "odd")),
        (PAYMENT, a_payment(currency="XXY"), ("currency", "XXY")),
    ],
)
def test_an_unknown_word_is_noted_and_nothing_is_guessed(query, subject, word):
    with unknown_words() as words:
        answer = answer_to(query, subject)
    assert (answer.found, answer.events) == (True, ())
    assert [(it.field, it.word) for it in words] == [word]


def test_an_event_in_a_currency_that_nobody_knows_changes_nothing():
    assert events_of("payment.captured", payment=a_payment(currency="XXY")) == ()


def test_a_payment_found_by_receipt_is_that_orders_whatever_its_notes_say():
    payments = a_list(a_payment(order_ref=None, status="captured"))
    answer = answer_to(ORDER, a_list(razorpay_order("ORDER-1", 12900, "INR", payments=payments)))
    assert [(it.payment_ref, it.order_ref) for it in answer.events] == [("pay_1", "ORDER-1")]


@pytest.mark.parametrize(
    "content",
    [
        a_list(),
        a_list(razorpay_order("ORDER-2", 12900, "INR", payments=a_list(a_payment()))),
        a_list(razorpay_order("ORDER-1", 12900, "INR", payments=a_list())),
        a_list(razorpay_order("ORDER-1", 12900, "INR")),
    ],
)
def test_an_order_without_payments_is_none_found(content):
    assert not answer_to(ORDER, content).found


def test_a_list_that_is_none_is_refused():
    with pytest.raises(BadPayload):
        answer_to(ORDER, {"items": {}})


def test_payments_of_razorpays_own_order():
    query = Query(about="payment", order_ref=ORDER_ID)
    content = a_list(a_payment(order_ref=None, order_id=ORDER_ID), a_payment(order_id="order_FPoIeimWki9j8B"))
    assert [it.order_ref for it in answer_to(query, content).events] == [ORDER_ID]


def test_a_question_without_the_order_learns_it():
    query = Query(about="payment", payment_ref="pay_1")
    assert answer_to(query, a_payment()).events[0].order_ref == "ORDER-1"
    assert answer_to(query, a_payment(order_ref=None, order_id=ORDER_ID)).events[0].order_ref == ORDER_ID


def an_error(description, code="BAD_REQUEST_ERROR"):
    return {"error": {"code": code, "description": description}}


@pytest.mark.parametrize("description", ["The id provided does not exist", "pay_1 is not a valid id"])
def test_not_found_comes_as_a_bad_request(description):
    assert not answer_to(PAYMENT, an_error(description), 400).found


@pytest.mark.parametrize(
    ("status", "content", "error"),
    [
        (400, an_error("something else"), BadPayload),
        (400, an_error("The id provided does not exist", "odd code 7"), BadPayload),
        (404, b"<html>", BadPayload),
        (401, an_error("Authentication failed"), AccessDenied),
        (429, b"", Unavailable),
        (502, b"", Unavailable),
        (200, {"id": "pay_2"}, BadPayload),
        (200, [], BadPayload),
    ],
)
def test_other_answers(status, content, error):
    with pytest.raises(error):
        answer_to(PAYMENT, content, status)


# The sandbox plays it.


@pytest.mark.slow
@pytest.mark.parametrize("template", SIMULATOR.templates, ids=lambda it: it.name)
def test_what_the_play_tells_comes_true(template):
    told = Told(SIMULATOR, Razorpay, template)
    assert told.end(told.deliveries()) == told.story.expected
    assert told.end(told.answers()) == told.story.expected


def test_the_plays_api_refuses_and_breaks_as_razorpay_does():
    told = Told(SIMULATOR, Razorpay, SIMULATOR.templates[0])
    assert broken_answers(told) == ["Unavailable", "Unavailable", "AccessDenied"]
    for query in (
        Query(about="payment", payment_ref="nobody"),
        Query(about="payment", order_ref="nobody"),
        Query(about="refund", refund_ref="nobody"),
    ):
        assert not told.answer(query).found


def test_the_plays_impostor_and_an_altered_amount_are_refused():
    told = Told(SIMULATOR, Razorpay, SIMULATOR.templates[0])
    event = told.story.events[0]
    for signed in (
        impostor_of(told).sign(told.story, event, now=NOW, again=0),
        with_amount_raised(told.signer.sign(told.story, event, now=NOW, again=0), told.signer.amount_follows),
    ):
        with pytest.raises(BadSignature):
            told.gateway.verify(request_of(signed), NOW)
