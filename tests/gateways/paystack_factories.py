"""Paystack for tests: accounts and deliveries."""

import json
from datetime import timedelta

from specimen import NOW, request_of, response_of

from tillkeeper.gateways.messages import Query
from tillkeeper.gateways.paystack.api import EVERY_REFUND
from tillkeeper.gateways.paystack.gateway import Paystack
from tillkeeper.gateways.paystack.settings import PaystackSettings
from tillkeeper.sandbox.simulators.paystack.objects import (
    paystack_refund,
    paystack_transaction,
)
from tillkeeper.sandbox.simulators.paystack.signing import paystack_body, paystack_signed

SECRET = "sk_test_4f1e2d3c"
PAYMENT = Query(about="payment", order_ref="ORDER-1", payment_ref="REF-1")
REFUNDS = Query(about="refund", payment_ref="REF-1", refund_ref=EVERY_REFUND)
REFUND = Query(about="refund", order_ref="ORDER-1", payment_ref="REF-1", refund_ref="9001")


def a_gateway(**settings):
    base = {"gateway": "paystack", "secret_keys": [SECRET]}
    return Paystack("paystack-main", PaystackSettings.model_validate(base | settings))


def a_transaction(**more):
    return paystack_transaction(
        "REF-1", 12900, "NGN", NOW - timedelta(minutes=1), **{"metadata": {"order_id": "ORDER-1"}} | more
    )


def a_refund(**more):
    return paystack_refund("9001", "REF-1", 400, "NGN", **more)


def events_of(event, data, gateway=None, secret=SECRET):
    gateway = gateway or a_gateway()
    return gateway.parse(gateway.verify(request_of(paystack_signed(secret, paystack_body(event, data))), NOW))


def response(data, status=200, more=None):
    body = json.dumps({"status": True, "message": "ok", "data": data} | (more or {})).encode()
    return response_of(({"Date": "Mon, 05 Oct 2026 11:59:57 GMT"}, body), status)


def answer_to(query, data, gateway=None):
    return (gateway or a_gateway()).read_response(query, response(data), now=NOW).events
