"""Mollie for the conformance suite: a next-gen event with its payment, as the stricter of the two; classic calls, which
prove nothing, are held by test_mollie.py."""

import json

from specimen import NOW, Asked, Keys, Layer, Specimen, request_of, response_of, with_header

from tillkeeper.gateways.messages import Query
from tillkeeper.gateways.mollie.gateway import Mollie
from tillkeeper.gateways.mollie.settings import MollieSettings
from tillkeeper.sandbox.simulators.mollie.objects import mollie_chargeback, mollie_payment, mollie_refund, money
from tillkeeper.sandbox.simulators.mollie.signing import mollie_event, mollie_signed

SECRET = "signing_secret_of_conformance"
SETTINGS = {"gateway": "mollie", "api_key": "test_conformance", "signing_secrets": [SECRET]}
DATE = "Mon, 05 Oct 2026 12:00:00 GMT"
REFUND = mollie_refund("re_3conform", "tr_3conform", 400, "EUR")
BODY = mollie_event(NOW, "payment.paid", mollie_payment("tr_3conform", 12900, "EUR", "ORDER-1"))
WITH_ALL = mollie_payment(
    "tr_3conform",
    12900,
    "EUR",
    "ORDER-1",
    amountRefunded=money(400, "EUR"),
    _embedded={"refunds": [REFUND], "chargebacks": [mollie_chargeback("chb_3conform", "tr_3conform", 300, "EUR")]},
)


def asked(query, answer):
    def seal(body):
        return response_of(({"Content-Type": "application/hal+json", "Date": DATE}, body))

    return Asked(query=query, plain=json.dumps(answer).encode(), seal=seal, foreign=None)


def specimen(keys: Keys) -> Specimen:
    def seal(body, *, secret=SECRET):
        return request_of(mollie_signed(secret, body))

    refund = Query(about="refund", order_ref="ORDER-1", payment_ref="tr_3conform", refund_ref="re_3conform")
    return Specimen(
        settings=SETTINGS,
        gateway=Mollie("mollie-main", MollieSettings.model_validate(SETTINGS)),
        valid=seal(BODY),
        foreign=seal(BODY, secret="the_secret_of_somebody_else"),
        with_signature=lambda request, signatures: with_header(request, "x-mollie-signature", signatures),
        layers={"body": Layer(plain=BODY, seal=seal)},
        at=None,
        hints=True,
        asked={
            "payment": asked(Query(about="payment", order_ref="ORDER-1", payment_ref="tr_3conform"), WITH_ALL),
            "refund": asked(refund, REFUND),
        },
    )
