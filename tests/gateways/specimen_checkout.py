"""Checkout.com for the conformance suite."""

import json

from specimen import NOW, Asked, Keys, Layer, Specimen, request_of, response_of, with_header

from tillkeeper.gateways.checkout.gateway import Checkout
from tillkeeper.gateways.checkout.settings import CheckoutSettings
from tillkeeper.gateways.messages import Query
from tillkeeper.sandbox.simulators.checkout.objects import checkout_action, checkout_payment
from tillkeeper.sandbox.simulators.checkout.signing import checkout_body, checkout_signed

KEY = "checkout_conformance_of_the_till"
SETTINGS = {"gateway": "checkout", "signature_keys": [KEY], "secret_key": "sk_sbox_conformance"}
CAPTURE = checkout_action("act_3capture", "pay_3conform", 12900, "EUR", order_ref="ORDER-1", at=NOW)
BODY = checkout_body("payment_captured", CAPTURE, event_id="evt_3conform", at=NOW)
REFUND = {
    "id": "act_3refund",
    "type": "Refund",
    "processed_on": "2026-10-05T11:59:59.1234567Z",
    "amount": 400,
    "currency": "EUR",
    "approved": True,
    "response_code": "10000",
}
PAYMENT = checkout_payment(
    "pay_3conform",
    12900,
    "EUR",
    "ORDER-1",
    actions=[{"id": "act_3capture", "type": "Capture", "response_code": "10000"}],
    balances={"total_authorized": 12900, "total_captured": 12900, "total_refunded": 400},
)


def asked(query, answer):
    def seal(body):
        return response_of(({"Content-Type": "application/json", "Date": "Mon, 05 Oct 2026 12:00:00 GMT"}, body))

    return Asked(query=query, plain=json.dumps(answer).encode(), seal=seal, foreign=None)


def specimen(keys: Keys) -> Specimen:
    def seal(body, *, key=KEY):
        return request_of(checkout_signed(key, body))

    refund = Query(about="refund", order_ref="ORDER-1", payment_ref="pay_3conform", refund_ref="act_3refund")
    return Specimen(
        settings=SETTINGS,
        gateway=Checkout("checkout-main", CheckoutSettings.model_validate(SETTINGS)),
        valid=seal(BODY),
        foreign=seal(BODY, key="of_somebody_else"),
        with_signature=lambda request, signatures: with_header(request, "cko-signature", signatures),
        layers={"body": Layer(plain=BODY, seal=seal)},
        at=None,
        asked={
            "payment": asked(Query(about="payment", order_ref="ORDER-1", payment_ref="pay_3conform"), PAYMENT),
            "order": asked(Query(about="payment", order_ref="ORDER-1"), {"total_count": 1, "data": [PAYMENT]}),
            "refund": asked(refund, {"items": [REFUND]}),  # the suite wants an object; test_checkout has the bare list
        },
    )
