"""What an order's registration says besides the amount: deadlines and instalments."""

from collections.abc import Sequence
from datetime import datetime

import msgspec


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
