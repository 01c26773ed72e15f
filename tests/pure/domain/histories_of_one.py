"""Short histories of one order, for tests."""

from datetime import timedelta
from functools import reduce

from tests.pure.domain.strategies import NOON
from tillkeeper.domain.events import Kind, PaymentEvent
from tillkeeper.domain.order import facts as rules
from tillkeeper.domain.order.facts import OrderFacts

NOTHING_KNOWN = OrderFacts()


def facts_after(history, start=NOTHING_KNOWN):
    return reduce(rules.apply, history, start)


def an_event(kind, second=0, **fields):
    defaults = {"event_id": f"{kind}-{second}", "account": "stripe-main", "payment_ref": "p1", "currency": "CNY"}
    if kind is Kind.PAYMENT_SUCCEEDED:
        defaults["amount"] = 100
    return PaymentEvent(kind=kind, occurred_at=NOON + timedelta(seconds=second), **{**defaults, **fields})


FAILED, SUCCEEDED = Kind.REFUND_FAILED, Kind.REFUND_SUCCEEDED
