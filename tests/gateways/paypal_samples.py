"""PayPal's gateway and objects, as its tests need them."""

import json
import zlib
from datetime import timedelta

import pytest
from specimen import NOW, request_of, response_of
from specimen_paypal import URL, WEBHOOK_ID, identity, settings_of

from tillkeeper.domain.events import Kind
from tillkeeper.domain.order.facts import OrderFacts, apply
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.status import summarize
from tillkeeper.gateways.errors import BadSignature
from tillkeeper.gateways.messages import Query
from tillkeeper.gateways.paypal.gateway import PayPal
from tillkeeper.gateways.paypal.settings import PayPalSettings
from tillkeeper.sandbox.simulators.paypal.objects import (
    paypal_capture,
    paypal_dispute,
    paypal_money,
    paypal_order,
    paypal_refund,
)
from tillkeeper.sandbox.simulators.paypal.signing import paypal_body, paypal_signed

CAPTURE_ID = "7CAP1"
ORDER_ID = "5ORD1"
PAYMENT = Query(about="payment", order_ref="ORDER-1", payment_ref=CAPTURE_ID)
ORDER = Query(about="payment", order_ref="ORDER-1", payment_ref=f"order-{ORDER_ID}")
AUTHORIZATION = Query(about="payment", order_ref="ORDER-1", payment_ref=f"authorization-{CAPTURE_ID}")
SALE = Query(about="payment", order_ref="ORDER-1", payment_ref=f"sale-{CAPTURE_ID}")
REFUND = Query(about="refund", order_ref="ORDER-1", payment_ref=CAPTURE_ID, refund_ref="1REF1")
SALE_REFUND = Query(about="refund", order_ref="ORDER-1", payment_ref=f"sale-{CAPTURE_ID}", refund_ref="sale-1REF1")
REPORTED_AT = NOW - timedelta(seconds=3)


def a_gateway(**settings):
    return PayPal("paypal-main", PayPalSettings.model_validate(settings_of(**settings)))


def a_learner(**settings):
    """One whose certificates must be fetched."""
    return a_gateway(certs={}, **settings)


def signed(body=b"{}", *, url=URL, webhook_id=WEBHOOK_ID, key=None):
    key = key or identity().key
    return request_of(paypal_signed(key, body, webhook_id=webhook_id, certificate_url=url, at=NOW))


def parsed(event_type, resource, gateway=None, **event):
    gateway = gateway or a_gateway()
    body = paypal_body(event_type, resource, **{"event_id": "WH-1", "at": NOW} | event)
    return gateway.parse(gateway.verify(signed(body), NOW))


def event_of(event_type, resource):
    """What it says of the object itself; the rest is of what came before it."""
    return parsed(event_type, resource)[0]


def a_capture(amount=12900, currency="EUR", **more):
    return paypal_capture(CAPTURE_ID, amount, currency, "ORDER-1", at=NOW, **more)


def a_refund(amount=400, **more):
    return paypal_refund("1REF1", CAPTURE_ID, amount, "EUR", at=NOW, **more)


def an_order(**more):
    return paypal_order(ORDER_ID, 12900, "EUR", "ORDER-1", at=NOW, **more)


def paid_order(*captures, status="COMPLETED", **payments):
    unit = {
        "amount": paypal_money(12900, "EUR"),
        "custom_id": "ORDER-1",
        "payments": {"captures": [*captures], **payments},
    }
    return an_order(status=status, purchase_units=[unit])


def a_sale(**more):
    told = {"id": CAPTURE_ID, "amount": {"total": "129.00", "currency": "EUR"}, "state": "completed"}
    return told | {"custom": "ORDER-1", "create_time": "2026-10-05T11:00:00Z", "parent_payment": "PAY-1"} | more


def a_sale_refund(**more):
    return a_sale(id="1REF1", sale_id=CAPTURE_ID) | more


def answer_to(query, content, status=200):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return a_gateway().read_response(
        query, response_of(({"Date": "Mon, 05 Oct 2026 11:59:57 GMT"}, body), status), now=NOW
    )


def summary_after(*events):
    facts = OrderFacts()
    for event in events:
        facts = apply(facts, event)
    order = Order(order_ref="ORDER-1", amount=12900, currency="EUR", accounts=frozenset({"paypal-main"}))
    return summarize(order, facts)


def status_after(*events):
    return summary_after(*events).status


def refused(gateway, request, now=NOW):
    with pytest.raises(BadSignature) as caught:
        gateway.verify(request, now)
    return caught.value.step


PAYMENTS = {
    "PAYMENT.CAPTURE.PENDING": Kind.PAYMENT_PENDING,
    "PAYMENT.CAPTURE.COMPLETED": Kind.PAYMENT_SUCCEEDED,
    "PAYMENT.CAPTURE.DENIED": Kind.PAYMENT_FAILED,
    "PAYMENT.CAPTURE.DECLINED": Kind.PAYMENT_FAILED,
}


SALES = {
    "PAYMENT.SALE.PENDING": Kind.PAYMENT_PENDING,
    "PAYMENT.SALE.COMPLETED": Kind.PAYMENT_SUCCEEDED,
    "PAYMENT.SALE.DENIED": Kind.PAYMENT_FAILED,
}


REFUND_TYPES = ["PAYMENT.CAPTURE.REFUNDED", "PAYMENT.REFUND.PENDING", "PAYMENT.REFUND.FAILED"]
DISPUTE_TYPES = [f"CUSTOMER.DISPUTE.{word}" for word in ("CREATED", "UPDATED", "RESOLVED")]


def a_dispute(**more):
    return paypal_dispute("PP-D-1", CAPTURE_ID, 12900, "EUR", "ORDER-1", at=NOW, **more)


def fetched(event_type, resource, gateway=None):
    gateway = gateway or a_gateway(confirm_by_query=True)
    verified = gateway.verify(signed(paypal_body(event_type, resource, event_id="WH-1", at=NOW)), NOW)
    return gateway.parse(verified), gateway.queries_for(verified)


def crc_table():
    entries = []
    for at in range(256):
        register = at
        for _ in range(8):
            register = (register >> 1) ^ (0xEDB88320 if register & 1 else 0)
        entries.append(register)
    return entries


def evened(head, tail, wanted):
    """head, four bytes, tail: with this CRC-32.  The register goes back from the end to where the four must lead."""
    table, state, indices = crc_table(), wanted ^ 0xFFFFFFFF, []
    by_top = {entry >> 24: at for at, entry in enumerate(table)}
    for byte in reversed(tail):
        at = by_top[state >> 24]
        state = (((state ^ table[at]) << 8) & 0xFFFFFFFF) | (at ^ byte)
    for _ in range(4):
        indices.append(by_top[state >> 24])
        state = ((state ^ table[indices[-1]]) << 8) & 0xFFFFFFFF
    register, four = zlib.crc32(head) ^ 0xFFFFFFFF, bytearray()
    for at in reversed(indices):
        four.append((register ^ at) & 0xFF)
        register = (register >> 8) ^ table[at]
    return head + bytes(four) + tail


def forged(told):
    """Another event under a genuine transmission: four characters in a field that nobody reads even it out."""
    genuine = signed(paypal_body("PAYMENT.CAPTURE.PENDING", a_capture(), event_id="WH-1", at=NOW))
    for at in range(10_000):
        head = json.dumps({"n": at, **told}).encode()[:-1] + b',"more":"'
        body = evened(head, b'"}', zlib.crc32(genuine.body))
        four = body[len(head) : -2]
        if four.isascii() and four.decode().isprintable() and not {*'"\\'} & {*four.decode()}:
            return with_body(genuine, body)
    raise AssertionError("no four printable characters were found")


def with_body(request, body):
    return type(request)(headers=request.headers, body=body, query=request.query)
