"""Lists what can happen to a payment at Square, and what each event type means."""

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

TEMPLATES: Final = (
    paid("paid", 35, Event("payment COMPLETED")),
    paid("authorized, then captured", 15, Event("payment APPROVED"), Event("payment COMPLETED", after_s=AT_ONCE_S)),
    paid("by bank, which takes its time", 6, Event("payment PENDING"), Event("payment COMPLETED")),
    processing("on its way", 5, Event("payment PENDING")),
    processing("authorized, and not captured", 3, Event("payment APPROVED")),
    failed("declined", 8, Event("payment FAILED")),
    failed("authorized, then let go", 4, Event("payment APPROVED"), Event("payment CANCELED", after_s=AT_ONCE_S)),
    partially_refunded(
        "a part given back",
        6,
        4,
        Event("payment COMPLETED"),
        Event("refund PENDING", 4, "1"),
        Event("refund COMPLETED", 4, "1", after_s=AT_ONCE_S),
    ),
    refunded(
        "given back in two parts",
        4,
        Event("payment COMPLETED"),
        Event("refund COMPLETED", 3, "1"),
        Event("refund COMPLETED", 7, "2"),
    ),
    refunding("being given back", 3, Event("payment COMPLETED"), Event("refund PENDING", 5, "1")),
    paid(
        "a refund that is rejected",
        3,
        Event("payment COMPLETED"),
        Event("refund PENDING", ALL, "1"),
        Event("refund REJECTED", ALL, "1", after_s=AT_ONCE_S),
    ),
    paid(
        "a refund that fails after it succeeded",
        2,
        Event("payment COMPLETED"),
        Event("refund COMPLETED", 3, "1"),
        Event("refund FAILED", 3, "1", after_s=AT_ONCE_S),
    ),
    paid("disputed", 2, Event("payment COMPLETED"), Event("dispute EVIDENCE_REQUIRED")),
    partially_paid("paid too little", 2, 8, Event("payment COMPLETED", 8)),
    in_other_currency(Event("payment COMPLETED")),
    at_other_account(Event("payment COMPLETED")),
)
