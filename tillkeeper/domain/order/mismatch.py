"""Decides whether an event may count at its order: money of another account or currency never does.

The amount is no condition: what comes in is summed (sums.py), and the status says whether that is enough (status.py).
A mismatched event is kept, counts for nothing, and opens a case (case_reasons.py).
"""

from enum import StrEnum

from tillkeeper.domain.events import PaymentEvent
from tillkeeper.domain.order.registration import Order


class Mismatch(StrEnum):
    """Why an event does not count although its order is known."""

    UNEXPECTED_ACCOUNT = "unexpected_account"
    WRONG_CURRENCY = "wrong_currency"


def mismatch_of(order: Order, event: PaymentEvent) -> Mismatch | None:
    """Returns why the event counts for nothing at this order, or None."""
    if event.account not in order.accounts:
        return Mismatch.UNEXPECTED_ACCOUNT
    if event.currency is not None and event.currency != order.currency:
        return Mismatch.WRONG_CURRENCY
    return None
