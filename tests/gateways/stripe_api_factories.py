"""Answers of Stripe for tests."""

import json

from specimen import NOW

from tillkeeper.gateways.messages import Query, Response
from tillkeeper.gateways.stripe.gateway import Stripe
from tillkeeper.gateways.stripe.settings import StripeSettings
from tillkeeper.sandbox.simulators.stripe.objects import (
    stripe_payment_intent,
)

KEY = "sk_test_51queries"
DATE = "Mon, 05 Oct 2026 11:59:57 GMT"
PAYMENT = Query(about="payment", order_ref="ORDER-1", payment_ref="pi_1")
SEARCH = Query(about="payment", order_ref="ORDER-1")
REFUND = Query(about="refund", order_ref="ORDER-1", payment_ref="pi_1", refund_ref="re_1")


def a_gateway(**settings):
    base = {"gateway": "stripe", "webhook_secrets": ["whsec_of_queries"], "api_key": KEY}
    return Stripe("stripe-main", StripeSettings.model_validate(base | settings))


def response(content, status=200):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Response(status=status, headers={"date": [DATE]}, body=body)


def answer_to(query, content, *, status=200, gateway=None):
    return (gateway or a_gateway()).read_response(query, response(content, status), now=NOW)


def an_intent(**more):
    return stripe_payment_intent("pi_1", 12900, "usd", "ORDER-1", **more)


def the(answer):
    (event,) = answer.events
    return event


# What is no answer.


def an_error(code, **more):
    return {"error": {"type": "invalid_request_error", "code": code, "message": "No such thing: 'pi_1'"} | more}
