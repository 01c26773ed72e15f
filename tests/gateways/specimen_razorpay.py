"""Razorpay for the conformance suite."""

import json

from specimen import NOW, Asked, Keys, Layer, Specimen, request_of, response_of, with_header

from tillkeeper.gateways.messages import Query
from tillkeeper.gateways.razorpay.gateway import Razorpay
from tillkeeper.gateways.razorpay.settings import RazorpaySettings
from tillkeeper.sandbox.simulators.razorpay.objects import razorpay_order, razorpay_payment, razorpay_refund
from tillkeeper.sandbox.simulators.razorpay.signing import razorpay_body, razorpay_signed

SECRET = "razorpay_conformance_of_the_till"
SETTINGS = {
    "gateway": "razorpay",
    "webhook_secrets": [SECRET],
    "key_id": "rzp_test_conformance",
    "key_secret": "key_secret_of_conformance",
}
PAYMENT = razorpay_payment("pay_3conform", 12900, "INR", "ORDER-1", amount_refunded=400)
ORDER = razorpay_order("ORDER-1", 12900, "INR", payments={"entity": "collection", "count": 1, "items": [PAYMENT]})
REFUND = razorpay_refund("rfnd_3conform", "pay_3conform", 400, "INR")
BODY = razorpay_body("payment.captured", int(NOW.timestamp()), payment=PAYMENT)


def asked(query, answer):
    def seal(body):
        return response_of(({"Content-Type": "application/json", "Date": "Mon, 05 Oct 2026 12:00:00 GMT"}, body))

    return Asked(query=query, plain=json.dumps(answer).encode(), seal=seal, foreign=None)


def specimen(keys: Keys) -> Specimen:
    def seal(body, *, secret=SECRET):
        return request_of(razorpay_signed(secret, body, event_id="EfLZTyVfrCsa01"))

    return Specimen(
        settings=SETTINGS,
        gateway=Razorpay("razorpay-main", RazorpaySettings.model_validate(SETTINGS)),
        valid=seal(BODY),
        foreign=seal(BODY, secret="of_somebody_else"),
        with_signature=lambda request, signatures: with_header(request, "x-razorpay-signature", signatures),
        layers={"body": Layer(plain=BODY, seal=seal)},
        at=None,
        asked={
            "payment": asked(Query(about="payment", order_ref="ORDER-1", payment_ref="pay_3conform"), PAYMENT),
            "order": asked(
                Query(about="payment", order_ref="ORDER-1"),
                {"entity": "collection", "count": 1, "items": [ORDER]},
            ),
            "refund": asked(Query(about="refund", order_ref="ORDER-1", refund_ref="rfnd_3conform"), REFUND),
        },
        deciding=frozenset({"event"}),
    )
