"""Lists what can happen to a payment at Square, and what each event type means."""

from typing import Final

from tillkeeper.sandbox.templates import (
    ALL,
    AT_ONCE_S,
    Event,
    a_part_given_back,
    at_other_account,
    being_given_back,
    failed,
    given_back_in_two_parts,
    in_other_currency,
    paid,
    paid_too_little,
    processing,
)

TEMPLATES: Final = (
    paid("paid", 35, Event("payment COMPLETED")),
    paid("authorized, then captured", 15, Event("payment APPROVED"), Event("payment COMPLETED", after_s=AT_ONCE_S)),
    paid("by bank, which takes its time", 6, Event("payment PENDING"), Event("payment COMPLETED")),
    processing("on its way", 5, Event("payment PENDING")),
    processing("authorized, and not captured", 3, Event("payment APPROVED")),
    failed("declined", 8, Event("payment FAILED")),
    failed("authorized, then let go", 4, Event("payment APPROVED"), Event("payment CANCELED", after_s=AT_ONCE_S)),
    a_part_given_back("payment COMPLETED", "refund PENDING", "refund COMPLETED"),
    given_back_in_two_parts("payment COMPLETED", "refund COMPLETED"),
    being_given_back("payment COMPLETED", "refund PENDING"),
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
    paid_too_little("payment COMPLETED"),
    in_other_currency(Event("payment COMPLETED")),
    at_other_account(Event("payment COMPLETED")),
)
