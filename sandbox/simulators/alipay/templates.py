"""Lists what can happen to a payment at Alipay, and what each event type means."""

from collections.abc import Mapping
from typing import Final

from tillkeeper.sandbox.ledger.payments import PaymentState, RefundState
from tillkeeper.sandbox.templates import (
    ALL,
    AT_ONCE_S,
    Event,
    at_other_account,
    failed,
    paid,
    partially_paid,
    partially_refunded,
    processing,
    refunded,
)

EVENT_TYPES: Final[Mapping[str, PaymentState | RefundState | None]] = {
    "WAIT_BUYER_PAY": PaymentState.PENDING,
    "TRADE_SUCCESS": PaymentState.SUCCEEDED,
    "TRADE_FINISHED": PaymentState.SUCCEEDED,
    "TRADE_CLOSED": PaymentState.CANCELLED,
    "refund asked": RefundState.PENDING,
    "refunded": RefundState.SUCCEEDED,
}

TEMPLATES: Final = (
    paid("paid", 40, Event("WAIT_BUYER_PAY"), Event("TRADE_SUCCESS", after_s=AT_ONCE_S)),
    paid("paid, and too old for a refund", 6, Event("TRADE_SUCCESS"), Event("TRADE_FINISHED")),
    processing("at the till", 8, Event("WAIT_BUYER_PAY")),
    failed("never paid", 10, Event("WAIT_BUYER_PAY"), Event("TRADE_CLOSED")),
    partially_refunded(
        "a part given back", 10, 3, Event("WAIT_BUYER_PAY"), Event("TRADE_SUCCESS"), Event("refunded", 3, "1")
    ),
    partially_refunded(
        "two parts given back", 5, 7, Event("TRADE_SUCCESS"), Event("refunded", 3, "1"), Event("refunded", 7, "2")
    ),
    refunded("given back", 8, Event("TRADE_SUCCESS"), Event("refunded", ALL, "1")),
    partially_paid("paid too little", 3, 8, Event("TRADE_SUCCESS", 8)),
    at_other_account(Event("TRADE_SUCCESS")),
)
