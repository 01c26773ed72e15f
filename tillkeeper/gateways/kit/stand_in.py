"""Handles payments without a gateway's number: the order's own reference stands in for it.

Until the payer begins to pay, some gateways give a payment no number.  Its events then carry the order's reference as
the payment's, and queries name the order.
"""

from tillkeeper.domain.events import Kind
from tillkeeper.gateways.kit.fact import Fact
from tillkeeper.gateways.messages import Query


def is_by_order(query: Query) -> bool:
    """Returns whether the query can name the payment by its order alone, for no number of the gateway is known."""
    return query.payment_ref in {None, query.order_ref}


def with_stand_in_closed(query: Query, fact: Fact | None) -> list[Fact]:
    """Returns the fact of an answer; and where an order's own reference stood in for a payment that has a number by
    now, that the order's is none, or it would pend for ever beside it."""
    if fact is None:
        return []
    if query.payment_ref != query.order_ref or fact.payment_ref == query.payment_ref:
        return [fact]
    closed = Fact(kind=Kind.PAYMENT_CANCELLED, order_ref=query.order_ref, payment_ref=query.payment_ref)
    return [fact, closed]
