"""Lists what can happen to a payment at Flutterwave, and what each event type means."""

from typing import Final

from tillkeeper.sandbox.ledger.payments import PaymentState, RefundState
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
    partially_refunded(
        "a part given back",
        6,
        4,
        Event("charge.completed"),
        Event("refund.completed (pending)", 4, "1"),
        Event("refund.completed", 4, "1", after_s=AT_ONCE_S),
    ),
    refunded(
        "given back in two parts",
        4,
        Event("charge.completed"),
        Event("refund.completed", 3, "1"),
        Event("refund.completed", 7, "2"),
    ),
    refunding("being given back", 3, Event("charge.completed"), Event("refund.completed (pending)", 5, "1")),
    paid(
        "a refund that fails",
        3,
        Event("charge.completed"),
        Event("refund.completed (pending)", ALL, "1"),
        Event("refund.completed (failed)", ALL, "1", after_s=AT_ONCE_S),
    ),
    paid("charged back", 2, Event("charge.completed"), Event("chargeback.created")),
    partially_paid("paid too little", 2, 8, Event("charge.completed", 8)),
    in_other_currency(Event("charge.completed")),
    at_other_account(Event("charge.completed")),
)
