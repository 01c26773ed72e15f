"""Reads what Lakala's aggregated trades say: each is a payment or a refund.

Sources: o.lakala.com documents 1112 (aggregated trade notice) and 1111 (trade query).
"""

from collections.abc import Mapping
from typing import Final

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit.fact import Fact
from tillkeeper.gateways.kit.fields import text, text_or_none
from tillkeeper.gateways.kit.state import State
from tillkeeper.gateways.kit.unknown_words import known_or_none
from tillkeeper.gateways.lakala.fields import Fields, currency_in, failure_of, moment_or_none, money

RETURNS: Final = frozenset({"REFUND", "CANCEL"})  # a refund; and 撤销, the whole of a payment taken back on its day

_SUCCEEDED: Final = State(kind=Kind.PAYMENT_SUCCEEDED)
_REFUND_FAILED: Final = State(kind=Kind.REFUND_FAILED, failure=FailureClass.UNKNOWN)

PART_REFUND: Final = "PART_REFUND"
# trade_status of notices, trade_state of answers.  None says nothing of money yet.
PAYMENT_STATES: Final[Mapping[str, State | None]] = {
    "INIT": None,
    "CREATE": None,
    "UNKNOWN": None,
    "DEAL": State(kind=Kind.PAYMENT_PENDING),
    "SUCCESS": _SUCCEEDED,
    "FAIL": State(kind=Kind.PAYMENT_FAILED, failure=FailureClass.UNKNOWN),
    "CLOSE": State(kind=Kind.PAYMENT_CANCELLED, failure=FailureClass.EXPIRED_UNPAID),
    PART_REFUND: _SUCCEEDED,  # how much went back is not said here
    "REFUND": _SUCCEEDED,  # and all of it went back
    "REVOKED": _SUCCEEDED,  # as well
}
ALL_BACK: Final = frozenset({"REFUND", "REVOKED"})
# The same words where the trade is itself a refund.
RETURN_STATES: Final[Mapping[str, State | None]] = {
    "INIT": None,
    "CREATE": None,
    "UNKNOWN": None,
    "DEAL": State(kind=Kind.REFUND_PENDING),
    "SUCCESS": State(kind=Kind.REFUND_SUCCEEDED),
    "FAIL": _REFUND_FAILED,
    "CLOSE": _REFUND_FAILED,
}


def facts_of(trade: Fields) -> tuple[Fact, ...]:
    """Returns what one trade says, as a payment or as a refund."""
    return _return_facts(trade) if is_return(trade) else _payment_facts(trade)


def event_id_of(trade: Fields) -> str:
    """Every repetition of a notice has the number of its trade, and its status."""
    return f"{text(trade, 'trade_no')}:{_word(trade)}"


def is_return(fields: Fields) -> bool:
    """Says whether an aggregated trade is a refund: it names its kind, or the trade that it gives back."""
    return text_or_none(fields, "trade_main_type") in RETURNS or any(
        text_or_none(fields, name) for name in ("origin_trade_no", "origin_out_trade_no")
    )


def _word(trade: Fields) -> str:
    words = {word for name in ("trade_status", "trade_state") if (word := text_or_none(trade, name))}
    if len(words) != 1:
        raise BadPayload("trade_status is missing, or trade_state is another")
    return words.pop()


def _payment_facts(trade: Fields) -> tuple[Fact, ...]:
    word = _word(trade)
    state, currency = known_or_none(PAYMENT_STATES, word, "trade_status"), currency_in(trade)
    if state is None or currency is None:
        return ()
    payment = Fact(
        kind=state.kind,
        # A failure's own time could seem to lie before a word that it was on its way, and be lost.
        occurred_at=None if state.failure else moment_or_none(trade, "trade_time"),
        order_ref=text(trade, "out_trade_no"),
        payment_ref=text(trade, "trade_no"),
        amount=money(trade, "total_amount", currency),
        currency=currency,
        failure=failure_of(state, trade),
        failure_code=word if state.failure else None,
        method=text_or_none(trade, "account_type"),
        has_refunds=word == PART_REFUND,
    )
    return (payment, _whole_refund(payment)) if word in ALL_BACK else (payment,)


def _whole_refund(payment: Fact) -> Fact:
    """Returns a running total, so that refunds that are known one by one are not counted again.

    It has no time of its own: trade_time is the payment's.
    """
    return Fact(
        kind=Kind.REFUND_SUCCEEDED,
        order_ref=payment.order_ref,
        payment_ref=payment.payment_ref,
        total=payment.amount,
        currency=payment.currency,
        part="total",
    )


def _return_facts(trade: Fields) -> tuple[Fact, ...]:
    """Reads a refund, which is known by Lakala's number of it.  Its `total_amount` may be the payment's, and is never
    taken for the refund's.

    No fact has a time of its own, for a refund on its way has none.
    """
    word = _word(trade)
    state, currency = known_or_none(RETURN_STATES, word, "trade_status"), currency_in(trade)
    if state is None or currency is None:
        return ()
    has_amount = trade.get("refund_amount") not in (None, "")
    refund = Fact(
        kind=state.kind,
        order_ref=text_or_none(trade, "origin_out_trade_no"),
        payment_ref=text_or_none(trade, "origin_trade_no"),
        refund_ref=text(trade, "trade_no"),
        amount=money(trade, "refund_amount", currency) if has_amount else None,
        currency=currency if has_amount else None,
        failure=failure_of(state, trade),
        failure_code=word if state.failure else None,
    )
    return (refund,)
