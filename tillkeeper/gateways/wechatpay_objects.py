"""What WeChat Pay's transactions and refunds say, in notices and in answers alike.

Source: WeChat Pay's pages "支付通知", "查询订单", "退款通知", "查询单笔退款", and their tables of states and
error codes.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, Generic, TypeVar

import msgspec

from tillkeeper.domain.events import Kind, PaymentEvent
from tillkeeper.domain.failures import FailureClass
from tillkeeper.domain.money import BadMoney, exponent, minor
from tillkeeper.gateways.base import BadPayload
from tillkeeper.gateways.fields import at, integer, moment_from_rfc3339, text, text_or_none

ToldAt = Callable[[], datetime]  # stands in where no time of its own is told
K = TypeVar("K", bound=Kind | None)


class State(msgspec.Struct, Generic[K], frozen=True, kw_only=True):
    """What a word of WeChat Pay's means; without a kind it changes nothing."""

    kind: K
    failure: FailureClass | None = None


TRADE_STATES: Final[Mapping[str, State[Kind | None]]] = {
    "SUCCESS": State(kind=Kind.PAYMENT_SUCCEEDED),
    "REFUND": State(kind=Kind.PAYMENT_SUCCEEDED),  # it was paid; what went back has notices of its own
    "NOTPAY": State(kind=None),
    "USERPAYING": State(kind=Kind.PAYMENT_PENDING),
    "CLOSED": State(kind=Kind.PAYMENT_CANCELLED, failure=FailureClass.EXPIRED_UNPAID),
    "REVOKED": State(kind=Kind.PAYMENT_CANCELLED, failure=FailureClass.USER_CANCELLED),
    "PAYERROR": State(kind=Kind.PAYMENT_FAILED, failure=FailureClass.UNKNOWN),
}

REFUND_STATUSES: Final[Mapping[str, State[Kind]]] = {
    "SUCCESS": State(kind=Kind.REFUND_SUCCEEDED),
    "PROCESSING": State(kind=Kind.REFUND_PENDING),
    "ABNORMAL": State(kind=Kind.REFUND_FAILED, failure=FailureClass.ACCOUNT_FROZEN),  # the payer's card is void
    "CLOSED": State(kind=Kind.REFUND_FAILED, failure=FailureClass.UNKNOWN),
}

# Error codes of a payment that failed, as queries and other products tell them.
FAILURES: Final = {
    "NOT_ENOUGH": FailureClass.INSUFFICIENT_FUNDS,
    "NOTENOUGH": FailureClass.INSUFFICIENT_FUNDS,
    "FREQUENCY_LIMITED": FailureClass.GATEWAY_FAULT,  # our calls were too many, not the payer's
    "RATELIMIT_EXCEEDED": FailureClass.GATEWAY_FAULT,
    "SYSTEM_ERROR": FailureClass.GATEWAY_FAULT,
    "BANK_ERROR": FailureClass.GATEWAY_FAULT,
    "ACCOUNT_ERROR": FailureClass.ACCOUNT_FROZEN,
    "ACCOUNTERROR": FailureClass.ACCOUNT_FROZEN,
    "USER_ACCOUNT_ABNORMAL": FailureClass.ACCOUNT_FROZEN,
    "AUTH_CODE_EXPIRE": FailureClass.BANK_VERIFICATION_FAILED,
    "AUTH_CODE_INVALID": FailureClass.BANK_VERIFICATION_FAILED,
    "ORDER_CLOSED": FailureClass.EXPIRED_UNPAID,
    "RULE_LIMIT": FailureClass.LIMIT_EXCEEDED,
    "TRADE_ERROR": FailureClass.LIMIT_EXCEEDED,
    "NO_AUTH": FailureClass.METHOD_UNAVAILABLE,
    "APPID_MCHID_NOT_MATCH": FailureClass.METHOD_UNAVAILABLE,
}


def transaction_event(account: str, transaction: object, told_at: ToldAt) -> PaymentEvent | None:
    """`total` is what the order costs; `payer_total` is less when a coupon of WeChat Pay's paid a part of it.

    A transaction that was never paid may have neither number nor amount.
    """
    word = text(transaction, "trade_state")
    state = _state(TRADE_STATES, word)
    if state.kind is None:
        return None
    amount, currency = (None, None) if at(transaction, ["amount"]) is None else _money(transaction, "total")
    return PaymentEvent(
        event_id="",
        kind=state.kind,
        account=account,
        occurred_at=_time(transaction, "success_time") or told_at(),
        order_ref=text(transaction, "out_trade_no"),
        payment_ref=text_or_none(transaction, "transaction_id"),
        amount=amount,
        currency=currency,
        failure=state.failure,
        failure_code=word if state.failure else None,
        method=text_or_none(transaction, "trade_type"),
    )


def refund_notice(account: str, refund: object, told_at: ToldAt) -> PaymentEvent:
    """A refund as notices write it."""
    return _refund_event(account, refund, told_at, text(refund, "refund_status"))


def refund_answer(account: str, refund: object, told_at: ToldAt) -> PaymentEvent:
    """A refund as answers write it."""
    return _refund_event(account, refund, told_at, text(refund, "status"))


def _refund_event(account: str, refund: object, told_at: ToldAt, word: str) -> PaymentEvent:
    """Known by the merchant's number, for it can only be asked about by that.

    Pending since it was made, so that no outcome can seem to lie before it.
    """
    state = _state(REFUND_STATUSES, word)
    since = _time(refund, "create_time") if state.kind is Kind.REFUND_PENDING else None
    amount, currency = _money(refund, "refund")
    return PaymentEvent(
        event_id="",
        kind=state.kind,
        account=account,
        occurred_at=since or _time(refund, "success_time") or told_at(),
        order_ref=text_or_none(refund, "out_trade_no"),
        payment_ref=text_or_none(refund, "transaction_id"),
        refund_ref=text_or_none(refund, "out_refund_no") or text(refund, "refund_id"),
        amount=amount,
        currency=currency,
        failure=state.failure,
        failure_code=word if state.failure else None,
    )


def _state(table: Mapping[str, State[K]], word: str) -> State[K]:
    try:
        return table[word]
    except KeyError:
        raise BadPayload("the state of the payment or refund is none that is known") from None


def _time(resource: object, name: str) -> datetime | None:
    written = text_or_none(resource, name)
    return None if written is None else moment_from_rfc3339(written)


def _money(resource: object, field: str) -> tuple[int, str]:
    """Minor units and currency; refund notices name no currency, for they are in yuan."""
    currency = text_or_none(resource, "amount", "currency") or "CNY"
    try:
        exponent(currency)
        return minor(integer(resource, "amount", field)), currency
    except BadMoney as error:
        raise BadPayload(str(error)) from None
