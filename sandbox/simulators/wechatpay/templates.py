"""What can happen to a payment at WeChat Pay, and what each event type means."""

from collections.abc import Mapping
from typing import Final

from sandbox.ledger.payments import PaymentState, RefundState
from sandbox.templates import ALL, Event, Template
from tillkeeper.domain.statuses import Status

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
    Template(name="paid", weight=40, events=(Event("TRANSACTION.SUCCESS"),), status=Status.PAID, paid=ALL),
    Template(name="never paid", weight=6, status=Status.UNPAID),  # WeChat Pay says nothing then
    Template(name="paid together with others", weight=4, events=(Event(COMBINED),), status=Status.PAID, paid=ALL),
    Template(
        name="paid, and shared out",
        weight=4,
        events=(Event("TRANSACTION.SUCCESS"), Event(SHARED_OUT, 2)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="a deduction that failed", weight=3, events=(Event(DEDUCTION_FAILED),), status=Status.FAILED),
    Template(
        name="a part given back",
        weight=10,
        events=(Event("TRANSACTION.SUCCESS"), Event("REFUND.SUCCESS", 2, "1")),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=2,
    ),
    Template(
        name="given back in two parts",
        weight=6,
        events=(Event("TRANSACTION.SUCCESS"), Event("REFUND.SUCCESS", 4, "1"), Event("REFUND.SUCCESS", 6, "2")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="given back",
        weight=8,
        events=(Event("TRANSACTION.SUCCESS"), Event("REFUND.SUCCESS", ALL, "1")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="a refund that the payer's card does not take",
        weight=5,
        events=(Event("TRANSACTION.SUCCESS"), Event("REFUND.ABNORMAL", 5, "1")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a refund that is called off",
        weight=3,
        events=(Event("TRANSACTION.SUCCESS"), Event("REFUND.CLOSED", 5, "1")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="paid too little",
        weight=3,
        events=(Event("TRANSACTION.SUCCESS", 8),),
        status=Status.PARTIALLY_PAID,
        paid=8,
    ),
    Template(
        name="paid where nobody expects it",
        weight=2,
        events=(Event("TRANSACTION.SUCCESS"),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)
