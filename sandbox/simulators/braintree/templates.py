"""Lists what can happen to a payment at Braintree, and what each event type means."""

from collections.abc import Mapping
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
    unpaid,
)

SETTLED: Final = "transaction_settled"

DECLINED: Final = "transaction_settlement_declined"

RETRIED: Final = "transaction_retried"

DISBURSED: Final = "transaction_disbursed"

REFUND_SETTLED: Final = "refund_settled"  # told as transaction_settled, of the refund's own transaction

REFUND_FAILED: Final = "refund_failed"

EVENT_TYPES: Final[Mapping[str, PaymentState | RefundState | None]] = {
    "subscription_charged_successfully": None,
    RETRIED: PaymentState.PENDING,
    SETTLED: PaymentState.SUCCEEDED,
    DISBURSED: PaymentState.SUCCEEDED,
    DECLINED: PaymentState.FAILED,
    "refund_submitted": RefundState.PENDING,
    REFUND_SETTLED: RefundState.SUCCEEDED,
    REFUND_FAILED: RefundState.FAILED,
    "dispute_opened": None,
    "dispute_won": None,
    "dispute_lost": None,
}

TEMPLATES: Final = (
    paid("paid", 25, Event(SETTLED)),
    paid("retried, then paid", 10, Event(RETRIED), Event(SETTLED, after_s=AT_ONCE_S)),
    paid("paid, as its disbursement shows", 6, Event(DISBURSED)),
    paid("paid and disbursed", 8, Event(SETTLED), Event(DISBURSED)),
    processing("on its way", 5, Event(RETRIED)),
    failed("declined", 5, Event(DECLINED)),
    failed("retried, then declined", 4, Event(RETRIED), Event(DECLINED, after_s=AT_ONCE_S)),
    unpaid("only subscribed", 2, Event("subscription_charged_successfully")),
    partially_refunded("a part given back", 8, 3, Event(SETTLED), Event(REFUND_SETTLED, 3, "1")),
    refunded(
        "given back in two parts", 5, Event(SETTLED), Event(REFUND_SETTLED, 4, "1"), Event(REFUND_SETTLED, 6, "2")
    ),
    refunded("given back", 6, Event(SETTLED), Event(REFUND_SETTLED, ALL, "1")),
    paid("a refund that fails", 4, Event(SETTLED), Event(REFUND_FAILED, 5, "1")),
    paid(
        "a refund that fails after it was settled",
        2,
        Event(SETTLED),
        Event(REFUND_SETTLED, 5, "1"),
        Event(REFUND_FAILED, 5, "1", after_s=AT_ONCE_S),
    ),
    paid("disputed", 3, Event(SETTLED), Event("dispute_opened")),
    paid("disputed and won", 2, Event(SETTLED), Event("dispute_opened"), Event("dispute_won")),
    paid("disputed and lost", 2, Event(SETTLED), Event("dispute_opened"), Event("dispute_lost")),
    partially_paid("paid too little", 3, 8, Event(SETTLED, 8)),
    in_other_currency(Event(SETTLED)),
    at_other_account(Event(SETTLED)),
)
