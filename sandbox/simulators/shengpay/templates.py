"""What can happen to a payment at ShengPay, and what each event type means."""

from collections.abc import Mapping
from typing import Final

from sandbox.ledger.payments import PaymentState, RefundState
from sandbox.templates import ALL, AT_ONCE_S, Event, Template
from tillkeeper.domain.statuses import Status

PAID: Final = "SUCCESS"

DECLINED: Final = "FAIL"

BOUND: Final = "BIND"

EVENT_TYPES: Final[Mapping[str, PaymentState | RefundState | None]] = {
    BOUND: None,
    "WAIT_PAY": PaymentState.CREATED,
    "PAYING": PaymentState.PENDING,
    "CLOSED": PaymentState.CANCELLED,
    DECLINED: PaymentState.FAILED,
    PAID: PaymentState.SUCCEEDED,
    "REFUND.PROCESSING": RefundState.PENDING,
    "REFUND.SUCCESS": RefundState.SUCCEEDED,
    "REFUND.REFUND_CLOSE": RefundState.FAILED,
    "REFUND.CHANGE": RefundState.FAILED,
}

TEMPLATES: Final = (
    Template(name="paid", weight=35, events=(Event(PAID),), status=Status.PAID, paid=ALL),
    Template(
        name="paid with a card newly bound", weight=6, events=(Event(BOUND), Event(PAID)), status=Status.PAID, paid=ALL
    ),
    Template(name="never paid", weight=5, status=Status.UNPAID),  # ShengPay says nothing then
    Template(name="declined", weight=5, events=(Event(DECLINED),), status=Status.FAILED),
    Template(
        name="declined, then paid",
        weight=8,
        events=(Event(DECLINED), Event(PAID, after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a part given back",
        weight=10,
        events=(Event(PAID), Event("REFUND.PROCESSING", 2, "1"), Event("REFUND.SUCCESS", 2, "1")),
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
        name="being given back",
        weight=4,
        events=(Event(PAID), Event("REFUND.PROCESSING", 5, "1")),
        status=Status.REFUNDING,
        paid=ALL,
    ),
    Template(
        name="a refund that the payer's card does not take",
        weight=4,
        events=(Event(PAID), Event("REFUND.PROCESSING", 5, "1"), Event("REFUND.CHANGE", 5, "1")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a refund that is called off",
        weight=3,
        events=(Event(PAID), Event("REFUND.REFUND_CLOSE", 5, "1")),
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
