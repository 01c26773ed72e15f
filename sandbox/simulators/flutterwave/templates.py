"""Lists what can happen to a payment at Flutterwave, and what each event type means."""

from typing import Final

from tillkeeper.sandbox.ledger.payments import PaymentState, RefundState
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

# The event, and the status in it.
EVENT_TYPES: Final[dict[str, PaymentState | RefundState | None]] = {
    "charge.pending": PaymentState.PENDING,
    "charge.completed": PaymentState.SUCCEEDED,
    "charge.completed (failed)": PaymentState.FAILED,
    "refund.completed (pending)": RefundState.PENDING,
    "refund.completed": RefundState.SUCCEEDED,
    "refund.completed (failed)": RefundState.FAILED,
    "chargeback.created": None,
    "transfer.completed": None,  # money that the merchant pays out: no order's
}

TEMPLATES: Final = (
    paid("paid", 34, Event("charge.completed")),
    paid("paid by transfer", 10, Event("charge.pending"), Event("charge.completed", after_s=AT_ONCE_S)),
    paid("declined, then paid", 8, Event("charge.completed (failed)"), Event("charge.completed", after_s=AT_ONCE_S)),
    failed("declined", 8, Event("charge.completed (failed)")),
    processing("on its way", 4, Event("charge.pending")),
    paid("paid, and paid out", 3, Event("charge.completed"), Event("transfer.completed")),
    a_part_given_back("charge.completed", "refund.completed (pending)", "refund.completed"),
    given_back_in_two_parts("charge.completed", "refund.completed"),
    being_given_back("charge.completed", "refund.completed (pending)"),
    a_refund_that_fails("charge.completed", "refund.completed (pending)", "refund.completed (failed)"),
    paid("charged back", 2, Event("charge.completed"), Event("chargeback.created")),
    paid_too_little("charge.completed"),
    in_other_currency(Event("charge.completed")),
    at_other_account(Event("charge.completed")),
)
