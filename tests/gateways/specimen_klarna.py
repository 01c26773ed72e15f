"""Klarna for the conformance suite: a push, which is an empty body and a query; a notification as its layer.

Nothing is signed, so that all a delivery may do is to have an order asked for.
"""

import json

from specimen import Asked, Keys, Layer, Specimen, request_of, response_of

from tillkeeper.gateways.klarna.gateway import Klarna
from tillkeeper.gateways.klarna.settings import KlarnaSettings
from tillkeeper.gateways.messages import Query
from tillkeeper.sandbox.simulators.klarna.objects import klarna_capture, klarna_order, klarna_refund
from tillkeeper.sandbox.simulators.klarna.signing import klarna_notified, klarna_pushed

REF = "7849fd84-47dc-4919-a7ce-0123456789ab"
SETTINGS = {"gateway": "klarna", "username": "K123456_conformance", "password": "password_of_conformance"}
DATE = "Mon, 05 Oct 2026 12:00:00 GMT"
ORDER = klarna_order(
    REF,
    12900,
    "EUR",
    "ORDER-1",
    status="CAPTURED",
    captured_amount=12900,
    refunded_amount=400,
    captures=[klarna_capture("32904e4c-61d2", 12900)],
    refunds=[klarna_refund("re-1", 400)],
)


def specimen(keys: Keys) -> Specimen:
    headers, notification = klarna_notified(REF, "FRAUD_RISK_ACCEPTED")

    def response(body):
        return response_of(({"Content-Type": "application/json", "Date": DATE}, body))

    return Specimen(
        settings=SETTINGS,
        gateway=Klarna("klarna-main", KlarnaSettings.model_validate(SETTINGS)),
        valid=request_of(klarna_pushed(), query=f"klarna_order_id={REF}"),
        foreign=None,
        with_signature=None,
        layers={"notification": Layer(plain=notification, seal=lambda body: request_of((headers, body)))},
        at=None,
        asked={
            "payment": Asked(
                query=Query(about="payment", order_ref="ORDER-1", payment_ref=REF),
                plain=json.dumps(ORDER).encode(),
                seal=response,
                foreign=None,
            )
        },
        covers="nothing",
        unsigned=(notification,),
    )
