"""Derives an order's status and sums as of a moment, from the events that were recorded by then.

It is what was known then: the same merging of facts, and the same table of the status, over fewer events.  An answer of
a gateway that was repeated later counts as of that moment at the latest.
"""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from tillkeeper.domain.events import PaymentEvent
from tillkeeper.domain.order.facts import ObjectKey, OrderFacts, PaymentFacts, apply
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.status import StatusRule, rule_that_holds, summarize
from tillkeeper.domain.order.sums import add_up, charged_back
from tillkeeper.domain.order.view import OrderView, view_of


class AsKnown(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it was known, and the line of the status table that held."""

    view: OrderView
    rule: StatusRule


def as_known(order: Order, claimed: Iterable[ObjectKey], events: Iterable[PaymentEvent], *, at: datetime) -> AsKnown:
    """Returns the order as of then; `events` are those recorded by then, and `claimed` the payments it was registered
    with."""
    facts = OrderFacts(payments={key: PaymentFacts() for key in claimed})
    for event in events:
        facts = apply(facts, _by_then(event, at))
    view = view_of(order, summarize(order, facts), charged_back=charged_back(order, facts))
    return AsKnown(view=view, rule=rule_that_holds(add_up(order, facts)))


def _by_then(event: PaymentEvent, at: datetime) -> PaymentEvent:
    if event.as_of is None or event.as_of <= at:
        return event
    return msgspec.structs.replace(event, as_of=max(at, event.occurred_at))
