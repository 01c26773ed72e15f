"""Lists what can happen to a payment at Razorpay, and what each event type means."""

from typing import Final

from tillkeeper.sandbox.templates import (
    ALL,
    AT_ONCE_S,
    Event,
    at_other_account,
    failed,
    in_other_currency,
    paid,
    partially_paid,
    partially_refunded,
    processing,
    refunded,
    refunding,
)

LET_GO: Final = "refund.processed (uncaptured)"  # what was authorized and never captured

TEMPLATES: Final = (
    paid("paid", 30, Event("payment.authorized"), Event("payment.captured", after_s=AT_ONCE_S)),
    paid(
        "one payment told by three words",
        12,
        Event("payment.authorized"),
        Event("payment.captured", after_s=AT_ONCE_S),
        Event("order.paid", after_s=AT_ONCE_S),
    ),
    paid(
        "declined, and authorized after all",
        8,
        Event("payment.failed"),
        Event("payment.authorized"),
        Event("payment.captured", after_s=AT_ONCE_S),
    ),
    failed("declined", 8, Event("payment.failed")),
    processing("authorized, and not captured", 5, Event("payment.authorized")),
    failed("never captured, and let go", 4, Event("payment.authorized"), Event(LET_GO)),
    partially_refunded(
        "a part given back",
        6,
        4,
        Event("payment.captured"),
        Event("refund.created", 4, "1"),
        Event("refund.processed", 4, "1", after_s=AT_ONCE_S),
    ),
    refunded(
        "given back in two parts",
        4,
        Event("payment.captured"),
        Event("refund.processed", 3, "1"),
        Event("refund.processed", 7, "2"),
    ),
    refunding("being given back", 3, Event("payment.captured"), Event("refund.created", 5, "1")),
    paid(
        "a refund that fails",
        3,
        Event("payment.captured"),
        Event("refund.created", ALL, "1"),
        Event("refund.failed", ALL, "1", after_s=AT_ONCE_S),
    ),
    paid("disputed", 2, Event("payment.captured"), Event("payment.dispute.created")),
    partially_paid("paid too little", 2, 8, Event("payment.captured", 8)),
    in_other_currency(Event("payment.captured")),
    at_other_account(Event("payment.captured")),
)
