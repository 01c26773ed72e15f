"""Checkout.com for tests: accounts and deliveries."""

import json
from datetime import timedelta

from specimen import NOW, request_of, response_of

from tillkeeper.domain.order.facts import OrderFacts, apply
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.sums import captured_of
from tillkeeper.gateways.checkout.gateway import Checkout
from tillkeeper.gateways.checkout.settings import CheckoutSettings
from tillkeeper.gateways.messages import Query
from tillkeeper.sandbox.simulators.checkout.objects import checkout_action, checkout_payment
from tillkeeper.sandbox.simulators.checkout.signing import checkout_body, checkout_signed

KEY = "signature-key-of-the-till"
PAYMENT = Query(about="payment", order_ref="ORDER-1", payment_ref="pay_1")
REPORTED_AT = NOW - timedelta(seconds=3)


def a_gateway(**settings):
    base = {"gateway": "checkout", "signature_keys": [KEY], "secret_key": "sk_sbox_1"}
    return Checkout("checkout-main", CheckoutSettings.model_validate(base | settings))


def an_action(action_id="act_1", amount=12900, currency="EUR", **more):
    return checkout_action(action_id, "pay_1", amount, currency, **{"order_ref": "ORDER-1", "at": NOW} | more)


def a_payment(*actions, **more):
    return checkout_payment("pay_1", 12900, "EUR", "ORDER-1", actions=[*actions], **more)


def a_capture(action_id="act_1", code="10000"):
    return {"id": action_id, "type": "Capture", "response_code": code}


def balances(captured=12900, refunded=0):
    return {"total_authorized": 12900, "total_captured": captured, "total_refunded": refunded}


def events_of(event_type, data, event_id="evt_1", at=NOW):
    gateway = a_gateway()
    body = checkout_body(event_type, data, event_id=event_id, at=at)
    return gateway.parse(gateway.verify(request_of(checkout_signed(KEY, body)), NOW))


def event_of(event_type, data, event_id="evt_1"):
    (event,) = events_of(event_type, data, event_id)
    return event


def answer_to(query, content, status=200):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return a_gateway().read_response(
        query, response_of(({"Date": "Mon, 05 Oct 2026 11:59:57 GMT"}, body), status), now=NOW
    )


def captured_by(*events):
    facts = OrderFacts()
    for event in events:
        facts = apply(facts, event)
    (payment,) = facts.payments.values()
    order = Order(order_ref="ORDER-1", amount=1, currency="EUR", accounts=frozenset({"checkout-main"}))
    return captured_of(order, "checkout-main", payment)
