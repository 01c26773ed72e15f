"""Lists what can happen to a payment at Razorpay, and what each event type means."""

from typing import Final

from tillkeeper.sandbox.templates import (
    AT_ONCE_S,
    Event,
    a_part_given_back,
    a_refund_that_fails,
    at_other_account,
    being_given_back,
    failed,
    given_back_in_two_parts,
    in_other_currency,
    paid,
    paid_too_little,
    processing,
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
    a_part_given_back("payment.captured", "refund.created", "refund.processed"),
    given_back_in_two_parts("payment.captured", "refund.processed"),
    being_given_back("payment.captured", "refund.created"),
    a_refund_that_fails("payment.captured", "refund.created", "refund.failed"),
    paid("disputed", 2, Event("payment.captured"), Event("payment.dispute.created")),
    paid_too_little("payment.captured"),
    in_other_currency(Event("payment.captured")),
    at_other_account(Event("payment.captured")),
)
