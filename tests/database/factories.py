"""Deliveries, events and registrations with defaults."""

from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID

from tillkeeper.domain.delivery import Delivery
from tillkeeper.domain.events import Kind, PaymentEvent
from tillkeeper.domain.order.registration import Registration

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
RUN = UUID("00000000-0000-4000-8000-000000000001")
_numbers = count(1)


# Open orders whose row for the lists says otherwise than their own, or that are listed and not open.
STANDING_OTHERWISE = """
SELECT count(*) FROM (
    SELECT id, status, phase_since, expires_at,
           closed_at IS NULL AND status IN ('unpaid', 'processing', 'failed', 'partially_paid', 'refunding') AS is_open
    FROM orders
) AS o LEFT JOIN due_orders d ON d.order_id = o.id
WHERE (d.status, d.phase_since) IS DISTINCT FROM (CASE WHEN o.is_open THEN o.status END,
                                                  CASE WHEN o.is_open THEN o.phase_since END)
   OR o.is_open AND d.expires_at IS DISTINCT FROM o.expires_at
"""


def an_event(kind=Kind.PAYMENT_SUCCEEDED, second=0, **fields):
    defaults = {
        "event_id": f"evt-{next(_numbers)}",
        "account": "stripe-main",
        "order_ref": "A1",
        "payment_ref": "pi_1",
        "currency": "CNY",
    }
    if kind is Kind.PAYMENT_SUCCEEDED:
        defaults["amount"] = 100
    return PaymentEvent(kind=kind, occurred_at=NOON + timedelta(seconds=second), **{**defaults, **fields})


def a_delivery(*events, **fields):
    defaults = {
        "run": RUN,
        "number": next(_numbers),
        "account": "stripe-main",
        "received_at": NOON,
        "key": "webhook_secrets[0]",
        "headers": (("stripe-signature", "t=1,v1=00"),),
        "body": b'{"id": "evt"}',
        "events": events,
    }
    return Delivery(**{**defaults, **fields})


def a_registration(order_ref="A1", **fields):
    defaults = {"amount": 100, "currency": "CNY", "accounts": ("stripe-main", "alipay-main")}
    return Registration(order_ref=order_ref, **{**defaults, **fields})


# Puts the bytes of all deliveries where 0.1.0 stored them.
STORE_AS_BEFORE = """
WITH moved AS (DELETE FROM delivery_bodies RETURNING *)
UPDATE deliveries AS d SET body = m.body, headers = m.headers, query = m.query
FROM moved AS m WHERE d.run = m.run AND d.number = m.number
"""
