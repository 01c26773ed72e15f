"""Square for the conformance suite."""

import json

from specimen import NOW, Asked, Keys, Layer, Specimen, request_of, response_of, with_header

from tillkeeper.gateways.messages import Query
from tillkeeper.gateways.square.gateway import Square
from tillkeeper.gateways.square.settings import SquareSettings
from tillkeeper.sandbox.simulators.square.objects import square_payment, square_refund
from tillkeeper.sandbox.simulators.square.signing import square_body, square_signed

KEY = "Ibxx_5AKakO-conformance"
URL = "https://till.example/webhooks/square-main"
SETTINGS = {"gateway": "square", "signature_keys": [KEY], "notification_url": URL, "access_token": "EAAAconformance"}
PAYMENT = square_payment("sqpconform", 12900, "USD", "ORDER-1", NOW)
REFUND = square_refund("refconform", "sqpconform", 400, "USD", status="COMPLETED", at=NOW)
BODY = square_body("payment.updated", "payment", PAYMENT, event_id="ac3ac95b-f97d-458c", at=NOW)


def asked(query, answer):
    def seal(body):
        return response_of(({"Content-Type": "application/json", "Date": "Mon, 05 Oct 2026 12:00:00 GMT"}, body))

    return Asked(query=query, plain=json.dumps(answer).encode(), seal=seal, foreign=None)


def specimen(keys: Keys) -> Specimen:
    def seal(body, *, key=KEY):
        return request_of(square_signed(key, URL, body))

    return Specimen(
        settings=SETTINGS,
        gateway=Square("square-main", SquareSettings.model_validate(SETTINGS)),
        valid=seal(BODY),
        foreign=seal(BODY, key="of_somebody_else"),
        with_signature=lambda request, signatures: with_header(request, "x-square-hmacsha256-signature", signatures),
        layers={"body": Layer(plain=BODY, seal=seal)},
        at=None,
        asked={
            "payment": asked(
                Query(about="payment", order_ref="ORDER-1", payment_ref="sqpconform"), {"payment": PAYMENT}
            ),
            "refund": asked(
                Query(about="refund", order_ref="ORDER-1", payment_ref="sqpconform", refund_ref="refconform"),
                {"refund": REFUND},
            ),
        },
    )
