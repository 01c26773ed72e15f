"""What can happen to a payment at WeChat Pay's API v2, and what each event type means."""

from collections.abc import Mapping
from typing import Final

from sandbox.ledger.payments import PaymentState, RefundState
from sandbox.templates import ALL, Event, Template
from tillkeeper.domain.statuses import Status

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
    Template(name="paid", weight=40, events=(Event(PAID),), status=Status.PAID, paid=ALL),
    Template(name="never paid", weight=6, status=Status.UNPAID),  # WeChat Pay says nothing then
    Template(name="declined", weight=5, events=(Event(DECLINED),), status=Status.FAILED),
    Template(
        name="a deduction that failed",
        weight=4,
        events=(Event(ACCEPTED_DEDUCTION), Event(FAILED_DEDUCTION)),
        status=Status.FAILED,
    ),
    Template(
        name="a deduction", weight=4, events=(Event(ACCEPTED_DEDUCTION), Event(PAID)), status=Status.PAID, paid=ALL
    ),
    Template(name="declined, then paid", weight=8, events=(Event(DECLINED), Event(PAID)), status=Status.PAID, paid=ALL),
    Template(
        name="a part given back",
        weight=10,
        events=(Event(PAID), Event("REFUND.SUCCESS", 2, "1")),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=2,
    ),
    Template(
        name="given back in two parts",
        weight=6,
        events=(Event(PAID), Event("REFUND.SUCCESS", 4, "1"), Event("REFUND.SUCCESS", 6, "2")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="given back",
        weight=8,
        events=(Event(PAID), Event("REFUND.SUCCESS", ALL, "1")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="a refund that the payer's card does not take",
        weight=5,
        events=(Event(PAID), Event("REFUND.CHANGE", 5, "1")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a refund that is called off",
        weight=3,
        events=(Event(PAID), Event("REFUND.REFUNDCLOSE", 5, "1")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="paid too little", weight=3, events=(Event(PAID, 8),), status=Status.PARTIALLY_PAID, paid=8),
    Template(
        name="paid where nobody expects it",
        weight=2,
        events=(Event(PAID),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)
