"""Flutterwave for the conformance suite: v4, which signs the body; v3 is held by test_flutterwave.py."""

import json

from specimen import NOW, Asked, Keys, Layer, Specimen, request_of, response_of, with_header

from tillkeeper.gateways.flutterwave.gateway import Flutterwave
from tillkeeper.gateways.flutterwave.settings import FlutterwaveSettings
from tillkeeper.gateways.messages import Query
from tillkeeper.sandbox.simulators.flutterwave.objects import flutterwave_charge, flutterwave_refund
from tillkeeper.sandbox.simulators.flutterwave.signing import flutterwave_body, flutterwave_signed

SECRET = "flutterwave_conformance_of_the_till"
SETTINGS = {"gateway": "flutterwave", "secret_hashes": [SECRET], "secret_key": "FLWSECK_TEST-conformance-X"}
CHARGE = flutterwave_charge("chg_3conform", 12900, "NGN", "ORDER-1")
REFUND = flutterwave_refund("rfd_3conform", "chg_3conform", 400, "NGN")
BODY = flutterwave_body("charge.completed", NOW, CHARGE)


def asked(query, data):
    def seal(body):
        return response_of(({"Content-Type": "application/json", "Date": "Mon, 05 Oct 2026 12:00:00 GMT"}, body))

    plain = json.dumps({"status": "success", "message": "Fetched", "data": data}, default=float).encode()
    return Asked(query=query, plain=plain, seal=seal, foreign=None)


def specimen(keys: Keys) -> Specimen:
    def seal(body, *, secret=SECRET):
        return request_of(flutterwave_signed(secret, body))

    refund = Query(about="refund", order_ref="ORDER-1", payment_ref="chg_3conform", refund_ref="rfd_3conform")
    return Specimen(
        settings=SETTINGS,
        gateway=Flutterwave("flutterwave-main", FlutterwaveSettings.model_validate(SETTINGS)),
        valid=seal(BODY),
        foreign=seal(BODY, secret="the_secret_of_somebody_else"),
        with_signature=lambda request, signatures: with_header(request, "flutterwave-signature", signatures),
        layers={"body": Layer(plain=BODY, seal=seal)},
        at=None,
        asked={
            "payment": asked(Query(about="payment", order_ref="ORDER-1", payment_ref="chg_3conform"), CHARGE),
            "order": asked(Query(about="payment", order_ref="ORDER-1"), [CHARGE]),
            "refund": asked(refund, REFUND),
        },
        deciding=frozenset({"type"}),
    )
