"""Stripe: references, amounts and failures in its objects."""

import pytest
from stripe_factories import (
    a_charge,
    a_dispute,
    a_gateway,
    a_refund,
    a_session,
    an_intent,
    event_of,
    events_of,
)
from stripe_object_factories import STATES

from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.stripe.events import TYPES
from tillkeeper.gateways.stripe.objects import DISPUTE_STATUSES, FAILURES, REFUND_STATUSES

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


def test_every_status_of_the_tables_is_tested_here():
    assert len(REFUND_STATUSES) == 5
    assert len(DISPUTE_STATUSES) == 11
    assert {row[0] for row in STATES} == {
        name for name in TYPES if "refund" not in name and "dispute" not in name and name != "charge.updated"
    }
