"""Orders and events with defaults."""

from datetime import UTC, datetime, timedelta
from itertools import count

from tillkeeper.domain.events import Kind, PaymentEvent
from tillkeeper.domain.order.facts import OrderFacts
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.state import OrderState
from tillkeeper.domain.order.status import Summary
from tillkeeper.domain.policy import Policy
from tillkeeper.domain.statuses import Status

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
POLICY = Policy()
_numbers = count(1)


def an_event(kind=Kind.PAYMENT_SUCCEEDED, second=0, **fields):
    defaults = {"event_id": f"evt-{next(_numbers)}", "account": "stripe-main", "order_ref": "A1", "payment_ref": "p1"}
    defaults["currency"] = "CNY"
    if kind is Kind.PAYMENT_SUCCEEDED:
        defaults["amount"] = 100
    return PaymentEvent(kind=kind, occurred_at=NOON + timedelta(seconds=second), **{**defaults, **fields})


def an_order(order_ref="A1", **fields):
    order = Order(order_ref=order_ref, amount=100, currency="CNY", accounts=frozenset({"stripe-main"}))
    defaults = {
        "id": 1,
        "order": order,
        "version": 1,
        "stored": Summary(status=Status.UNPAID, captured=0, refunding=0, refunded=0),
        "facts": OrderFacts(),
        "phase_since": NOON,
        "has_mail": True,
    }
    return OrderState(**{**defaults, **fields})
