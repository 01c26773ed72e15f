"""PayPal for the conformance suite; deliveries count as they are here, and test_paypal_confirmation queries them."""

import json
from functools import cache

from specimen import NOW, Asked, Keys, Layer, Specimen, request_of, response_of, with_header

from tillkeeper.gateways.messages import Query
from tillkeeper.gateways.paypal.gateway import PayPal
from tillkeeper.gateways.paypal.settings import PayPalSettings
from tillkeeper.sandbox.simulators.paypal.objects import paypal_capture, paypal_refund
from tillkeeper.sandbox.simulators.paypal.signing import paypal_body, paypal_identity, paypal_signed

WEBHOOK_ID = "1JE4291016473214C"
URL = "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-7a8abba8"
CAPTURE = paypal_capture("7CAP1CONFORM", 12900, "EUR", "ORDER-1", at=NOW)
ALONE = CAPTURE | {"supplementary_data": {}}  # which makes one event; tests of our own have it with PayPal's order
BODY = paypal_body("PAYMENT.CAPTURE.COMPLETED", ALONE, event_id="WH-58D329510W468432D-8HN650336L201105X", at=NOW)
REFUND = paypal_refund("1REF1CONFORM", "7CAP1CONFORM", 400, "EUR", at=NOW)


@cache
def identity():
    """Made once, for making it is slow."""
    return paypal_identity("messageverificationcerts.sandbox.paypal.com", NOW)


def settings_of(**changes):
    base = {
        "gateway": "paypal",
        "webhook_id": WEBHOOK_ID,
        "client_id": "AConformance",
        "client_secret": "EConformanceOfTheTill",
        "confirm_by_query": False,
        "certs": {URL: identity().chain},
        "trusted_ca": identity().authority,
        "api_base": "https://api-m.sandbox.paypal.com",
    }
    return base | changes


def asked(query, answer):
    def seal(body):
        return response_of(({"Content-Type": "application/json", "Date": "Mon, 05 Oct 2026 12:00:00 GMT"}, body))

    return Asked(query=query, plain=json.dumps(answer).encode(), seal=seal, foreign=None)


def specimen(keys: Keys) -> Specimen:
    own = identity().key

    def seal(body, *, key=own):
        return request_of(paypal_signed(key, body, webhook_id=WEBHOOK_ID, certificate_url=URL, at=NOW))

    refund = Query(about="refund", order_ref="ORDER-1", payment_ref="7CAP1CONFORM", refund_ref="1REF1CONFORM")
    return Specimen(
        settings=settings_of(),
        gateway=PayPal("paypal-main", PayPalSettings.model_validate(settings_of())),
        valid=seal(BODY),
        foreign=seal(BODY, key=keys.foreign),
        with_signature=lambda request, signatures: with_header(request, "paypal-transmission-sig", signatures),
        layers={"body": Layer(plain=BODY, seal=seal)},
        at=None,
        asked={
            "payment": asked(Query(about="payment", order_ref="ORDER-1", payment_ref="7CAP1CONFORM"), CAPTURE),
            "refund": asked(refund, REFUND),
        },
    )
