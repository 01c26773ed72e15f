"""Lists what can happen to a payment at WeChat Pay's API v2, and what each event type means."""

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

PAID: Final = "SUCCESS"

DECLINED: Final = "FAIL"


# trade_state of a deduction, whose result_code says only that its notice is a good one.
ACCEPTED_DEDUCTION: Final = "ACCEPT"

FAILED_DEDUCTION: Final = "PAY_FAIL"

EVENT_TYPES: Final[Mapping[str, PaymentState | RefundState | None]] = {
    "NOTPAY": PaymentState.CREATED,
    "USERPAYING": PaymentState.PENDING,
    "CLOSED": PaymentState.CANCELLED,
    DECLINED: PaymentState.FAILED,
    ACCEPTED_DEDUCTION: PaymentState.PENDING,
    FAILED_DEDUCTION: PaymentState.FAILED,
    PAID: PaymentState.SUCCEEDED,
    "REFUND.PROCESSING": RefundState.PENDING,
    "REFUND.SUCCESS": RefundState.SUCCEEDED,
    "REFUND.CHANGE": RefundState.FAILED,
    "REFUND.REFUNDCLOSE": RefundState.FAILED,
}

TEMPLATES: Final = (
    paid("paid", 40, Event(PAID)),
    unpaid("never paid", 6),  # WeChat Pay says nothing then
    failed("declined", 5, Event(DECLINED)),
    failed("a deduction that failed", 4, Event(ACCEPTED_DEDUCTION), Event(FAILED_DEDUCTION)),
    paid("a deduction", 4, Event(ACCEPTED_DEDUCTION), Event(PAID)),
    paid("declined, then paid", 8, Event(DECLINED), Event(PAID)),
    partially_refunded("a part given back", 10, 2, Event(PAID), Event("REFUND.SUCCESS", 2, "1")),
    refunded(
        "given back in two parts", 6, Event(PAID), Event("REFUND.SUCCESS", 4, "1"), Event("REFUND.SUCCESS", 6, "2")
    ),
    refunded("given back", 8, Event(PAID), Event("REFUND.SUCCESS", ALL, "1")),
    paid("a refund that the payer's card does not take", 5, Event(PAID), Event("REFUND.CHANGE", 5, "1")),
    paid("a refund that is called off", 3, Event(PAID), Event("REFUND.REFUNDCLOSE", 5, "1")),
    partially_paid("paid too little", 3, 8, Event(PAID, 8)),
    at_other_account(Event(PAID)),
)
