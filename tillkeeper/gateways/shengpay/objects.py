"""ShengPay's fields: what is signed of them, and what payments and refunds say, in notices and in answers alike.

Source: ShengPay's own repository shengpay-h5-pay-integration, `references/`: signing, status-enums and error-codes.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from tillkeeper.domain.events import Kind, PaymentEvent
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit import units
from tillkeeper.gateways.kit.fields import text, text_or_none
from tillkeeper.gateways.kit.times import moment_from_compact
from tillkeeper.gateways.kit.unknown_words import unknown_word

Fields = Mapping[str, object]

CURRENCY: Final = "CNY"  # no field tells one
OK: Final = "SUCCESS"
FAIL: Final = "FAIL"
SIGN: Final = "sign"

# What an event is made from, or whether there is one.
DECIDING: Final = frozenset(
    {
        *("appId", "mchId", "signType", "returnCode", "resultCode", "errorCode", "eventType"),
        *("outTradeNo", "transactionId", "tradeState", "tradeType", "totalFee", "timeEnd"),
        *("refundId", "outRefundNo", "refundStatus", "refundFee", "refundSuccessTime"),
    }
)

_CODE: Final = re.compile(r"[A-Z_]{1,64}", re.ASCII)
_FEN: Final = re.compile(r"\d{1,18}", re.ASCII)


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What a word of ShengPay's means."""

    kind: Kind
    failure: FailureClass | None = None


REFUND: Final = "REFUND"
TRADE_STATES: Final[Mapping[str, State | None]] = {
    "WAIT_PAY": None,
    "PAYING": State(kind=Kind.PAYMENT_PENDING),
    "SUCCESS": State(kind=Kind.PAYMENT_SUCCEEDED),
    REFUND: State(kind=Kind.PAYMENT_SUCCEEDED),  # it was paid, and something went back
    "CLOSED": State(kind=Kind.PAYMENT_CANCELLED, failure=FailureClass.EXPIRED_UNPAID),
    "REVOKED": State(kind=Kind.PAYMENT_CANCELLED, failure=FailureClass.USER_CANCELLED),
    "PAY_ERROR": State(kind=Kind.PAYMENT_FAILED, failure=FailureClass.UNKNOWN),  # the bank's reason is not told
}
REFUND_STATUSES: Final[Mapping[str, State]] = {
    "PROCESSING": State(kind=Kind.REFUND_PENDING),
    "SUCCESS": State(kind=Kind.REFUND_SUCCEEDED),
    "REFUND_CLOSE": State(kind=Kind.REFUND_FAILED, failure=FailureClass.UNKNOWN),
    "CHANGE": State(kind=Kind.REFUND_FAILED, failure=FailureClass.ACCOUNT_FROZEN),  # the card is void: by hand
}
# errorCode of a payment that failed; there is no table of declines.
FAILURES: Final[Mapping[str, FailureClass]] = {"BIZERR_NEED_RETRY": FailureClass.GATEWAY_FAULT}


def signing_text(fields: Mapping[str, str]) -> str:
    """Every field with a value but the signature itself, whatever fields there are."""
    return "&".join(f"{name}={value}" for name, value in sorted(fields.items()) if name != SIGN and value)


def as_signed(value: object, raw: bytes) -> str:
    """A value as it takes part: a text without its quotes and escapes, nothing for null, all else as it is written."""
    if value is None:
        return ""
    return value if isinstance(value, str) else raw.decode()


def code_of(fields: Fields) -> str | None:
    """The error code, if it looks like one; texts beside it may repeat what was asked."""
    code = text_or_none(fields, "errorCode")
    return code if code and _CODE.fullmatch(code) else None


def notice_state(fields: Fields) -> tuple[State | None, str]:
    """How a payment ended, by its notice, and ShengPay's word for it; None where it says nothing that is known.

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
    """Where a payment stands, by an answer."""
    word = text(fields, "tradeState")
    if word not in TRADE_STATES:
        unknown_word("tradeState", word)
    return TRADE_STATES.get(word), word


def refund_state(fields: Fields) -> tuple[State | None, str]:
    """Where a refund stands; None where no word that is known says it.  Both words of a notice must agree on a
    failure."""
    is_ok = _is_ok(fields)
    if is_ok is None:
        return None, ""
    word = text(fields, "refundStatus") if is_ok else text_or_none(fields, "refundStatus") or "REFUND_CLOSE"
    state = REFUND_STATUSES.get(word)
    if state is None:
        unknown_word("refundStatus", word)
    elif not is_ok and state.kind is not Kind.REFUND_FAILED:
        raise BadPayload("resultCode says that the refund failed, and refundStatus that it did not")
    return state, word


def _is_ok(fields: Fields) -> bool | None:
    result = text(fields, "resultCode")
    if result not in {OK, FAIL}:
        unknown_word("resultCode", result)
        return None
    return result == OK


def payment_event(account: str, fields: Fields, state: State, word: str, told_at: datetime) -> PaymentEvent:
    """`totalFee` is what the order costs, coupons included.

    Before it is paid a payment may have no number: the order's own stands in, as it does in queries.
    """
    is_paid = state.kind is Kind.PAYMENT_SUCCEEDED
    order_ref, time_end = text(fields, "outTradeNo"), text_or_none(fields, "timeEnd")
    is_told = is_paid or fields.get("totalFee") not in (None, "")
    return PaymentEvent(
        event_id="",
        kind=state.kind,
        account=account,
        occurred_at=told_at if time_end is None else moment_from_compact(time_end),
        order_ref=order_ref,
        payment_ref=text(fields, "transactionId") if is_paid else text_or_none(fields, "transactionId") or order_ref,
        amount=_fen(fields, "totalFee") if is_told else None,
        currency=CURRENCY if is_told else None,
        failure=state.failure,
        failure_code=word if state.failure else None,
        method=text_or_none(fields, "tradeType"),
        has_refunds=word == REFUND,
    )


def refund_event(account: str, fields: Fields, state: State, word: str, told_at: datetime) -> PaymentEvent:
    """A refund, known by the merchant's own number."""
    return PaymentEvent(
        event_id="",
        kind=state.kind,
        account=account,
        occurred_at=told_at,
        order_ref=text(fields, "outTradeNo"),
        payment_ref=text(fields, "transactionId"),
        refund_ref=text(fields, "outRefundNo"),
        amount=_fen(fields, "refundFee"),
        currency=CURRENCY,
        failure=state.failure,
        failure_code=word if state.failure else None,
    )


def _fen(fields: Fields, name: str) -> int:
    """A whole number, which payments write as one, and refunds as text."""
    amount = fields.get(name)
    if isinstance(amount, str) and _FEN.fullmatch(amount):
        amount = int(amount)
    return units.from_minor(amount, CURRENCY)
