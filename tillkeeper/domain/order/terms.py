"""The terms of an order, as its merchant registered them: what is due, where it may be paid, and by when."""

from collections.abc import Sequence
from datetime import datetime

import msgspec


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What the merchant registered: what is due, and at which accounts it is expected."""

    order_ref: str
    amount: int
    currency: str
    accounts: frozenset[str]


class Instalment(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the amount with its own deadline.  `amount` in minor units of the order's currency."""

    amount: int
    due_at: datetime


def next_instalment(instalments: Sequence[Instalment], captured: int) -> Instalment | None:
    """The first, by deadline, that what was captured does not cover; None where all are, or where there is no plan.

    The instalment returned has the part of its amount that is still missing.
    """
    covered = captured
    for instalment in sorted(instalments, key=lambda it: it.due_at):
        if covered < instalment.amount:
            return Instalment(amount=instalment.amount - covered, due_at=instalment.due_at)
        covered -= instalment.amount
    return None
