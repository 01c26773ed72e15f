"""Checkout.com: signatures and what deliveries say."""

import hashlib
import hmac
import json
from datetime import timedelta

import pytest
from checkout_factories import (
    KEY,
    PAYMENT,
    REPORTED_AT,
    a_capture,
    a_gateway,
    a_payment,
    an_action,
    answer_to,
    captured_by,
    event_of,
    events_of,
)
from specimen import NOW, request_of

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.domain.order.facts import OrderFacts, apply
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.sums import held_in_all
from tillkeeper.gateways.checkout.objects import FAILURES, failure_of
from tillkeeper.gateways.checkout.webhook import TYPES
from tillkeeper.gateways.errors import (
    BadPayload,
    BadSignature,
    VerificationStep,
)
from tillkeeper.gateways.kit.unknown_words import unknown_words
from tillkeeper.sandbox.simulators.checkout.objects import checkout_dispute
from tillkeeper.sandbox.simulators.checkout.signing import checkout_body, checkout_signed

OLDER = "older-key-of-the-till"


def parsed(body, key=KEY):
    gateway = a_gateway()
    return gateway.parse(gateway.verify(request_of(checkout_signed(key, body)), NOW))


# The signature.


def test_the_signature_is_hex_over_the_raw_body():
    body = b'{"amount":1.10,  "odd": "layout"}\n'
    signature = hmac.new(KEY.encode(), body, hashlib.sha256).hexdigest()
    assert a_gateway().verify(request_of(({"Cko-Signature": signature}, body)), NOW).content == body


def test_either_of_two_keys_fits_and_is_named():
    gateway = a_gateway(signature_keys=[KEY, OLDER])
    assert gateway.verify(request_of(checkout_signed(OLDER, b"{}")), NOW).key == gateway.key_labels()[1]


@pytest.mark.parametrize("signature", ["", "ff", "é", "0" * 64])
def test_a_signature_that_is_none_is_refused(signature):
    with pytest.raises(BadSignature):
        a_gateway().verify(request_of(({"Cko-Signature": signature}, b"{}")), NOW)


def test_a_signed_body_that_is_not_json_is_the_contents_fault():
    """Some authentication events are broken so; their signature is right."""
    with pytest.raises(BadPayload) as caught:
        parsed('{"id":"evt_1","type":"authentication_failed":{"id":"sid_1\ufffd"}}'.encode())
    assert caught.value.step is VerificationStep.CONTENT


# Events.

PAYMENTS = {
    "payment_pending": Kind.PAYMENT_PENDING,
    "payment_approved": Kind.PAYMENT_AUTHORIZED,
    "payment_captured": Kind.PAYMENT_SUCCEEDED,
    "payment_declined": Kind.PAYMENT_FAILED,
    "payment_retry_scheduled": Kind.PAYMENT_PENDING,
    "payment_expired": Kind.PAYMENT_CANCELLED,
    "payment_canceled": Kind.PAYMENT_CANCELLED,
}
REFUNDS = {
    "payment_refund_pending": Kind.REFUND_PENDING,
    "payment_refunded": Kind.REFUND_SUCCEEDED,
    "payment_refund_declined": Kind.REFUND_FAILED,
}
DISPUTES = {
    "dispute_received": Kind.DISPUTE_OPENED,
    "dispute_evidence_required": Kind.DISPUTE_OPENED,
    "dispute_evidence_submitted": Kind.DISPUTE_OPENED,
    "dispute_evidence_acknowledged_by_scheme": Kind.DISPUTE_OPENED,
    "dispute_arbitration_evidence_submitted": Kind.DISPUTE_OPENED,
    "dispute_arbitration_sent_to_scheme": Kind.DISPUTE_OPENED,
    "dispute_won": Kind.DISPUTE_WON,
    "dispute_arbitration_won": Kind.DISPUTE_WON,
    "dispute_canceled": Kind.DISPUTE_WON,
    "dispute_resolved": Kind.DISPUTE_WON,
    "dispute_lost": Kind.DISPUTE_LOST,
    "dispute_arbitration_lost": Kind.DISPUTE_LOST,
    "dispute_accepted": Kind.DISPUTE_LOST,
    "dispute_expired": Kind.DISPUTE_LOST,
}


OTHERS = {"payment_voided", "payment_returned", "payment_capture_declined", "payment_authorization_incremented"}


def test_every_type_is_tested():
    assert {*PAYMENTS, *REFUNDS, *DISPUTES, *OTHERS} == set(TYPES)


@pytest.mark.parametrize(("event_type", "kind"), PAYMENTS.items())
def test_payments_by_type(event_type, kind):
    event = event_of(event_type, an_action(source={"type": "card"}))
    assert (event.kind, event.event_id, event.occurred_at) == (kind, "evt_1", NOW)
    assert (event.payment_ref, event.order_ref, event.method) == ("pay_1", "ORDER-1", "card")
    assert (event.amount, event.currency) == (12900, "EUR")
    assert event.capture_ref == ("act_1" if kind is Kind.PAYMENT_SUCCEEDED else None)


@pytest.mark.parametrize(("event_type", "kind"), REFUNDS.items())
def test_refunds_by_type_are_known_by_their_action(event_type, kind):
    event = event_of(event_type, an_action("act_refund", 400))
    assert (event.kind, event.refund_ref, event.payment_ref) == (kind, "act_refund", "pay_1")
    assert (event.amount, event.total, event.order_ref) == (400, None, "ORDER-1")


@pytest.mark.parametrize(("event_type", "kind"), DISPUTES.items())
def test_disputes_by_type(event_type, kind):
    event = event_of(event_type, checkout_dispute("dsp_1", "pay_1", 12900, "EUR", order_ref="ORDER-1"))
    assert (event.kind, event.dispute_ref, event.payment_ref, event.amount) == (kind, "dsp_1", "pay_1", 12900)
    assert event.occurred_at == NOW  # its data has no time of its own


LATER = NOW + timedelta(hours=2)
UNDOING = {
    "payment_returned": an_action("act_return", at=LATER),
    "payment_capture_declined": an_action("act_1", at=LATER, response_code="20005"),
    "payment_voided": an_action("act_void", at=LATER, balances={"available_to_capture": 0, "total_captured": 0}),
}


@pytest.mark.parametrize("event_type", UNDOING)
def test_what_undoes_a_success_leaves_no_money_and_an_answer_does_not_bring_it_back(event_type):
    captured, undone = events_of("payment_captured", an_action()), events_of(event_type, UNDOING[event_type], "evt_2")
    answer = answer_to(PAYMENT, a_payment(a_capture())).events
    for events in ((*captured, *undone), (*undone, *captured), (*captured, *undone, *answer), (*answer, *undone)):
        assert captured_by(*events) == 0
    again = events_of("payment_captured", an_action("act_9", at=LATER + timedelta(hours=1)), "evt_3")
    assert captured_by(*captured, *undone, *again) == 12900


def test_a_capture_that_is_declined_leaves_what_is_authorized():
    left = {"total_authorized": 12900, "available_to_capture": 12900, "total_captured": 0}
    held, undone = events_of("payment_capture_declined", an_action("act_1", 5000, balances=left))
    assert (held.kind, held.amount, held.event_id) == (Kind.PAYMENT_AUTHORIZED, 12900, "evt_1")
    assert (undone.kind, undone.capture_ref, undone.event_id) == (Kind.PAYMENT_REVERSED, "act_1", "evt_1:reversed")
    failed, _ = events_of("payment_capture_declined", an_action(response_code="20051"))
    assert (failed.kind, failed.failure) == (Kind.PAYMENT_FAILED, FailureClass.INSUFFICIENT_FUNDS)


def held_by(*events):
    facts = OrderFacts()
    for event in events:
        facts = apply(facts, event)
    order = Order(order_ref="ORDER-1", amount=12900, currency="EUR", accounts=frozenset({"checkout-main"}))
    return held_in_all(order, facts)


def test_what_is_left_of_an_authorization_stays_held_until_it_is_let_go():
    part = {"total_authorized": 12900, "total_captured": 5000}
    approved = events_of("payment_approved", an_action("act_0", at=NOW - timedelta(hours=1)), "evt_0")
    for left, held in ((7900, 7900), (0, 0)):
        now = part | {"available_to_capture": left}
        delivered = events_of("payment_captured", an_action("act_1", 5000, at=LATER, balances=now))
        answer = answer_to(PAYMENT, a_payment(a_capture(), balances=now | {"total_refunded": 0})).events
        for events in ((*approved, *delivered), (*approved, *answer), delivered, answer):
            assert (captured_by(*events), held_by(*events)) == (5000, held)
    voided = events_of(
        "payment_voided", an_action("act_2", 7900, at=LATER, balances={"available_to_capture": 0}), "evt_2"
    )
    taken = events_of("payment_captured", an_action("act_1", 5000, balances=part | {"available_to_capture": 7900}))
    assert (captured_by(*taken, *voided), held_by(*taken, *voided)) == (5000, 0)
    whole = {"total_authorized": 12900, "total_captured": 12900, "available_to_capture": 0}
    assert len(events_of("payment_captured", an_action(balances=whole))) == 1
    assert len(answer_to(PAYMENT, a_payment(a_capture(), balances=whole | {"total_refunded": 0})).events) == 1


def test_what_is_authorized_on_top_is_told_by_the_balances():
    more = an_action("act_5", 100, balances={"total_authorized": 13000})
    event = event_of("payment_authorization_incremented", more)
    assert (event.kind, event.amount) == (Kind.PAYMENT_AUTHORIZED, 13000)


def test_captures_of_one_payment_add_up_and_repetitions_do_not():
    first, second = an_action("act_1", 5000), an_action("act_2", 7900)
    delivered = [
        event_of("payment_captured", first),
        event_of("payment_captured", second),
        event_of("payment_captured", first),
    ]
    assert captured_by(*delivered) == captured_by(*reversed(delivered)) == 12900


@pytest.mark.parametrize(
    ("left", "kind"), [(None, "payment.cancelled"), (0, "payment.cancelled"), (400, "payment.authorized")]
)
def test_a_payment_voided_in_part_is_still_authorized(left, kind):
    more = {} if left is None else {"balances": {"available_to_capture": left}}
    event = event_of("payment_voided", an_action(amount=100, **more))
    assert (event.kind, event.amount) == (kind, None)


@pytest.mark.parametrize(
    ("currency", "sent", "amount"), [("JPY", 1500, 1500), ("KWD", 1500, 1500), ("CLP", 150000, 1500), ("UGX", 15, 15)]
)
def test_pesos_of_chile_come_with_two_digits_that_they_do_not_have(currency, sent, amount):
    assert event_of("payment_captured", an_action(amount=sent, currency=currency)).amount == amount


def test_a_fraction_of_a_peso_is_refused():
    with pytest.raises(BadPayload):
        event_of("payment_captured", an_action(amount=150050, currency="CLP"))


@pytest.mark.parametrize("missing", ["id", "amount", "currency", "action_id"])
@pytest.mark.parametrize("event_type", ["payment_captured", "payment_refunded"])
def test_what_must_be_there(event_type, missing):
    data = an_action()
    del data[missing]
    with pytest.raises(BadPayload):
        event_of(event_type, data)


def test_an_event_without_meaning_is_refused():
    with pytest.raises(BadPayload):
        event_of("payment_captured", an_action(), event_id="e" * 300)


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        ({"created_on": "2019-06-07T08:25:22Z"}, "2019-06-07T08:25:22+00:00"),
        ({"timestamp": "2023-05-24T09:12:32.357+00:00"}, "2023-05-24T09:12:32+00:00"),
    ],
)
def test_older_and_newer_events_write_their_time_elsewhere(fields, at):
    data = an_action()
    del data["processed_on"]
    (event,) = parsed(json.dumps({"id": "evt_1", "type": "payment_pending", "data": data, **fields}).encode())
    assert event.occurred_at.isoformat() == at


@pytest.mark.parametrize(
    ("event_type", "is_noted"),
    [
        ("card_verified", False),
        ("authentication_started", False),
        ("issuing_dispute_closed", False),
        ("payment_capture_pending", False),
        ("payment_melted", True),
        ("dispute_melted", True),
    ],
)
def test_other_types_are_of_no_interest_and_noted_where_they_could_tell_of_money(event_type, is_noted):
    with unknown_words() as words:
        assert parsed(checkout_body(event_type, {"id": "x"}, event_id="evt_1", at=NOW)) == ()
    assert [word.word for word in words] == ([event_type] if is_noted else [])


def test_a_status_that_nobody_knows_says_nothing_and_is_noted():
    with unknown_words() as words:
        answer = answer_to(PAYMENT, a_payment(status="Melted"))
    assert (answer.found, answer.events, [word.word for word in words]) == (True, (), ["Melted"])


def test_a_capture_happened_when_its_action_says_or_when_the_payment_was_requested():
    made = a_capture() | {"processed_on": "2026-10-05T11:00:00Z"}
    (event,) = answer_to(PAYMENT, a_payment(made)).events
    assert (event.occurred_at, event.as_of) == (NOW - timedelta(hours=1), REPORTED_AT)
    (event,) = answer_to(PAYMENT, a_payment(a_capture(), requested_on="2026-10-05T10:00:00Z")).events
    assert event.occurred_at == NOW - timedelta(hours=2)
    (event,) = answer_to(PAYMENT, a_payment(a_capture(), requested_on=None)).events
    assert event.occurred_at == REPORTED_AT


@pytest.mark.parametrize(("code", "failure"), FAILURES.items())
@pytest.mark.parametrize("event_type", ["payment_declined", "payment_refund_declined"])
def test_response_codes_by_table(event_type, code, failure):
    event = event_of(event_type, an_action(response_code=code))
    assert (event.failure, event.failure_code) == (failure, code)


@pytest.mark.parametrize(
    ("code", "failure"),
    [("40101", FailureClass.SUSPECTED_FRAUD), ("20999", FailureClass.UNKNOWN), (None, FailureClass.UNKNOWN)],
)
def test_other_response_codes(code, failure):
    assert failure_of(code) == (failure, code)


def test_why_a_payment_ended_unpaid():
    assert event_of("payment_expired", an_action()).failure is FailureClass.EXPIRED_UNPAID
    assert event_of("payment_canceled", an_action()).failure is FailureClass.USER_CANCELLED


def test_what_an_unproven_delivery_names():
    def named(event_type, data):
        return a_gateway().claimed_references(request_of(({}, checkout_body(event_type, data, event_id="e", at=NOW))))

    payment = named("payment_captured", an_action())
    assert (payment.payment_ref, payment.order_ref) == ("pay_1", "ORDER-1")
    assert named("dispute_lost", checkout_dispute("dsp_1", "pay_1", 1, "EUR", order_ref="O")).payment_ref == "pay_1"
    assert named("payment_captured", {}) is None
