"""Lists what can happen to a payment at Checkout.com, and what each event type means."""

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

CAPTURED: Final = "payment_captured"

TEMPLATES: Final = (
    paid("paid", 35, Event("payment_approved"), Event(CAPTURED, after_s=AT_ONCE_S)),
    partially_paid("captured in part", 4, 6, Event("payment_approved"), Event(CAPTURED, 6)),
    paid(
        "by bank, which takes its time",
        6,
        Event("payment_pending"),
        Event("payment_approved"),
        Event(CAPTURED, after_s=AT_ONCE_S),
    ),
    processing("on its way", 4, Event("payment_pending")),
    processing("authorized, not captured", 4, Event("payment_approved")),
    failed("declined", 8, Event("payment_declined")),
    failed("authorized, then let go", 4, Event("payment_approved"), Event("payment_voided")),
    failed("never finished", 3, Event("payment_pending"), Event("payment_expired")),
    partially_refunded(
        "a part given back",
        6,
        4,
        Event(CAPTURED),
        Event("payment_refund_pending", 4, "1"),
        Event("payment_refunded", 4, "1", after_s=AT_ONCE_S),
    ),
    refunded(
        "given back in two parts",
        4,
        Event(CAPTURED),
        Event("payment_refunded", 3, "1"),
        Event("payment_refunded", 7, "2"),
    ),
    refunding("being given back", 3, Event(CAPTURED), Event("payment_refund_pending", 5, "1")),
    paid(
        "a refund that is declined",
        3,
        Event(CAPTURED),
        Event("payment_refund_pending", ALL, "1"),
        Event("payment_refund_declined", ALL, "1", after_s=AT_ONCE_S),
    ),
    paid("disputed", 2, Event(CAPTURED), Event("dispute_received")),
    partially_paid("paid too little", 2, 8, Event(CAPTURED, 8)),
    in_other_currency(Event(CAPTURED)),
    at_other_account(Event(CAPTURED)),
)
