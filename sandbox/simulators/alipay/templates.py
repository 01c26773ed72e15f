"""What can happen to a payment at Alipay, and what each event type means."""

from collections.abc import Mapping
from typing import Final

from sandbox.ledger.payments import PaymentState, RefundState
from sandbox.templates import ALL, AT_ONCE_S, Event, Template
from tillkeeper.domain.statuses import Status

EVENT_TYPES: Final[Mapping[str, PaymentState | RefundState | None]] = {
    "WAIT_BUYER_PAY": PaymentState.PENDING,
    "TRADE_SUCCESS": PaymentState.SUCCEEDED,
    "TRADE_FINISHED": PaymentState.SUCCEEDED,
    "TRADE_CLOSED": PaymentState.CANCELLED,
    "refund asked": RefundState.PENDING,
    "refunded": RefundState.SUCCEEDED,
}

TEMPLATES: Final = (
    Template(
        name="paid",
        weight=40,
        events=(Event("WAIT_BUYER_PAY"), Event("TRADE_SUCCESS", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="paid, and too old for a refund",
        weight=6,
        events=(Event("TRADE_SUCCESS"), Event("TRADE_FINISHED")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="at the till", weight=8, events=(Event("WAIT_BUYER_PAY"),), status=Status.PROCESSING),
    Template(
        name="never paid",
        weight=10,
        events=(Event("WAIT_BUYER_PAY"), Event("TRADE_CLOSED")),
        status=Status.FAILED,
    ),
    Template(
        name="a part given back",
        weight=10,
        events=(Event("WAIT_BUYER_PAY"), Event("TRADE_SUCCESS"), Event("refunded", 3, "1")),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=3,
    ),
    Template(
        name="two parts given back",
        weight=5,
        events=(Event("TRADE_SUCCESS"), Event("refunded", 3, "1"), Event("refunded", 7, "2")),  # totals, not parts
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=7,
    ),
    Template(
        name="given back",
        weight=8,
        events=(Event("TRADE_SUCCESS"), Event("refunded", ALL, "1")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="paid too little",
        weight=3,
        events=(Event("TRADE_SUCCESS", 8),),
        status=Status.PARTIALLY_PAID,
        paid=8,
    ),
    Template(
        name="paid where nobody expects it",
        weight=2,
        events=(Event("TRADE_SUCCESS"),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)
