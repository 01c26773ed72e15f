"""Stripe for the conformance suite."""

from specimen import NOW, Keys, Layer, Specimen, request_of, with_header

from sandbox.signing import stripe_body, stripe_payment_intent, stripe_signed
from tillkeeper.gateways.stripe import Stripe, StripeSettings

SECRET = "whsec_conformance_of_the_till"
SETTINGS = {"gateway": "stripe", "webhook_secrets": [SECRET], "api_key": "sk_test_51conformance"}
BODY = stripe_body(NOW, "payment_intent.succeeded", stripe_payment_intent("pi_3conform", 12900, "cny", "ORDER-1"))


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
    )
