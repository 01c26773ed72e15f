"""Stripe for the conformance suite."""

import json

from specimen import NOW, Asked, Keys, Layer, Specimen, request_of, response_of, with_header

from tillkeeper.gateways.messages import Query
from tillkeeper.gateways.stripe.gateway import Stripe
from tillkeeper.gateways.stripe.settings import StripeSettings
from tillkeeper.sandbox.simulators.stripe.objects import stripe_charge, stripe_payment_intent, stripe_refund
from tillkeeper.sandbox.simulators.stripe.signing import stripe_body, stripe_signed

SECRET = "whsec_conformance_of_the_till"
SETTINGS = {"gateway": "stripe", "webhook_secrets": [SECRET], "api_key": "sk_test_51conformance"}
BODY = stripe_body(NOW, "payment_intent.succeeded", stripe_payment_intent("pi_3conform", 12900, "cny", "ORDER-1"))
DATE = "Mon, 05 Oct 2026 12:00:00 GMT"
REFUND = stripe_refund("re_3conform", "pi_3conform", 400, "cny")
CHARGE = stripe_charge("ch_3conform", "pi_3conform", 12900, "cny", amount_refunded=400, refunds={"data": [REFUND]})
INTENT = stripe_payment_intent("pi_3conform", 12900, "cny", "ORDER-1", latest_charge=CHARGE)


def asked(query, answer):
    def seal(body):
        return response_of(({"Content-Type": "application/json", "Date": DATE}, body))

    return Asked(query=query, plain=json.dumps(answer, indent=2).encode(), seal=seal, foreign=None)


def specimen(keys: Keys) -> Specimen:
    def seal(body, *, secret=SECRET, now=NOW):
        return request_of(stripe_signed(secret, now, body))

    return Specimen(
        settings=SETTINGS,
        gateway=Stripe("stripe-main", StripeSettings.model_validate(SETTINGS)),
        valid=seal(BODY),
        foreign=seal(BODY, secret="whsec_of_somebody_else"),
        with_signature=lambda request, signatures: with_header(request, "stripe-signature", signatures),
        layers={"body": Layer(plain=BODY, seal=seal)},
        at=lambda now: seal(BODY, now=now),
        asked={
            "payment": asked(Query(about="payment", order_ref="ORDER-1", payment_ref="pi_3conform"), INTENT),
            "order": asked(Query(about="payment", order_ref="ORDER-1"), {"object": "search_result", "data": [INTENT]}),
            "refund": asked(Query(about="refund", order_ref="ORDER-1", refund_ref="re_3conform"), REFUND),
        },
    )
