"""Reads the columns of an orders row into the domain's types."""

import asyncpg

from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.status import Summary
from tillkeeper.domain.statuses import Status


def summary_in(row: asyncpg.Record) -> Summary:
    """Returns the status and sums of an orders row."""
    return Summary(
        status=Status(row["status"]),
        captured=row["captured_minor"],
        refunding=row["refunding_minor"],
        refunded=row["refunded_minor"],
        discount=row["discount_minor"],
    )


def order_in(row: asyncpg.Record) -> Order:
    """Returns the registered part of an orders row."""
    return Order(
        order_ref=row["order_ref"],
        amount=row["amount_minor"],
        currency=row["currency"],
        accounts=frozenset(row["accounts"]),
    )
