"""Mercado Pago for the conformance suite: signed, but for the body."""

import json

from specimen import NOW, Asked, Keys, Layer, Specimen, request_of, response_of, with_header

from tillkeeper.gateways.mercadopago.gateway import MercadoPago
from tillkeeper.gateways.mercadopago.settings import MercadoPagoSettings
from tillkeeper.gateways.messages import Query
from tillkeeper.sandbox.simulators.mercadopago.objects import mercadopago_payment, mercadopago_refund
from tillkeeper.sandbox.simulators.mercadopago.signing import mercadopago_notice, mercadopago_query, mercadopago_signed

SECRET = "mercadopago_conformance_of_the_till"
SETTINGS = {
    "gateway": "mercadopago",
    "webhook_secrets": [SECRET],
    "access_token": "APP_USR-conformance",
}
REQUEST_ID = "bb56a2f1-6aae-46ac-982e-9dcd3581d08e"
BODY = mercadopago_notice("1325684091", NOW)
REFUND = mercadopago_refund(1600455123, "1325684091", 400, "BRL")
PAYMENT = mercadopago_payment(
    "1325684091",
    12900,
    "BRL",
    "ORDER-1",
    id=1325684091,
    status="charged_back",
    status_detail="in_process",
    transaction_amount_refunded=4,
    refunds=[REFUND],
)


def asked(query, answer):
    def seal(body):
        return response_of(({"Content-Type": "application/json", "Date": "Mon, 05 Oct 2026 12:00:00 GMT"}, body))

    return Asked(query=query, plain=json.dumps(answer, default=float).encode(), seal=seal, foreign=None)


def specimen(keys: Keys) -> Specimen:
    def seal(body, *, secret=SECRET):
        return request_of(
            mercadopago_signed(secret, NOW, "1325684091", REQUEST_ID, body), mercadopago_query("1325684091")
        )

    refund = Query(about="refund", order_ref="ORDER-1", payment_ref="1325684091", refund_ref="1600455123")
    return Specimen(
        settings=SETTINGS,
        gateway=MercadoPago("mercadopago-main", MercadoPagoSettings.model_validate(SETTINGS)),
        valid=seal(BODY),
        foreign=seal(BODY, secret="the_secret_of_somebody_else"),
        with_signature=lambda request, signatures: with_header(request, "x-signature", signatures),
        layers={"body": Layer(plain=BODY, seal=seal)},
        at=None,
        asked={
            "payment": asked(Query(about="payment", order_ref="ORDER-1", payment_ref="1325684091"), PAYMENT),
            "order": asked(
                Query(about="payment", order_ref="ORDER-1"),
                {"paging": {"total": 1, "limit": 100, "offset": 0}, "results": [PAYMENT]},
            ),
            "refund": asked(refund, PAYMENT),
        },
        covers="nothing",
        unsigned=(BODY,),
    )
