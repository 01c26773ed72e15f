"""Stripe: settings, times and ids, and what is answered."""

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError
from specimen import NOW, request_of
from stripe_factories import SECRET, a_charge, a_gateway, a_refund, a_session, an_intent, event_of, events_of

from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.stripe.settings import StripeSettings
from tillkeeper.sandbox.simulators.stripe.signing import stripe_delivery

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
