"""What the tests of Stripe make: an account, objects, and the events of a delivery of theirs."""

import stripe
from specimen import NOW, request_of

from tillkeeper.gateways.messages import Request
from tillkeeper.gateways.stripe.gateway import Stripe
from tillkeeper.gateways.stripe.settings import StripeSettings
from tillkeeper.sandbox.simulators.stripe.objects import (
    stripe_charge,
    stripe_payment_intent,
    stripe_refund,
    stripe_session,
)
from tillkeeper.sandbox.simulators.stripe.signing import stripe_delivery

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


def with_api_key(**settings):
    return a_gateway(api_key="sk_test_51abcdef", **settings)


def queries_of(event_type, subject, gateway=None, **event):
    gateway = gateway or with_api_key()
    request = request_of(stripe_delivery(SECRET, NOW, event_type, subject, **event))
    return gateway.queries_for(gateway.verify(request, NOW))


def signed_by_stripe(body, *, now=NOW, secret=SECRET):
    header = stripe.WebhookSignature.generate_signature_header(body.decode(), secret, int(now.timestamp()))
    return Request(headers={"stripe-signature": [header]}, body=body)
