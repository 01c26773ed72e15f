"""Stripe: the official package signs and we verify, and the other way round; every state by table."""

import json
from datetime import UTC, datetime, timedelta

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from specimen import NOW, request_of, with_header
from walking import facts_after

from sandbox.signing import (
    stripe_body,
    stripe_charge,
    stripe_delivery,
    stripe_payment_intent,
    stripe_refund,
    stripe_session,
    stripe_signed,
)
from tillkeeper.domain.failures import FailureClass
from tillkeeper.domain.order import Order, summarize
from tillkeeper.gateways.errors import BadPayload, BadSignature
from tillkeeper.gateways.kit.unknown_words import unknown_words
from tillkeeper.gateways.messages import ClaimedReferences, Query, Request
from tillkeeper.gateways.stripe.events import TYPES
from tillkeeper.gateways.stripe.gateway import Stripe
from tillkeeper.gateways.stripe.objects import DISPUTE_STATUSES, FAILURES, REFUND_STATUSES
from tillkeeper.gateways.stripe.settings import StripeSettings

SECRET = "whsec_1nJq4gq8fBqS7x"
OLDER = "whsec_older_9zQ2"
UNIX = int(NOW.timestamp())


def a_gateway(**settings):
    return Stripe(
        "stripe-main", StripeSettings.model_validate({"gateway": "stripe", "webhook_secrets": [SECRET]} | settings)
    )


def an_intent(**more):
    return stripe_payment_intent("pi_1", 12900, "usd", "ORDER-1", **more)


def a_session(**more):
    return stripe_session("cs_1", "pi_1", 12900, "usd", **{"client_reference_id": "ORDER-1"} | more)


def a_charge(**more):
    return stripe_charge("ch_1", "pi_1", 12900, "usd", **{"metadata": {"order_id": "ORDER-1"}} | more)


def a_refund(**more):
    return stripe_refund("re_1", "pi_1", 400, "usd", **more)


def a_dispute(**more):
    return {
        "id": "du_1",
        "object": "dispute",
        "amount": 12900,
        "charge": "ch_1",
        "currency": "usd",
        "metadata": {},
        "payment_intent": "pi_1",
        "reason": "fraudulent",
        "status": "needs_response",
    } | more


def events_of(event_type, subject, gateway=None, **event):
    gateway = gateway or a_gateway()
    request = request_of(stripe_delivery(SECRET, NOW, event_type, subject, **event))
    return gateway.parse(gateway.verify(request, NOW))


def event_of(event_type, subject, gateway=None, **event):
    (made,) = events_of(event_type, subject, gateway, **event)
    return made


def asking(**settings):
    return a_gateway(api_key="sk_test_51abcdef", **settings)


def questions_of(event_type, subject, gateway=None, **event):
    gateway = gateway or asking()
    request = request_of(stripe_delivery(SECRET, NOW, event_type, subject, **event))
    return gateway.queries_for(gateway.verify(request, NOW))


def signed_by_stripe(body, *, now=NOW, secret=SECRET):
    header = stripe.WebhookSignature.generate_signature_header(body.decode(), secret, int(now.timestamp()))
    return Request(headers={"stripe-signature": [header]}, body=body)


# The official package signs, we verify; and the other way round.


@pytest.mark.parametrize("text", ["{}", '{"name":"Ada 王 é"}', "", "not JSON", '{"a": 1.10}\n'])
def test_what_the_official_package_signs_is_verified(text):
    gateway = a_gateway()
    verified = gateway.verify(signed_by_stripe(text.encode()), NOW)
    assert verified.key == gateway.key_labels()[0]
    assert verified.content == text.encode()


@given(st.text())
def test_whatever_the_official_package_signs_is_verified(text):
    body = text.encode(errors="ignore")
    assert a_gateway().verify(signed_by_stripe(body), NOW).content == body


def test_the_official_package_accepts_what_the_sandbox_signs():
    headers, body = stripe_delivery(SECRET, NOW, "payment_intent.succeeded", an_intent())
    # Their clock cannot be set, so their tolerance is widened; the signature is what is asked about.
    event = stripe.Webhook.construct_event(body, headers["Stripe-Signature"], SECRET, tolerance=10**10)
    assert event.type == "payment_intent.succeeded"
    assert event.data.object.id == "pi_1"
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body, headers["Stripe-Signature"], OLDER, tolerance=10**10)


def test_a_body_of_the_sandbox_is_of_real_size():
    assert 2000 <= len(stripe_body(NOW, "payment_intent.succeeded", an_intent())) <= 2600


# The signature header.


def test_either_of_two_secrets_fits_and_is_named():
    gateway = a_gateway(webhook_secrets=[SECRET, OLDER])
    assert gateway.verify(signed_by_stripe(b"{}"), NOW).key == gateway.key_labels()[0]
    assert gateway.verify(signed_by_stripe(b"{}", secret=OLDER), NOW).key == gateway.key_labels()[1]


def signature_by(secret):
    return signed_by_stripe(b"{}", secret=secret).header("stripe-signature").partition("v1=")[2]


@pytest.mark.parametrize(
    ("header", "good"),
    [
        ("t={t},v1={own}", True),
        ("v1={own},t={t}", True),
        ("t={t},v1={other},v1={own}", True),
        ("t={t},v1={own},v1={other},v0=6ffb", True),
        ("t={t},v0={own}", False),
        ("t={t},v1={other}", False),
        ("t={t},v1=", False),
        ("t={t},v1={own}0", False),
        ("t={t},v1={own},t={t}", False),
        ("v1={own}", False),
        ("t=,v1={own}", False),
        ("t={t}, v1={own}", False),
        ("t=0{t},v1={own}", False),
        ("t={t};v1={own}", False),
        ("t={t},v1={upper}", False),
        ("t={t}" + ",v1={other}" * 100 + ",v1={own}", False),
    ],
)
def test_a_signature_header_is_read_as_stripe_writes_it(header, good):
    own = signature_by(SECRET)
    value = header.format(t=UNIX, own=own, other=signature_by(OLDER), upper=own.upper())
    request = with_header(signed_by_stripe(b"{}"), "stripe-signature", [value])
    if good:
        assert a_gateway().verify(request, NOW)
        return
    with pytest.raises(BadSignature):
        a_gateway().verify(request, NOW)


def test_the_secret_is_used_whole():
    with pytest.raises(BadSignature):
        a_gateway().verify(signed_by_stripe(b"{}", secret=SECRET.removeprefix("whsec_")), NOW)


def test_the_time_is_signed():
    later = NOW + timedelta(seconds=200)
    value = signed_by_stripe(b"{}").header("stripe-signature").replace(str(UNIX), str(UNIX + 200))
    with pytest.raises(BadSignature, match="webhook_secrets"):
        a_gateway().verify(with_header(signed_by_stripe(b"{}"), "stripe-signature", [value]), later)


# States.

STATES = [
    # payment intents
    ("payment_intent.succeeded", an_intent(amount_received=12000), "payment.succeeded", 12000, None),
    ("payment_intent.processing", an_intent(), "payment.pending", 12900, None),
    ("payment_intent.partially_funded", an_intent(), "payment.pending", 12900, None),
    (
        "payment_intent.amount_capturable_updated",
        an_intent(amount_capturable=9000),
        "payment.authorized",
        9000,
        None,
    ),
    ("payment_intent.payment_failed", an_intent(), "payment.failed", 12900, "unknown"),
    ("payment_intent.canceled", an_intent(), "payment.cancelled", 12900, "unknown"),
    # checkout sessions
    ("checkout.session.completed", a_session(), "payment.succeeded", 12900, None),
    (
        "checkout.session.completed",
        a_session(payment_status="no_payment_required", amount_total=0),
        "payment.succeeded",
        0,
        None,
    ),
    ("checkout.session.completed", a_session(payment_status="unpaid"), "payment.pending", 12900, None),
    ("checkout.session.async_payment_succeeded", a_session(), "payment.succeeded", 12900, None),
    ("checkout.session.async_payment_failed", a_session(), "payment.failed", 12900, "unknown"),
    ("checkout.session.expired", a_session(), "payment.cancelled", 12900, "expired_unpaid"),
    # charges
    ("charge.succeeded", a_charge(), "payment.succeeded", 12900, None),
    ("charge.succeeded", a_charge(captured=False, amount_captured=0), "payment.authorized", 12900, None),
    ("charge.captured", a_charge(amount_captured=5000), "payment.succeeded", 5000, None),
    ("charge.pending", a_charge(), "payment.pending", 12900, None),
    ("charge.failed", a_charge(), "payment.failed", 12900, "unknown"),
    ("charge.expired", a_charge(), "payment.cancelled", 12900, "expired_unpaid"),
]


@pytest.mark.parametrize(
    ("event_type", "subject", "kind", "amount", "failure"), STATES, ids=[f"{row[0]}-{row[2]}" for row in STATES]
)
def test_what_happens_to_a_payment(event_type, subject, kind, amount, failure):
    event = event_of(event_type, subject, id="evt_7", created=UNIX - 40)
    assert event.event_id == "evt_7"
    assert event.kind == kind
    assert event.amount == amount
    assert event.total is None
    assert event.currency == "USD"
    assert event.payment_ref == "pi_1"
    assert event.order_ref == "ORDER-1"
    assert event.capture_ref is None
    assert event.failure == failure
    assert event.occurred_at == NOW - timedelta(seconds=40)


@pytest.mark.parametrize("event_type", ["refund.created", "refund.updated", "refund.failed", "charge.refund.updated"])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("pending", "refund.pending"),
        ("requires_action", "refund.pending"),
        ("succeeded", "refund.succeeded"),
        ("failed", "refund.failed"),
        ("canceled", "refund.failed"),
    ],
)
def test_what_happens_to_a_refund_is_told_by_its_status(event_type, status, kind):
    event = event_of(event_type, a_refund(status=status))
    assert (event.kind, event.refund_ref, event.payment_ref) == (kind, "re_1", "pi_1")
    assert (event.amount, event.total, event.currency) == (400, None, "USD")


def test_a_charge_refunded_reports_a_running_total():
    event = event_of("charge.refunded", a_charge(amount_refunded=700))
    assert event.kind == "refund.succeeded"
    assert (event.amount, event.total, event.refund_ref, event.payment_ref) == (None, 700, None, "pi_1")


ACACIA, BASIL, CLOVER = "2025-02-24.acacia", "2025-03-31.basil", "2025-09-30.clover"
VOIDED = {"captured": False, "amount_captured": 0, "amount_refunded": 12900, "refunded": True}


@pytest.mark.parametrize("version", [ACACIA, CLOVER])
@pytest.mark.parametrize(
    ("more", "total"),
    [
        (VOIDED, None),
        (VOIDED | {"amount_captured": None}, None),
        (VOIDED | {"amount_refunded": 3900, "refunded": False}, None),  # a part of the authorization was let go
        ({"amount_captured": None, "amount_refunded": 1000}, 1000),
        ({"captured": None, "amount_captured": None, "amount_refunded": 1000}, 1000),
        ({"amount_refunded": 0}, None),
        # Of itself it tells which way it counts.
        ({"amount_captured": 9000, "amount_refunded": 12900, "refunded": True}, 9000),
        ({"amount_captured": 9000, "amount_refunded": 9000, "refunded": True}, 9000),
        ({"amount_captured": 9000, "amount_refunded": 9000}, 5100),
        ({"amount_captured": 9000, "amount_refunded": 9500}, 5600),
        ({"amount_captured": 9000, "amount_refunded": 1000}, 1000),
        ({"amount_captured": 2000, "amount_refunded": 2000, "refunded": True}, 2000),
        ({"amount_captured": 15000, "amount_refunded": 400}, 400),  # captured over the authorization, as a tip may be
    ],
)
def test_what_was_let_go_uncaptured_is_no_refund(more, total, version):
    events = events_of("charge.refunded", a_charge(**more), api_version=version)
    assert [event.total for event in events] == ([] if total is None else [total])


LONG_AGO = {"created": 1_700_000_000}


@pytest.mark.parametrize(
    ("event", "total"),
    [
        ({"api_version": "2020-08-27"}, 1000),
        ({"api_version": ACACIA}, 1000),
        ({"api_version": BASIL}, 4900),
        ({"api_version": CLOVER}, 4900),
        ({"api_version": None}, 4900),
        ({"api_version": None} | LONG_AGO, 1000),
    ],
)
def test_where_the_sums_allow_both_the_events_own_version_tells_how_refunds_are_counted(event, total):
    made = event_of("charge.refunded", a_charge(amount_captured=9000, amount_refunded=4900), **event)
    assert (made.total, made.released) == (total, 3900)


@pytest.mark.parametrize(
    ("refunds", "total"),
    [
        ({"data": [a_refund(amount=1000)], "has_more": False}, 1000),
        ({"data": [a_refund(amount=1000), a_refund(amount=500, status="failed")], "has_more": False}, 1000),
        ({"data": [a_refund(amount=1000), a_refund(amount=3900)], "has_more": False}, 4900),
        ({"data": [a_refund(amount=1000)], "has_more": True}, 4900),
        ({}, 4900),
    ],
)
def test_the_refunds_that_are_told_along_tell_how_they_are_counted(refunds, total):
    charge = a_charge(amount_captured=9000, amount_refunded=4900, refunds=refunds)
    assert event_of("charge.refunded", charge).total == total


def a_lone_refund(**more):
    return a_refund(**{"destination_details": None, "reason": None, "metadata": {}} | more)


@pytest.mark.parametrize(
    ("refund", "event", "is_doubtful"),
    [
        (a_lone_refund(), {"api_version": ACACIA}, True),
        (a_lone_refund(), {"api_version": CLOVER}, False),
        (a_lone_refund(status="pending"), {"api_version": ACACIA}, False),
        (a_lone_refund(metadata={"rma": "7"}), {"api_version": ACACIA}, False),
        (
            a_lone_refund(destination_details={"card": {"type": "refund"}, "type": "card"}),
            {"api_version": ACACIA},
            False,
        ),
        (a_lone_refund(destination_details={"card": {"type": "reversal"}}), {"api_version": ACACIA}, True),
        (
            a_lone_refund(),
            {
                "api_version": ACACIA,
                "data": {"object": a_lone_refund(), "previous_attributes": {"status": "pending"}},
            },
            False,
        ),
    ],
)
def test_a_refund_of_an_old_version_may_tell_only_of_an_authorization_that_was_let_go(refund, event, is_doubtful):
    made = event_of("refund.updated", refund, **event)
    assert made.may_be_release is is_doubtful
    asked = Query(about="payment", payment_ref="pi_1")
    assert questions_of("refund.updated", refund, **event) == ((asked,) if is_doubtful else ())


def test_a_refund_in_doubt_of_a_charge_without_an_intent_is_asked_about_by_its_charge():
    told = {"api_version": ACACIA}
    assert questions_of("refund.created", a_lone_refund(payment_intent=None), **told) == (
        Query(about="payment", payment_ref=a_refund()["charge"]),
    )
    assert questions_of("refund.created", a_lone_refund(payment_intent=None, charge=None), **told) == ()
    assert questions_of("refund.created", a_lone_refund(), a_gateway(), **told) == ()  # nothing can be asked


def test_an_intent_tells_what_was_let_go():
    succeeded = event_of("payment_intent.succeeded", an_intent(amount_received=9000))
    assert (succeeded.amount, succeeded.released) == (9000, 3900)
    assert event_of("payment_intent.succeeded", an_intent()).released is None
    assert event_of("payment_intent.canceled", an_intent(amount_received=0)).released == 12900
    assert event_of("charge.captured", a_charge(amount_captured=9000)).released == 3900
    assert event_of("charge.expired", a_charge(captured=False, amount_captured=0)).released == 12900


# Captured in parts, tipped, discounted, reversed.


def test_what_was_taken_while_more_is_held_counts():
    held = an_intent(amount_capturable=9000, amount_received=3900)
    events = events_of("payment_intent.amount_capturable_updated", held, id="evt_7")
    assert [(it.event_id, it.kind, it.amount) for it in events] == [
        ("evt_7", "payment.authorized", 12900),
        ("evt_7:payment.succeeded", "payment.succeeded", 3900),
    ]


def test_a_charge_of_which_a_further_part_was_captured_says_so():
    charge = a_charge(amount_captured=9000)
    data = {"object": charge, "previous_attributes": {"amount_captured": 4000}}
    event = event_of("charge.updated", charge, data=data)
    assert (event.kind, event.amount) == ("payment.succeeded", 9000)
    assert events_of("charge.updated", charge, data=data | {"previous_attributes": {"description": "x"}}) == ()
    assert events_of("charge.updated", charge) == ()


@pytest.mark.parametrize("turn", [1, -1])
def test_a_tip_in_a_charge_is_the_one_that_its_intent_tells_of(turn):
    """Without a key nobody can be asked, and the charge tells both in one amount."""
    told = [
        event_of("payment_intent.succeeded", an_intent(amount_details={"tip": {"amount": 900}}), id="evt_1"),
        event_of("charge.succeeded", a_charge(), id="evt_2"),
    ]
    order = Order(order_ref="ORDER-1", amount=12000, currency="USD", accounts=frozenset({"stripe-main"}))
    assert summarize(order, facts_after(told[::turn])).captured == 12000


@pytest.mark.parametrize(
    ("tip", "amount", "on_top"),
    [({"amount": 900}, 12000, 900), ({"amount": 0}, 12900, None), ({}, 12900, None), ({"amount": 99999}, 0, 12900)],
)
def test_a_tip_is_not_the_orders(tip, amount, on_top):
    event = event_of("payment_intent.succeeded", an_intent(amount_details={"tip": tip}))
    assert (event.amount, event.on_top) == (amount, on_top)


IN_PERSON = {"payment_method_details": {"type": "card_present", "card_present": {"brand": "visa"}}}


@pytest.mark.parametrize("event_type", ["charge.succeeded", "charge.captured"])
def test_a_charge_in_person_hides_a_tip_so_its_intent_is_asked_about(event_type):
    asked = Query(about="payment", payment_ref="pi_1")
    assert events_of(event_type, a_charge(**IN_PERSON), asking()) == ()
    assert questions_of(event_type, a_charge(**IN_PERSON)) == (asked,)
    assert event_of(event_type, a_charge(**IN_PERSON)).amount == 12900  # where nobody can be asked
    assert event_of(event_type, a_charge(payment_intent=None, **IN_PERSON), asking()).amount == 12900
    assert questions_of(event_type, a_charge()) == ()
    assert questions_of("charge.refunded", a_charge(amount_refunded=1, **IN_PERSON)) == ()


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"amount_total": 10000, "total_details": {"amount_discount": 2900}}, [(10000, 2900)]),
        ({"total_details": {"amount_discount": 0}}, [(12900, None)]),
        (
            {"amount_total": 0, "payment_status": "no_payment_required", "total_details": {"amount_discount": 12900}},
            [(0, 12900)],
        ),
        ({"amount_total": 0, "payment_status": "no_payment_required"}, [(0, None)]),
        ({"payment_status": "no_payment_required"}, []),  # a trial: due later, and not paid
    ],
)
def test_what_a_coupon_took_off_is_told_along(more, told):
    events = events_of("checkout.session.completed", a_session(**more))
    assert [(it.amount, it.discount) for it in events] == told
    pending = a_session(payment_status="unpaid", total_details={"amount_discount": 2900})
    assert event_of("checkout.session.completed", pending).discount is None


def test_a_bank_debit_that_fails_once_it_was_credited_takes_its_success_back():
    failed = a_charge(status="failed", failure_balance_transaction="txn_back", failure_code="insufficient_funds")
    events = events_of("charge.failed", failed, id="evt_7")
    assert [(it.event_id, it.kind) for it in events] == [
        ("evt_7", "payment.failed"),
        ("evt_7:payment.reversed", "payment.reversed"),
    ]


# Words outside our lists.


@pytest.mark.parametrize(
    ("event_type", "subject", "word", "kinds"),
    [
        ("checkout.session.completed", a_session(payment_status="half"), ("payment_status", "half"), []),
        ("refund.updated", a_refund(status="half"), ("refund.status", "half"), []),
        ("refund.updated", a_refund(status=None), ("refund.status", "None"), []),
        ("charge.dispute.closed", a_dispute(status="half"), ("dispute.status", "half"), []),
        ("payment_intent.succeeded", an_intent(currency="xxx"), ("currency", "XXX"), []),
        (
            "payment_intent.canceled",
            an_intent(cancellation_reason="whim"),
            ("cancellation_reason", "whim"),
            ["payment.cancelled"],
        ),
    ],
)
def test_an_unknown_word_is_noted_and_never_a_refusal(event_type, subject, word, kinds):
    with unknown_words() as words:
        assert [it.kind for it in events_of(event_type, subject)] == kinds
    assert [(it.field, it.word) for it in words] == [word]


# Thin events.


def a_thin_event(event_type, related, **more):
    return {
        "id": "evt_test_65Thin",
        "object": "v2.core.event",
        "type": event_type,
        "created": "2026-10-05T11:59:58.123Z",
        "livemode": False,
        "context": None,
        "related_object": related,
    } | more


def fetched(thin, gateway=None):
    gateway = gateway or asking()
    verified = gateway.verify(request_of(stripe_signed(SECRET, NOW, json.dumps(thin).encode())), NOW)
    assert gateway.parse(verified) == ()
    return gateway.queries_for(verified)


def related(sort, ref):
    return {"id": ref, "type": sort, "url": f"/v1/{sort}s/{ref}"}


@pytest.mark.parametrize(
    ("event_type", "sort", "ref", "query"),
    [
        ("v1.payment_intent.succeeded", "payment_intent", "pi_1", {"payment_ref": "pi_1"}),
        ("v1.charge.refunded", "charge", "ch_1", {"payment_ref": "ch_1"}),
        ("v1.checkout.session.completed", "checkout.session", "cs_1", {"payment_ref": "cs_1"}),
        ("v1.charge.dispute.created", "dispute", "du_1", {"payment_ref": "du_1"}),
        ("v1.refund.created", "refund", "re_1", {"about": "refund", "refund_ref": "re_1"}),
    ],
)
def test_a_thin_event_has_its_object_asked_about(event_type, sort, ref, query):
    thin = a_thin_event(event_type, related(sort, ref))
    notification = stripe.StripeClient("sk_test_x").parse_event_notification(*officially_signed(thin))
    assert notification.related_object.id == ref
    assert fetched(thin) == (Query(**{"about": "payment"} | query),)


def officially_signed(thin):
    body = json.dumps(thin)
    return body, stripe.WebhookSignature.generate_signature_header(body, SECRET, UNIX), SECRET, 10**10


def test_a_thin_event_about_what_never_was_made_is_itself_asked_about():
    thin = a_thin_event("v2.core.health.event_generation_failure.resolved", None)
    assert fetched(thin) == (Query(about="payment", payment_ref="evt_test_65Thin"),)


@pytest.mark.parametrize(
    ("event_type", "about"),
    [
        ("v2.core.event_destination.ping", related("event_destination", "ed_1")),
        ("v1.customer.created", related("customer", "cus_1")),
        ("v1.payment_intent.created", related("payment_intent", "pi_1")),
        ("v1.payment_intent.succeeded", related("something", "x_1")),
        ("v1.payment_intent.succeeded", None),
    ],
)
def test_a_thin_event_of_no_interest_asks_nothing(event_type, about):
    assert fetched(a_thin_event(event_type, about)) == ()


def test_a_thin_event_of_the_other_mode_is_refused():
    with pytest.raises(BadPayload, match="livemode"):
        fetched(a_thin_event("v1.payment_intent.succeeded", related("payment_intent", "pi_1"), livemode=True))


def test_a_thin_event_names_its_payment_to_whoever_cannot_verify_it():
    thin = a_thin_event("v1.payment_intent.succeeded", related("payment_intent", "pi_1"))
    assert a_gateway().claimed_references(request_of(({}, json.dumps(thin).encode()))) == ClaimedReferences(
        payment_ref="pi_1"
    )


@pytest.mark.parametrize("event_type", [name for name in TYPES if name.startswith("charge.dispute.")])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("warning_needs_response", "dispute.opened"),
        ("warning_under_review", "dispute.opened"),
        ("needs_response", "dispute.opened"),
        ("under_review", "dispute.opened"),
        ("appeal_needs_response", "dispute.opened"),
        ("appeal_under_review", "dispute.opened"),
        ("warning_closed", "dispute.won"),
        ("prevented", "dispute.won"),
        ("charge_refunded", "dispute.won"),
        ("won", "dispute.won"),
        ("lost", "dispute.lost"),
    ],
)
def test_what_happens_to_a_dispute_is_told_by_its_status(event_type, status, kind):
    event = event_of(event_type, a_dispute(status=status))
    assert (event.kind, event.dispute_ref, event.payment_ref) == (kind, "du_1", "pi_1")
    assert (event.amount, event.currency) == (12900, "USD")


@pytest.mark.parametrize(
    "event_type",
    [
        "payment_intent.requires_action",
        "payment_intent.created",
        "customer.created",
        "invoice.paid",
        "something.new",
    ],
)
def test_a_type_of_no_interest_is_answered_and_changes_nothing(event_type):
    assert events_of(event_type, an_intent()) == ()
    assert events_of(event_type, {"id": "x"}) == ()


@pytest.mark.parametrize("event_type", [name for name in TYPES if name.startswith("checkout.session.")])
def test_a_session_that_only_saves_a_card_is_no_payment(event_type):
    setup = a_session(mode="setup", payment_intent=None, amount_total=None, payment_status="no_payment_required")
    assert events_of(event_type, setup) == ()


def test_a_dispute_that_takes_the_money_along_is_still_one_dispute_and_no_refund():
    words = ("created", "funds_withdrawn", "updated")
    told = [event_of(f"charge.dispute.{word}", a_dispute(), id=f"evt_{word}") for word in words]
    facts = facts_after([event_of("payment_intent.succeeded", an_intent()), *told])
    order = Order(order_ref="ORDER-1", amount=12900, currency="USD", accounts=frozenset({"stripe-main"}))
    assert len(facts.disputes) == 1
    assert (summarize(order, facts).status, summarize(order, facts).refunded) == ("paid", 0)


@pytest.mark.parametrize(
    ("event_type", "subject"),
    [
        ("charge.succeeded", a_charge(captured="yes")),
        ("charge.succeeded", a_charge(captured=0)),
        ("charge.succeeded", a_charge(captured=1)),
        ("charge.refunded", a_charge(captured=0, amount_refunded=12900)),
        ("payment_intent.succeeded", an_intent(amount_received="100")),
        ("payment_intent.succeeded", an_intent(amount_received=True)),
        ("payment_intent.succeeded", an_intent(amount_received=-1)),
        ("payment_intent.succeeded", an_intent(amount_received=10**16)),
        ("payment_intent.succeeded", an_intent(amount_received=None)),
        ("payment_intent.succeeded", an_intent(currency="")),
        ("payment_intent.succeeded", an_intent(metadata={"order_id": 7})),
        ("payment_intent.succeeded", an_intent(metadata={"order_id": "x" * 256})),
        ("payment_intent.succeeded", an_intent(id=None)),
        ("payment_intent.succeeded", []),
        ("payment_intent.succeeded", None),
    ],
)
def test_an_object_that_makes_no_sense_is_refused(event_type, subject):
    gateway = a_gateway()
    body = stripe_body(NOW, event_type, {"id": "x"}, data={"object": subject})
    verified = gateway.verify(request_of(stripe_signed(SECRET, NOW, body)), NOW)
    with pytest.raises(BadPayload):
        gateway.parse(verified)


# References.


def test_a_session_without_an_intent_is_known_by_its_own_id():
    assert event_of("checkout.session.completed", a_session(payment_intent=None)).payment_ref == "cs_1"


def test_a_charge_without_an_intent_is_known_by_its_own_id():
    assert event_of("charge.succeeded", a_charge(payment_intent=None)).payment_ref == "ch_1"
    assert event_of("charge.refunded", a_charge(payment_intent=None, amount_refunded=1)).payment_ref == "ch_1"
    assert event_of("charge.dispute.created", a_dispute(payment_intent=None)).payment_ref == "ch_1"
    refund = a_refund(payment_intent=None, charge="ch_1")
    assert event_of("refund.created", refund).payment_ref == "ch_1"


def test_a_refund_of_neither_is_known_by_itself():
    event = event_of("refund.created", a_refund(payment_intent=None, charge=None))
    assert (event.payment_ref, event.refund_ref, event.order_ref) == (None, "re_1", None)


def test_metadata_names_the_order_before_the_client_reference():
    both = a_session(metadata={"order_id": "FROM-METADATA"}, client_reference_id="FROM-CLIENT")
    assert event_of("checkout.session.completed", both).order_ref == "FROM-METADATA"


def test_a_path_of_ones_own_is_the_only_one_looked_at():
    gateway = a_gateway(order_ref_path="metadata.shop.ref")
    nested = an_intent(metadata={"order_id": "NOT-THIS", "shop": {"ref": "MINE"}})
    assert event_of("payment_intent.succeeded", nested, gateway).order_ref == "MINE"
    gateway = a_gateway(order_ref_path="metadata.ref")
    assert event_of("payment_intent.succeeded", an_intent(), gateway).order_ref is None


# Amounts.


@pytest.mark.parametrize(
    ("currency", "sent", "minor"),
    [
        ("jpy", 500, 500),
        ("krw", 500, 500),
        ("usd", 500, 500),
        ("kwd", 5000, 5000),
        ("isk", 50000, 500),
        ("ugx", 50000, 500),
        ("mga", 500, 50000),
        ("huf", 50000, 50000),
        ("usd", 0, 0),
    ],
)
def test_amounts_come_in_the_units_of_stripe(currency, sent, minor):
    event = event_of("payment_intent.succeeded", an_intent(amount_received=sent, currency=currency))
    assert (event.amount, event.currency) == (minor, currency.upper())


@pytest.mark.parametrize("currency", ["isk", "ugx"])
def test_a_fraction_that_a_currency_does_not_have_is_refused(currency):
    with pytest.raises(BadPayload, match="fraction"):
        events_of("payment_intent.succeeded", an_intent(amount_received=50001, currency=currency))


# Failures.


@pytest.mark.parametrize(("code", "failure"), FAILURES.items())
def test_a_decline_code_has_its_class(code, failure):
    event = event_of("payment_intent.payment_failed", an_intent(last_payment_error={"decline_code": code}))
    assert (event.failure, event.failure_code) == (failure, code)


@pytest.mark.parametrize(
    ("error", "failure", "code"),
    [
        ({"code": "card_declined", "decline_code": "insufficient_funds"}, "insufficient_funds", "insufficient_funds"),
        ({"code": "expired_card", "decline_code": "new_word"}, "card_expired_or_invalid", "expired_card"),
        ({"code": "expired_card"}, "card_expired_or_invalid", "expired_card"),
        ({"code": "card_declined", "decline_code": "new_word"}, "unknown", "new_word"),
        ({"code": "card_declined"}, "unknown", "card_declined"),
        ({"code": "expired_card", "decline_code": "do_not_honor"}, "unknown", "do_not_honor"),
        ({}, "unknown", None),
        (None, "unknown", None),
    ],
)
def test_the_decline_code_speaks_before_the_code(error, failure, code):
    event = event_of("payment_intent.payment_failed", an_intent(last_payment_error=error))
    assert (event.failure, event.failure_code) == (failure, code)


@pytest.mark.parametrize(
    ("reason", "failure"),
    [
        ("requested_by_customer", "user_cancelled"),
        ("abandoned", "expired_unpaid"),
        ("automatic", "expired_unpaid"),
        ("expired", "expired_unpaid"),
        ("fraudulent", "suspected_fraud"),
        ("duplicate", "unknown"),
        ("failed_invoice", "unknown"),
        ("void_invoice", "unknown"),
        (None, "unknown"),
    ],
)
def test_a_cancellation_says_why(reason, failure):
    event = event_of("payment_intent.canceled", an_intent(cancellation_reason=reason))
    assert (event.failure, event.failure_code) == (failure, reason)


def test_a_failed_charge_says_why_by_its_outcome_and_then_by_its_code():
    declined = a_charge(outcome={"reason": "stolen_card"}, failure_code="card_declined")
    assert event_of("charge.failed", declined).failure is FailureClass.ACCOUNT_FROZEN
    plain = a_charge(outcome=None, failure_code="expired_card")
    assert event_of("charge.failed", plain).failure is FailureClass.CARD_EXPIRED_OR_INVALID


@pytest.mark.parametrize(
    ("reason", "failure"),
    [
        ("expired_or_canceled_card", "card_expired_or_invalid"),
        ("lost_or_stolen_card", "account_frozen"),
        ("insufficient_funds", "insufficient_funds"),
        ("declined", "unknown"),
        (None, "unknown"),
    ],
)
def test_a_failed_refund_says_why(reason, failure):
    event = event_of("refund.failed", a_refund(status="failed", failure_reason=reason))
    assert (event.failure, event.failure_code) == (failure, reason)


# Mode.


@pytest.mark.parametrize("prefix", ["sk", "rk"])
@pytest.mark.parametrize(("mode", "livemode"), [("live", True), ("test", False)])
def test_the_api_key_tells_the_mode_and_the_other_is_refused(prefix, mode, livemode):
    gateway = a_gateway(api_key=f"{prefix}_{mode}_51abcdef")
    assert events_of("payment_intent.succeeded", an_intent(), gateway, livemode=livemode)
    for wrong in (not livemode, None, 0, 1, "true"):
        with pytest.raises(BadPayload, match="livemode"):
            events_of("payment_intent.succeeded", an_intent(), gateway, livemode=wrong)


@pytest.mark.parametrize("settings", [{}, {"api_key": "something else"}])
def test_without_a_telling_key_both_modes_are_taken(settings):
    for livemode in (True, False):
        assert events_of("payment_intent.succeeded", an_intent(), a_gateway(**settings), livemode=livemode)


def test_an_organizations_key_tells_the_mode():
    assert a_gateway(api_key="sk_org_live_51abcdef").live is True
    assert a_gateway(api_key="sk_org_test_51abcdef").live is False


# Organizations.


@pytest.mark.parametrize(
    ("settings", "event", "is_ours"),
    [
        ({}, {"context": None}, True),
        ({"account_id": "acct_1OURS"}, {}, True),
        ({"account_id": "acct_1OURS"}, {"context": "acct_1OURS"}, True),
        ({"account_id": "acct_1OURS"}, {"context": "acct_2"}, False),
        ({"account_id": "acct_1OURS"}, {"context": "acct_1OURS/acct_2", "account": "acct_2"}, False),
        ({}, {"context": "acct_1/acct_2"}, False),
        ({"connected_account": "acct_2"}, {"context": "acct_2"}, True),
        ({"connected_account": "acct_2"}, {"context": "acct_2", "account": "acct_2"}, True),
        ({"connected_account": "acct_2"}, {"context": "acct_1/acct_2", "account": "acct_2"}, True),
        ({"connected_account": "acct_2"}, {"context": "acct_2", "account": "acct_3"}, False),
        ({"connected_account": "acct_2"}, {"context": "acct_3"}, False),
        ({"connected_account": "acct_2"}, {}, False),
        ({"connected_account": "acct_2", "account_id": "acct_1"}, {"context": "acct_1/acct_2"}, True),
        ({"connected_account": "acct_2", "account_id": "acct_1"}, {"context": "acct_3/acct_2"}, False),
    ],
)
def test_an_event_of_another_account_of_the_organization_pays_nothing(settings, event, is_ours):
    gateway = asking(**settings)
    assert len(events_of("payment_intent.succeeded", an_intent(), gateway, **event)) == is_ours
    assert questions_of("payment_intent.succeeded", an_intent(), gateway, **event) == ()
    thin = a_thin_event("v1.payment_intent.succeeded", related("payment_intent", "pi_1"))
    assert len(fetched(thin | event, gateway)) == is_ours


def test_where_nobody_said_which_account_is_ours_stripe_is_asked_with_our_key():
    asked = Query(about="payment", payment_ref="pi_1")
    told = {"context": "acct_1PERHAPS"}
    assert events_of("payment_intent.succeeded", an_intent(), asking(), **told) == ()
    assert questions_of("payment_intent.succeeded", an_intent(), **told) == (asked,)
    assert questions_of("customer.created", {"id": "cus_1", "object": "customer"}, **told) == ()
    with pytest.raises(BadPayload, match="account_id"):
        events_of("payment_intent.succeeded", an_intent(), a_gateway(), **told)


# Connect.


def test_what_a_connected_account_did_pays_no_order_of_the_platforms():
    assert events_of("payment_intent.succeeded", an_intent(), account="acct_SOMEBODYELSE") == ()
    assert events_of("payment_intent.succeeded", an_intent(), account=None)


def test_the_connected_account_that_is_named_is_the_only_one_that_counts():
    gateway = a_gateway(connected_account="acct_1OURS")
    assert events_of("payment_intent.succeeded", an_intent(), gateway, account="acct_1OURS")
    for other in ("acct_1OUR", "acct_1ours", None):
        assert events_of("payment_intent.succeeded", an_intent(), gateway, account=other) == ()


def test_an_account_that_is_no_text_is_refused():
    with pytest.raises(BadPayload, match="account"):
        events_of("payment_intent.succeeded", an_intent(), account=["acct_1OURS"])


# Time and id.


def test_time_is_the_events_own_in_whole_seconds():
    created = datetime(2026, 10, 3, 1, 2, 3, tzinfo=UTC)
    event = event_of("payment_intent.succeeded", an_intent(), created=int(created.timestamp()))
    assert event.occurred_at == created


@pytest.mark.parametrize("created", [-1, 10**12, 1.5, "1790000000", None, True])
def test_a_time_that_is_none_is_refused(created):
    with pytest.raises(BadPayload):
        events_of("payment_intent.succeeded", an_intent(), created=created)


def test_a_redelivery_makes_the_same_event():
    first = event_of("payment_intent.succeeded", an_intent(), pending_webhooks=2)
    assert event_of("payment_intent.succeeded", an_intent(), pending_webhooks=1) == first


# Settings.


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"webhook_secrets": []}, "at least 1"),
        ({"webhook_secrets": [""]}, "empty"),
        ({"webhook_secrets": [" " * 20]}, "empty"),
        ({"webhook_secrets": ["whsec_1"]}, "shorter than 8"),
        ({"webhook_secrets": [SECRET + "\n"]}, "white space"),
        ({"webhook_secrets": [SECRET] * 6}, "at most 5"),
        ({"webhook_secrets": SECRET}, "webhook_secrets"),
        ({"webhook_secret": SECRET}, "webhook_secret"),
        ({"api_key": ""}, "empty"),
        ({"order_ref_path": ""}, "order_ref_path"),
        ({"connected_account": "1OURS"}, "connected_account"),
        ({"account_id": "1OURS"}, "account_id"),
        ({"connected_account": "acct_1OURS\n"}, "connected_account"),
        ({"api_base": "ftp://api.stripe.com"}, "https://"),
        ({"gateway": "alipay"}, "stripe"),
    ],
)
def test_settings_that_could_not_work_say_why_and_never_show_the_secret(settings, says):
    with pytest.raises(ValidationError, match=says) as caught:
        a_gateway(**settings)
    assert SECRET not in str(caught.value)


def test_an_api_base_may_be_a_sandbox():
    settings = StripeSettings(gateway="stripe", webhook_secrets=(SECRET,), api_base="http://127.0.0.1:8090/")
    assert settings.api_base == "http://127.0.0.1:8090"


def test_every_status_of_the_tables_is_tested_here():
    assert len(REFUND_STATUSES) == 5
    assert len(DISPUTE_STATUSES) == 11
    assert {row[0] for row in STATES} == {
        name for name in TYPES if "refund" not in name and "dispute" not in name and name != "charge.updated"
    }


def test_answers_are_short_and_without_detail():
    assert (a_gateway().acknowledge().status, a_gateway().acknowledge().body) == (200, b"")
    assert a_gateway().refuse(401).body == b"refused"


def named(event_type, subject):
    return a_gateway().claimed_references(request_of(stripe_delivery("whsec_of_nobody", NOW, event_type, subject)))


@pytest.mark.parametrize(
    ("event_type", "subject", "order_ref", "payment_ref"),
    [
        ("payment_intent.succeeded", an_intent(), "ORDER-1", "pi_1"),
        ("checkout.session.completed", a_session(), "ORDER-1", "pi_1"),
        ("checkout.session.completed", a_session(payment_intent=None), "ORDER-1", "cs_1"),
        ("charge.failed", a_charge(payment_intent=None, metadata={}), None, "ch_1"),
        ("refund.updated", a_refund(), None, "pi_1"),
        ("payment_intent.succeeded", an_intent() | {"id": "../etc", "metadata": {"order_id": "a b"}}, None, None),
    ],
)
def test_an_unproven_delivery_names_a_payment_and_an_order(event_type, subject, order_ref, payment_ref):
    found = named(event_type, subject)
    assert (found and found.order_ref, found and found.payment_ref) == (order_ref, payment_ref)
