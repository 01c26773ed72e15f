"""Lists what can happen to a payment at WeChat Pay, and what each event type means."""

from collections.abc import Mapping
from typing import Final

from tillkeeper.sandbox.ledger.payments import PaymentState, RefundState
from tillkeeper.sandbox.templates import (
    ALL,
    Event,
    at_other_account,
    failed,
    paid,
    partially_paid,
    partially_refunded,
    refunded,
    unpaid,
)

COMBINED: Final = "合单"  # one notice for several orders, of which one is ours

SHARED_OUT: Final = "分账"  # under the event_type of a payment

DEDUCTION_FAILED: Final = "PAY_FAIL"

EVENT_TYPES: Final[Mapping[str, PaymentState | RefundState | None]] = {
    "NOTPAY": PaymentState.CREATED,
    "USERPAYING": PaymentState.PENDING,
    "PAYERROR": PaymentState.FAILED,
    "REVOKED": PaymentState.CANCELLED,
    "CLOSED": PaymentState.CANCELLED,
    DEDUCTION_FAILED: PaymentState.FAILED,
    "TRANSACTION.SUCCESS": PaymentState.SUCCEEDED,
    COMBINED: PaymentState.SUCCEEDED,
    SHARED_OUT: None,
    "REFUND.PROCESSING": RefundState.PENDING,
    "REFUND.SUCCESS": RefundState.SUCCEEDED,
    "REFUND.ABNORMAL": RefundState.FAILED,
    "REFUND.CLOSED": RefundState.FAILED,
}

TEMPLATES: Final = (
    paid("paid", 40, Event("TRANSACTION.SUCCESS")),
    unpaid("never paid", 6),  # WeChat Pay says nothing then
    paid("paid together with others", 4, Event(COMBINED)),
    paid("paid, and shared out", 4, Event("TRANSACTION.SUCCESS"), Event(SHARED_OUT, 2)),
    failed("a deduction that failed", 3, Event(DEDUCTION_FAILED)),
    partially_refunded("a part given back", 10, 2, Event("TRANSACTION.SUCCESS"), Event("REFUND.SUCCESS", 2, "1")),
    refunded(
        "given back in two parts",
        6,
        Event("TRANSACTION.SUCCESS"),
        Event("REFUND.SUCCESS", 4, "1"),
        Event("REFUND.SUCCESS", 6, "2"),
    ),
    refunded("given back", 8, Event("TRANSACTION.SUCCESS"), Event("REFUND.SUCCESS", ALL, "1")),
    paid(
        "a refund that the payer's card does not take",
        5,
        Event("TRANSACTION.SUCCESS"),
        Event("REFUND.ABNORMAL", 5, "1"),
    ),
    paid("a refund that is called off", 3, Event("TRANSACTION.SUCCESS"), Event("REFUND.CLOSED", 5, "1")),
    partially_paid("paid too little", 3, 8, Event("TRANSACTION.SUCCESS", 8)),
    at_other_account(Event("TRANSACTION.SUCCESS")),
)
