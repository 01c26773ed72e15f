"""Reads what ShengPay's payments and refunds say, in notices and in answers alike.

Source: ShengPay's own repository shengpay-h5-pay-integration, `references/`: status-enums and error-codes.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit import units
from tillkeeper.gateways.kit.fact import Fact
from tillkeeper.gateways.kit.fields import text, text_or_none
from tillkeeper.gateways.kit.state import State
from tillkeeper.gateways.kit.times import moment_from_compact
from tillkeeper.gateways.kit.unknown_words import known_or_none, unknown_word
from tillkeeper.gateways.shengpay.signature import Fields

CURRENCY: Final = "CNY"  # no field names one
OK: Final = "SUCCESS"
FAIL: Final = "FAIL"
REFUND_ID: Final = "refundId"
REFUNDED_AT: Final = "refundSuccessTime"

_CODE: Final = re.compile(r"[A-Z_]{1,64}", re.ASCII)
_FEN: Final = re.compile(r"\d{1,18}", re.ASCII)

REFUND: Final = "REFUND"
TRADE_STATES: Final[Mapping[str, State | None]] = {
    "WAIT_PAY": None,
    "PAYING": State(kind=Kind.PAYMENT_PENDING),
    "SUCCESS": State(kind=Kind.PAYMENT_SUCCEEDED),
    REFUND: State(kind=Kind.PAYMENT_SUCCEEDED),  # it was paid, and something went back
    "CLOSED": State(kind=Kind.PAYMENT_CANCELLED, failure=FailureClass.EXPIRED_UNPAID),
    "REVOKED": State(kind=Kind.PAYMENT_CANCELLED, failure=FailureClass.USER_CANCELLED),
    "PAY_ERROR": State(kind=Kind.PAYMENT_FAILED, failure=FailureClass.UNKNOWN),  # nothing gives the bank's reason
}
REFUND_STATUSES: Final[Mapping[str, State]] = {
    "PROCESSING": State(kind=Kind.REFUND_PENDING),
    "SUCCESS": State(kind=Kind.REFUND_SUCCEEDED),
    "REFUND_CLOSE": State(kind=Kind.REFUND_FAILED, failure=FailureClass.UNKNOWN),
    "CHANGE": State(kind=Kind.REFUND_FAILED, failure=FailureClass.ACCOUNT_FROZEN),  # the card is void: by hand
}
# errorCode of a payment that failed; there is no table of declines.
FAILURES: Final[Mapping[str, FailureClass]] = {"BIZERR_NEED_RETRY": FailureClass.GATEWAY_FAULT}


def code_of(fields: Fields) -> str | None:
    """Returns the error code, if it looks like one; texts beside it may repeat what was asked."""
    code = text_or_none(fields, "errorCode")
    return code if code and _CODE.fullmatch(code) else None


def notice_state(fields: Fields) -> tuple[State | None, str]:
    """Returns how a payment ended, by its notice, and ShengPay's word for it; None where it says nothing that is known.

    A signed answer could be posted as a notice, and its resultCode says only that the query was a good one.
    """
    is_ok = _is_ok(fields)
    if is_ok is None:
        return None, ""
    if is_ok:
        return trade_state(fields) if text_or_none(fields, "tradeState") else (TRADE_STATES[OK], OK)
    code = code_of(fields) or FAIL
    return State(kind=Kind.PAYMENT_FAILED, failure=FAILURES.get(code, FailureClass.UNKNOWN)), code


def trade_state(fields: Fields) -> tuple[State | None, str]:
    """Returns where a payment stands, by an answer."""
    word = text(fields, "tradeState")
    return known_or_none(TRADE_STATES, word, "tradeState"), word


def refund_state(fields: Fields) -> tuple[State | None, str]:
    """Returns where a refund stands; None where no word that is known says it.  Both words of a notice must agree on a
    failure."""
    is_ok = _is_ok(fields)
    if is_ok is None:
        return None, ""
    word = text(fields, "refundStatus") if is_ok else text_or_none(fields, "refundStatus") or "REFUND_CLOSE"
    state = known_or_none(REFUND_STATUSES, word, "refundStatus")
    if state is not None and not is_ok and state.kind is not Kind.REFUND_FAILED:
        raise BadPayload("resultCode says that the refund failed, and refundStatus that it did not")
    return state, word


def _is_ok(fields: Fields) -> bool | None:
    result = text(fields, "resultCode")
    if result not in {OK, FAIL}:
        unknown_word("resultCode", result)
        return None
    return result == OK


def payment_fact(fields: Fields, state: State, word: str) -> Fact:
    """`totalFee` is what the order costs, coupons included.

    Before it is paid a payment may have no number: the order's own stands in, as it does in queries.
    """
    is_paid = state.kind is Kind.PAYMENT_SUCCEEDED
    order_ref, time_end = text(fields, "outTradeNo"), text_or_none(fields, "timeEnd")
    is_priced = is_paid or fields.get("totalFee") not in (None, "")
    return Fact(
        kind=state.kind,
        occurred_at=None if time_end is None else moment_from_compact(time_end),
        order_ref=order_ref,
        payment_ref=text(fields, "transactionId") if is_paid else text_or_none(fields, "transactionId") or order_ref,
        amount=_fen(fields, "totalFee") if is_priced else None,
        currency=CURRENCY if is_priced else None,
        failure=state.failure,
        failure_code=word if state.failure else None,
        method=text_or_none(fields, "tradeType"),
        has_refunds=word == REFUND,
    )


def refund_fact(fields: Fields, state: State, word: str, occurred_at: datetime | None = None) -> Fact:
    """Returns a refund, known by the merchant's own number."""
    return Fact(
        kind=state.kind,
        occurred_at=occurred_at,
        order_ref=text(fields, "outTradeNo"),
        payment_ref=text(fields, "transactionId"),
        refund_ref=text(fields, "outRefundNo"),
        amount=_fen(fields, "refundFee"),
        currency=CURRENCY,
        failure=state.failure,
        failure_code=word if state.failure else None,
    )


def _fen(fields: Fields, name: str) -> int:
    """Returns a whole number, which payments write as one, and refunds as text."""
    amount = fields.get(name)
    if isinstance(amount, str) and _FEN.fullmatch(amount):
        amount = int(amount)
    return units.from_minor(amount, CURRENCY)
