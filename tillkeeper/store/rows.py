"""Reads the columns of an orders row into the domain's types."""

from enum import StrEnum
from typing import TypeVar, cast

import asyncpg

from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.status import Summary
from tillkeeper.domain.statuses import Status

Word = TypeVar("Word", bound=StrEnum)


def shown_word(kind: type[Word], text: str) -> Word:
    """Returns the word, or the text of one that a later version wrote: whoever only shows it can show that, too."""
    try:
        return kind(text)
    except ValueError:
        return cast(Word, text)


def shown_summary_in(row: asyncpg.Record) -> Summary:
    """Returns the status and sums of an orders row for who shows them; the status may be one of a later version."""
    return _summary(row, shown_word(Status, row["status"]))


def summary_in(row: asyncpg.Record) -> Summary:
    """Returns the status and sums of an orders row for who decides by them.  Raises ValueError for a status that this
    version does not know."""
    return _summary(row, Status(row["status"]))


def _summary(row: asyncpg.Record, status: Status) -> Summary:
    return Summary(
        status=status,
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
