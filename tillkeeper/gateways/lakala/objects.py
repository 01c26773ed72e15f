"""What Lakala's notices and answers say: aggregated trades, and orders of the cashier with their trades.

Sources: o.lakala.com documents 1112 (aggregated trade notice) and 1111 (trade query); its pages "收银台订单通知" and
"收银台订单查询" for the cashier; its sample of 2021 in document 1009 for the oldest family.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final, cast

import msgspec

from tillkeeper.domain.events import Kind, PaymentEvent
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit import units
from tillkeeper.gateways.kit.fields import moment_from_rfc3339, text, text_or_none
from tillkeeper.gateways.kit.times import moment_from_compact
from tillkeeper.gateways.kit.unknown_words import unknown_word

Fields = Mapping[str, object]

PAY: Final = "PAY"
RETURNS: Final = frozenset({"REFUND", "CANCEL"})  # a refund; and 撤销, the whole of a payment taken back on its day
AGGREGATED_MARKS: Final = frozenset({"out_trade_no", "trade_status", "trade_state"})
CASHIER_MARKS: Final = frozenset({"out_order_no", "order_status", "order_trade_info"})
OLD_MARKS: Final = frozenset({"merchantOrderNo", "payStatus"})

_FEN: Final = re.compile(r"\d{1,12}", re.ASCII)


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What a word of Lakala's means."""

    kind: Kind
    failure: FailureClass | None = None


_PENDING: Final = State(kind=Kind.PAYMENT_PENDING)
_SUCCEEDED: Final = State(kind=Kind.PAYMENT_SUCCEEDED)
_FAILED: Final = State(kind=Kind.PAYMENT_FAILED, failure=FailureClass.UNKNOWN)
_EXPIRED: Final = State(kind=Kind.PAYMENT_CANCELLED, failure=FailureClass.EXPIRED_UNPAID)
_CANCELLED: Final = State(kind=Kind.PAYMENT_CANCELLED, failure=FailureClass.USER_CANCELLED)
_REFUND_FAILED: Final = State(kind=Kind.REFUND_FAILED, failure=FailureClass.UNKNOWN)

PART_REFUND: Final = "PART_REFUND"
# trade_status of notices, trade_state of answers.  None says nothing of money yet.
AGGREGATED: Final[Mapping[str, State | None]] = {
    "INIT": None,
    "CREATE": None,
    "UNKNOWN": None,
    "DEAL": _PENDING,
    "SUCCESS": _SUCCEEDED,
    "FAIL": _FAILED,
    "CLOSE": _EXPIRED,
    PART_REFUND: _SUCCEEDED,  # how much went back is not told here
    "REFUND": _SUCCEEDED,  # and all of it went back
    "REVOKED": _SUCCEEDED,  # as well
}
ALL_BACK: Final = frozenset({"REFUND", "REVOKED"})
# The same words where the trade is itself a refund.
AGGREGATED_RETURNS: Final[Mapping[str, State | None]] = {
    "INIT": None,
    "CREATE": None,
    "UNKNOWN": None,
    "DEAL": State(kind=Kind.REFUND_PENDING),
    "SUCCESS": State(kind=Kind.REFUND_SUCCEEDED),
    "FAIL": _REFUND_FAILED,
    "CLOSE": _REFUND_FAILED,
}
# trade_status of a cashier's trade.
REVERSED: Final = "C"  # 被冲正
TRADES: Final[Mapping[str, State]] = {
    "S": _SUCCEEDED,
    "F": _FAILED,
    REVERSED: _FAILED,
    "X": State(kind=Kind.PAYMENT_FAILED, failure=FailureClass.GATEWAY_FAULT),  # it was never sent
    "T": _PENDING,  # no answer came yet: it may still succeed
    "U": _PENDING,
    "P": _PENDING,
}
RETURN_TRADES: Final[Mapping[str, State]] = {
    "S": State(kind=Kind.REFUND_SUCCEEDED),
    "F": _REFUND_FAILED,
    REVERSED: _REFUND_FAILED,
    "X": State(kind=Kind.REFUND_FAILED, failure=FailureClass.GATEWAY_FAULT),
    "T": State(kind=Kind.REFUND_PENDING),
    "U": State(kind=Kind.REFUND_PENDING),
    "P": State(kind=Kind.REFUND_PENDING),
}
# order_status of a cashier's order, for one that has no trade.  Once there are trades, they tell.
ORDERS: Final[Mapping[str, State | None]] = {
    "0": None,
    "1": None,
    "3": _FAILED,
    "4": _EXPIRED,
    "5": _CANCELLED,
    "7": _EXPIRED,  # closed
}
PAID_ORDER: Final = "2"
REFUNDED_ORDER: Final = "6"  # in part or all

# Codes of declines are not published: the words that they come with are.  The first that occurs decides.
WORDS: Final[tuple[tuple[str, FailureClass], ...]] = (
    ("余额不足", FailureClass.INSUFFICIENT_FUNDS),
    ("风控", FailureClass.SUSPECTED_FRAUD),
    ("风险", FailureClass.SUSPECTED_FRAUD),
    ("欺诈", FailureClass.SUSPECTED_FRAUD),
    ("冻结", FailureClass.ACCOUNT_FROZEN),
    ("挂失", FailureClass.ACCOUNT_FROZEN),
    ("限额", FailureClass.LIMIT_EXCEEDED),
    ("超限", FailureClass.LIMIT_EXCEEDED),
    ("密码", FailureClass.BANK_VERIFICATION_FAILED),
    ("验证", FailureClass.BANK_VERIFICATION_FAILED),
    ("优惠", FailureClass.COUPON_CONFLICT),
    ("不支持", FailureClass.METHOD_UNAVAILABLE),
    ("用户取消", FailureClass.USER_CANCELLED),
    ("超时", FailureClass.NETWORK_TIMEOUT),
    ("系统", FailureClass.GATEWAY_FAULT),
    ("有效期", FailureClass.CARD_EXPIRED_OR_INVALID),
    ("卡", FailureClass.CARD_EXPIRED_OR_INVALID),
)
TEXTS: Final = ("trade_state_desc", "trade_status_desc", "channel_ret_desc", "result_desc", "trade_remark", "remark")


class Notice(msgspec.Struct, frozen=True):
    """A decoded body, and when it came: not every word has a time of its own."""

    fields: Fields
    heard_at: datetime


def is_of_payments(fields: Fields) -> bool:
    """Whether a notice is of one of the three families."""
    return not (OLD_MARKS | CASHIER_MARKS | AGGREGATED_MARKS).isdisjoint(fields)


def merchant_of(fields: Fields) -> str:
    """Whose money it is.  Lakala signs every merchant's notices with one key."""
    return text(fields, "merchantNo") if not OLD_MARKS.isdisjoint(fields) else text(fields, "merchant_no")


def events_of(account: str, fields: Fields, heard_at: datetime) -> tuple[PaymentEvent, ...]:
    """What a notice says, of whichever family."""
    if not OLD_MARKS.isdisjoint(fields):
        return old_events(account, fields, heard_at)
    if not CASHIER_MARKS.isdisjoint(fields):
        trade = fields.get("order_trade_info")
        return order_events(account, fields, [] if trade in (None, {}) else [trade], heard_at)
    return aggregated_events(account, fields, heard_at)


def is_refunded_untold(fields: Fields) -> bool:
    """True where a cashier's order tells that money went back, and its one trade is not the refund."""
    if text_or_none(fields, "order_status") != REFUNDED_ORDER:
        return False
    trade = fields.get("order_trade_info")
    return trade in (None, {}) or text(trade, "trade_type") not in RETURNS


def is_return(fields: Fields) -> bool:
    """Whether an aggregated trade is a refund: it names its kind, or the trade that it gives back."""
    return text_or_none(fields, "trade_main_type") in RETURNS or any(
        text_or_none(fields, name) for name in ("origin_trade_no", "origin_out_trade_no")
    )


def aggregated_events(account: str, fields: Fields, heard_at: datetime) -> tuple[PaymentEvent, ...]:
    """One trade: a payment, or a refund."""
    word = _aggregated_word(fields)
    return (_aggregated_return if is_return(fields) else _aggregated_payment)(account, fields, word, heard_at)


def _aggregated_word(fields: Fields) -> str:
    told = {it for name in ("trade_status", "trade_state") if (it := text_or_none(fields, name))}
    if len(told) != 1:
        raise BadPayload("trade_status is missing, or trade_state is another")
    return told.pop()


def _aggregated_payment(account: str, fields: Fields, word: str, heard_at: datetime) -> tuple[PaymentEvent, ...]:
    state, currency = _state(AGGREGATED, word), _currency(fields)
    if state is None or currency is None:
        return ()
    trade_no = text(fields, "trade_no")
    amount = _fen(fields, "total_amount", currency)
    payment = PaymentEvent(
        event_id=f"{trade_no}:{word}",
        kind=state.kind,
        account=account,
        # A failure's own time could seem to lie before a word that it was on its way, and be lost.
        occurred_at=heard_at if state.failure else _time_or(fields, "trade_time", heard_at),
        order_ref=text(fields, "out_trade_no"),
        payment_ref=trade_no,
        amount=amount,
        currency=currency,
        failure=_failure(state, fields),
        failure_code=word if state.failure else None,
        method=text_or_none(fields, "account_type"),
        has_refunds=word == PART_REFUND,
    )
    if word not in ALL_BACK:
        return (payment,)
    # A running total, so that refunds that are known one by one are not counted again.  trade_time is the payment's.
    back = PaymentEvent(
        event_id=f"{trade_no}:{word}:total",
        kind=Kind.REFUND_SUCCEEDED,
        account=account,
        occurred_at=heard_at,
        order_ref=payment.order_ref,
        payment_ref=trade_no,
        total=amount,
        currency=currency,
    )
    return (payment, back)


def _aggregated_return(account: str, fields: Fields, word: str, heard_at: datetime) -> tuple[PaymentEvent, ...]:
    """By Lakala's number of the refund.  Its `total_amount` may be the payment's, and is never taken for the refund's.

    All has the time at which it was told, for a refund on its way has no other.
    """
    state, currency = _state(AGGREGATED_RETURNS, word), _currency(fields)
    if state is None or currency is None:
        return ()
    trade_no = text(fields, "trade_no")
    is_told = fields.get("refund_amount") not in (None, "")
    event = PaymentEvent(
        event_id=f"{trade_no}:{word}",
        kind=state.kind,
        account=account,
        occurred_at=heard_at,
        order_ref=text_or_none(fields, "origin_out_trade_no"),
        payment_ref=text_or_none(fields, "origin_trade_no"),
        refund_ref=trade_no,
        amount=_fen(fields, "refund_amount", currency) if is_told else None,
        currency=currency if is_told else None,
        failure=_failure(state, fields),
        failure_code=word if state.failure else None,
    )
    return (event,)


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """One trade of a cashier's order.  `began_at` is when the order was made: no word of a trade can be older."""

    order_ref: str
    trade_no: str
    type: str
    status: str
    amount: int | None
    currency: str
    at: datetime | None
    began_at: datetime
    origin_no: str | None
    method: str | None
    fields: Fields


def order_events(account: str, order: Fields, trades: list[object], heard_at: datetime) -> tuple[PaymentEvent, ...]:
    """What all trades of a cashier's order say; of one without any, how it ended."""
    order_ref, status = text(order, "out_order_no"), text(order, "order_status")
    if status in {PAID_ORDER, REFUNDED_ORDER} and not trades:
        raise BadPayload("an order that was paid tells of no trade")
    if status not in {*ORDERS, PAID_ORDER, REFUNDED_ORDER}:
        unknown_word("order_status", status)
    if trades:
        read = [trade for it in trades if (trade := _cashier_trade(order, it)) is not None]
        payments = {it.trade_no for it in read if it.type == PAY and it.status == "S"}
        only = payments.pop() if len(payments) == 1 else None
        is_untold = status == REFUNDED_ORDER and all(it.type == PAY for it in read)
        told = (event for it in read for event in _trade_events(account, it, only, heard_at))
        return tuple(_with_refunds(it) if is_untold else it for it in told)
    state = ORDERS.get(status)
    if state is None:
        return ()
    event = PaymentEvent(
        event_id=f"{text(order, 'pay_order_no')}:order:{status}",
        kind=state.kind,
        account=account,
        occurred_at=heard_at,
        order_ref=order_ref,
        payment_ref=order_ref,  # nobody tried to pay: the order's own number stands in
        failure=state.failure,
        failure_code=status,
    )
    return (event,)


def _with_refunds(event: PaymentEvent) -> PaymentEvent:
    """A payment of an order that says that something went back, and not what."""
    return msgspec.structs.replace(event, has_refunds=event.kind is Kind.PAYMENT_SUCCEEDED)


def _cashier_trade(order: Fields, told: object) -> Trade | None:
    """None where its currency is not known."""
    if not isinstance(told, dict):
        raise BadPayload("a trade of the order is no object")
    fields = cast("Fields", told)
    currency = _currency(order)
    if currency is None:
        return None
    return Trade(
        order_ref=text(order, "out_order_no"),
        trade_no=text(fields, "trade_no"),
        type=text(fields, "trade_type"),
        status=text(fields, "trade_status"),
        amount=_fen(fields, "trade_amount", currency),
        currency=currency,
        at=_time(fields, "trade_time"),
        began_at=moment_from_compact(text(order, "order_create_time")),
        origin_no=text_or_none(fields, "origin_trade_no"),
        method=text_or_none(fields, "pay_mode") or text_or_none(fields, "busi_type"),
        fields=fields,
    )


def old_events(account: str, fields: Fields, heard_at: datetime) -> tuple[PaymentEvent, ...]:
    """The family of 2021: a cashier's trade under other names.  Whose amount a refund's is, no source tells."""
    currency, kind = _currency(fields), text(fields, "tradeType")
    if currency is None:
        return ()
    trade = Trade(
        order_ref=text(fields, "merchantOrderNo"),
        trade_no=text(fields, "lklOrderNo"),
        type=kind,
        status=text(fields, "payStatus"),
        amount=_fen(fields, "amount", currency) if kind == PAY else None,
        currency=currency,
        at=_time(fields, "tradeTime"),
        began_at=moment_from_rfc3339(text(fields, "orderCreateTime")),
        origin_no=None,
        method=None,
        fields=fields,
    )
    return _trade_events(account, trade, None, heard_at)


def _trade_events(account: str, trade: Trade, only: str | None, heard_at: datetime) -> tuple[PaymentEvent, ...]:
    """`only` is the payment that a refund must be of if it does not say."""
    if trade.type != PAY and trade.type not in RETURNS:
        unknown_word("trade_type", trade.type)
        return ()
    state = _state(TRADES if trade.type == PAY else RETURN_TRADES, trade.status)
    if state is None:
        return ()
    is_pending = state.kind in {Kind.PAYMENT_PENDING, Kind.REFUND_PENDING}
    event = PaymentEvent(
        event_id=f"{trade.trade_no}:{trade.type}:{trade.status}",
        kind=state.kind,
        account=account,
        # What is on its way has no time of its own, and must never seem later than its end.
        occurred_at=trade.began_at if is_pending else trade.at or heard_at,
        order_ref=trade.order_ref,
        payment_ref=trade.trade_no if trade.type == PAY else trade.origin_no or only,
        refund_ref=None if trade.type == PAY else trade.trade_no,
        amount=trade.amount,
        currency=None if trade.amount is None else trade.currency,
        failure=_failure(state, trade.fields),
        failure_code=trade.status if state.failure else None,
        method=trade.method if trade.type == PAY else None,
    )
    if trade.type != PAY or trade.status != REVERSED:
        return (event,)
    # Had it succeeded before, the failure alone would be passed over, and the money's leaving with it.
    taken = msgspec.structs.replace(
        event,
        event_id=f"{event.event_id}:reversed",
        kind=Kind.PAYMENT_REVERSED,
        failure=None,
        failure_code=None,
        method=None,
    )
    return (event, taken)


def _state(table: Mapping[str, State | None] | Mapping[str, State], word: str) -> State | None:
    """None for a word that says nothing of money, or is not known: nothing is guessed of what it means."""
    if word not in table:
        unknown_word("trade_status", word)
    return table.get(word)


def _failure(state: State, fields: Fields) -> FailureClass | None:
    """By the words that it comes with, where there are some that are known."""
    if state.failure is None or state.kind is Kind.PAYMENT_CANCELLED:
        return state.failure
    told = " ".join(it for name in TEXTS if isinstance(it := fields.get(name), str))
    return next((failure for word, failure in WORDS if word in told), state.failure)


def _currency(fields: Fields) -> str | None:
    """Yuan where no field tells; the oldest family tells it as a number."""
    return units.known_currency("currency", text_or_none(fields, "currency") or "CNY")


def _fen(fields: Fields, name: str, currency: str) -> int:
    """A whole number, which one family writes as a text."""
    amount = fields.get(name)
    if isinstance(amount, str) and _FEN.fullmatch(amount):
        amount = int(amount)
    return units.from_minor(amount, currency)


def _time(fields: Fields, name: str) -> datetime | None:
    written = text_or_none(fields, name)
    return None if written is None else moment_from_compact(written)


def _time_or(fields: Fields, name: str, heard_at: datetime) -> datetime:
    return _time(fields, name) or heard_at
