"""Flutterwave for tests: accounts and deliveries."""

import json

from specimen import NOW, response_of

from tillkeeper.gateways.flutterwave.gateway import Flutterwave
from tillkeeper.gateways.flutterwave.settings import FlutterwaveSettings
from tillkeeper.gateways.messages import Query
from tillkeeper.sandbox.simulators.flutterwave.objects import flutterwave_charge, flutterwave_refund

SECRET = "a_hash_chosen_at_random_5d1c"
KEY = "FLWSECK_TEST-key-X"
PAYMENT = Query(about="payment", order_ref="ORDER-1", payment_ref="chg_1")
REFUND = Query(about="refund", order_ref="ORDER-1", payment_ref="chg_1", refund_ref="rfd_1")


def a_gateway(**settings):
    base = {"gateway": "flutterwave", "secret_hashes": [SECRET], "secret_key": KEY}
    return Flutterwave("flutterwave-main", FlutterwaveSettings.model_validate(base | settings))


def v3(**settings):
    return a_gateway(version="v3", **settings)


def a_charge(**more):
    return flutterwave_charge("chg_1", 12900, "NGN", "ORDER-1", **more)


def a_refund(**more):
    return flutterwave_refund("rfd_1", "chg_1", 400, "NGN", **more)


def a_transaction(**more):
    """v3's."""
    return {
        "id": 288200108,
        "tx_ref": "ORDER-1",
        "flw_ref": "FLW-MOCK-1",
        "amount": 129.5,
        "charged_amount": 131.3,
        "currency": "NGN",
        "status": "successful",
        "processor_response": "Approved by Financial Institution",
        "payment_type": "card",
        "created_at": "2026-10-05T11:58:00.000Z",
        "meta": None,
    } | more


def response(content, status=200):
    body = json.dumps(content, default=float).encode()
    return response_of(({"Date": "Mon, 05 Oct 2026 11:59:57 GMT"}, body), status)


def answer_to(query, data, gateway=None):
    answer = (gateway or a_gateway()).read_response(query, response({"status": "success", "data": data}), now=NOW)
    assert answer.found is bool(answer.events)
    return answer.events
