"""GoCardless for the conformance suite: a confirmed payment, which must be asked for its amount."""

import json

from specimen import NOW, Asked, Keys, Layer, Specimen, request_of, response_of, with_header

from tillkeeper.gateways.gocardless.gateway import GoCardless
from tillkeeper.gateways.gocardless.settings import GoCardlessSettings
from tillkeeper.gateways.messages import Query
from tillkeeper.sandbox.simulators.gocardless.objects import gocardless_event, gocardless_payment, gocardless_refund
from tillkeeper.sandbox.simulators.gocardless.signing import gocardless_body, gocardless_signed

SECRET = "whsec_conformance_of_the_debits"
SETTINGS = {"gateway": "gocardless", "webhook_secrets": [SECRET], "access_token": "sandbox_conformance"}
DATE = "Mon, 05 Oct 2026 12:00:00 GMT"
LINKS = {"links": {"payment": "PM1CONFORM"}, "resource_metadata": {"order_id": "ORDER-1"}}
CONFIRMED = gocardless_event("EV3", NOW, "payments", "confirmed", **LINKS)
BODY = gocardless_body(CONFIRMED)
HISTORY = {
    "events": [CONFIRMED, gocardless_event("EV2", NOW, "payments", "submitted", **LINKS)],
    "linked": {"payments": [gocardless_payment("PM1CONFORM", 12900, "EUR", "ORDER-1", amount_refunded=400)]},
    "meta": {"cursors": {"before": None, "after": None}, "limit": 500},
}


def asked(query, answer):
    def seal(body):
        return response_of(({"Content-Type": "application/json", "Date": DATE}, body))

    return Asked(query=query, plain=json.dumps(answer).encode(), seal=seal, foreign=None)


def specimen(keys: Keys) -> Specimen:
    def seal(body, *, secret=SECRET):
        return request_of(gocardless_signed(secret, body))

    return Specimen(
        settings=SETTINGS,
        gateway=GoCardless("debits-main", GoCardlessSettings.model_validate(SETTINGS)),
        valid=seal(BODY),
        foreign=seal(BODY, secret="the_secret_of_somebody_else"),
        with_signature=lambda request, signatures: with_header(request, "webhook-signature", signatures),
        layers={"body": Layer(plain=BODY, seal=seal)},
        at=None,
        asked={
            "payment": asked(Query(about="payment", order_ref="ORDER-1", payment_ref="PM1CONFORM"), HISTORY),
            "refund": asked(
                Query(about="refund", order_ref="ORDER-1", refund_ref="RF1CONFORM"),
                {"refunds": gocardless_refund("RF1CONFORM", "PM1CONFORM", 400, "EUR")},
            ),
        },
    )
