"""Paystack for the conformance suite."""

import json

from specimen import NOW, Asked, Keys, Layer, Specimen, request_of, response_of, with_header

from tillkeeper.gateways.messages import Query
from tillkeeper.gateways.paystack.gateway import Paystack
from tillkeeper.gateways.paystack.settings import PaystackSettings
from tillkeeper.sandbox.simulators.paystack.objects import paystack_refund, paystack_transaction
from tillkeeper.sandbox.simulators.paystack.signing import paystack_body, paystack_signed

SECRET = "sk_test_conformance_of_the_till"
SETTINGS = {"gateway": "paystack", "secret_keys": [SECRET]}
TRANSACTION = paystack_transaction("ORDER-1", 12900, "NGN", NOW, metadata={"order_id": "ORDER-1"})
BODY = paystack_body("charge.success", TRANSACTION)


def asked(query, data):
    def seal(body):
        return response_of(({"Content-Type": "application/json", "Date": "Mon, 05 Oct 2026 12:00:00 GMT"}, body))

    plain = json.dumps({"status": True, "message": "Retrieved", "data": data}).encode()
    return Asked(query=query, plain=plain, seal=seal, foreign=None)


def specimen(keys: Keys) -> Specimen:
    def seal(body, *, secret=SECRET):
        return request_of(paystack_signed(secret, body))

    refund = paystack_refund("9000001", "ORDER-1", 400, "NGN", id=9000001)
    return Specimen(
        settings=SETTINGS,
        gateway=Paystack("paystack-main", PaystackSettings.model_validate(SETTINGS)),
        valid=seal(BODY),
        foreign=seal(BODY, secret="sk_test_of_somebody_else"),
        with_signature=lambda request, signatures: with_header(request, "x-paystack-signature", signatures),
        layers={"body": Layer(plain=BODY, seal=seal)},
        at=None,
        asked={
            "payment": asked(Query(about="payment", order_ref="ORDER-1", payment_ref="ORDER-1"), TRANSACTION),
            "order": asked(Query(about="payment", order_ref="ORDER-1"), TRANSACTION | {"status": "reversed"}),
            "refund": asked(Query(about="refund", order_ref="ORDER-1", refund_ref="9000001"), refund),
        },
        deciding=frozenset({"event"}),
    )
