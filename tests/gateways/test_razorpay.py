"""Razorpay: signatures and what deliveries say."""

import pytest
import razorpay
from pydantic import ValidationError
from razorpay.errors import SignatureVerificationError
from razorpay_factories import KEY, ORDER_ID, SECRET, UNIX, a_gateway, a_payment, a_refund, event_of, events_of
from specimen import NOW, request_of, with_header

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.domain.order.facts import OrderFacts, apply
from tillkeeper.gateways.errors import (
    BadPayload,
    BadSignature,
    VerificationStep,
)
from tillkeeper.gateways.razorpay.objects import FAILURES
from tillkeeper.sandbox.simulators.razorpay.objects import (
    DECLINE,
    razorpay_dispute,
    razorpay_order,
)
from tillkeeper.sandbox.simulators.razorpay.signing import razorpay_body, razorpay_signed

OLDER = "older-secret-of-the-till"


def a_dispute(**more):
    return razorpay_dispute("disp_1", "pay_1", 12900, "INR", **more)


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
    assert len({event.event_id for event in told}) == len(told)


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
    assert [capture.minor for capture in payment.captures.values()] == [12900]


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
