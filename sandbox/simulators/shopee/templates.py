"""Lists what can happen to a payment at ShopeePay, and what each event type means."""

from collections.abc import Mapping
from typing import Final

from tillkeeper.sandbox.ledger.payments import PaymentState, RefundState
from tillkeeper.sandbox.templates import (
    ALL,
    Event,
    at_other_account,
    failed,
    in_other_currency,
    paid,
    paid_too_little,
    processing,
    refunded,
    unpaid,
)

CASH: Final = "(cash on delivery)"

AFTER_PAYMENT: Final = "(after it was paid)"

TEMPLATES: Final = (
    paid("paid", 30, Event("UNPAID"), Event("READY_TO_SHIP"), Event("SHIPPED")),
    paid(
        "paid, and received",
        12,
        Event("READY_TO_SHIP"),
        Event("SHIPPED"),
        Event("TO_CONFIRM_RECEIVE"),
        Event("COMPLETED"),
    ),
    unpaid("not paid yet", 6, Event("UNPAID")),
    failed("never paid", 8, Event("UNPAID"), Event("CANCELLED")),
    processing("cash on delivery, on its way", 6, Event(f"READY_TO_SHIP {CASH}"), Event(f"SHIPPED {CASH}")),
    paid("cash on delivery, paid at the door", 6, Event(f"SHIPPED {CASH}"), Event(f"COMPLETED {CASH}")),
    failed("cash on delivery, refused at the door", 3, Event(f"SHIPPED {CASH}"), Event(f"CANCELLED {CASH}")),
    refunded(
        "cancelled after it was paid",
        6,
        Event("READY_TO_SHIP"),
        Event("IN_CANCEL"),
        Event(f"CANCELLED {AFTER_PAYMENT}", ALL, "1"),
    ),
    paid("sent back", 3, Event("READY_TO_SHIP"), Event("SHIPPED"), Event("TO_RETURN")),
    paid_too_little("READY_TO_SHIP"),
    in_other_currency(Event("READY_TO_SHIP")),
    at_other_account(Event("READY_TO_SHIP")),
)

EVENT_TYPES: Final[Mapping[str, PaymentState | RefundState]] = {
    "UNPAID": PaymentState.CREATED,
    "READY_TO_SHIP": PaymentState.SUCCEEDED,
    "SHIPPED": PaymentState.SUCCEEDED,
    "TO_CONFIRM_RECEIVE": PaymentState.SUCCEEDED,
    "IN_CANCEL": PaymentState.SUCCEEDED,
    "TO_RETURN": PaymentState.SUCCEEDED,
    "COMPLETED": PaymentState.SUCCEEDED,
    "CANCELLED": PaymentState.CANCELLED,
    f"READY_TO_SHIP {CASH}": PaymentState.PENDING,
    f"SHIPPED {CASH}": PaymentState.PENDING,
    f"COMPLETED {CASH}": PaymentState.SUCCEEDED,
    f"CANCELLED {CASH}": PaymentState.CANCELLED,
    f"CANCELLED {AFTER_PAYMENT}": RefundState.SUCCEEDED,
}
