"""What rows of orders say, for all that read some."""

import asyncpg

from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.status import Summary
from tillkeeper.domain.statuses import Status


def summary_in(row: asyncpg.Record) -> Summary:
    """Status and sums as an orders row has them."""
    return Summary(
        status=Status(row["status"]),
        captured=row["captured_minor"],
        refunding=row["refunding_minor"],
        refunded=row["refunded_minor"],
        discount=row["discount_minor"],
    )


def order_in(row: asyncpg.Record) -> Order:
    """The registered part of an orders row."""
    return Order(
        order_ref=row["order_ref"],
        amount=row["amount_minor"],
        currency=row["currency"],
        accounts=frozenset(row["accounts"]),
    )
