"""Reads the orders of Lakala's cashier with their trades, and the notices of 2021, a trade each.

Sources: Lakala's pages "收银台订单通知" and "收银台订单查询" for the cashier; its sample of 2021 in document 1009
for the oldest family.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final, cast

import msgspec

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit.fact import Fact
from tillkeeper.gateways.kit.fields import moment_from_rfc3339, text, text_or_none
from tillkeeper.gateways.kit.state import State
from tillkeeper.gateways.kit.times import moment_from_compact
from tillkeeper.gateways.kit.unknown_words import known_or_none, unknown_word
from tillkeeper.gateways.lakala.aggregated import RETURNS
from tillkeeper.gateways.lakala.fields import Fields, currency_in, failure_of, moment_or_none, money

PAY: Final = "PAY"
SUCCEEDED: Final = "S"
REVERSED: Final = "C"  # 被冲正

_PENDING: Final = State(kind=Kind.PAYMENT_PENDING)
_FAILED: Final = State(kind=Kind.PAYMENT_FAILED, failure=FailureClass.UNKNOWN)
_EXPIRED: Final = State(kind=Kind.PAYMENT_CANCELLED, failure=FailureClass.EXPIRED_UNPAID)
_CANCELLED: Final = State(kind=Kind.PAYMENT_CANCELLED, failure=FailureClass.USER_CANCELLED)
_REFUND_PENDING: Final = State(kind=Kind.REFUND_PENDING)
_REFUND_FAILED: Final = State(kind=Kind.REFUND_FAILED, failure=FailureClass.UNKNOWN)

# trade_status of a trade.
TRADES: Final[Mapping[str, State]] = {
    SUCCEEDED: State(kind=Kind.PAYMENT_SUCCEEDED),
    "F": _FAILED,
    REVERSED: _FAILED,
    "X": State(kind=Kind.PAYMENT_FAILED, failure=FailureClass.GATEWAY_FAULT),  # it was never sent
    "T": _PENDING,  # no answer came yet: it may still succeed
    "U": _PENDING,
    "P": _PENDING,
}
RETURN_TRADES: Final[Mapping[str, State]] = {
    SUCCEEDED: State(kind=Kind.REFUND_SUCCEEDED),
    "F": _REFUND_FAILED,
    REVERSED: _REFUND_FAILED,
    "X": State(kind=Kind.REFUND_FAILED, failure=FailureClass.GATEWAY_FAULT),
    "T": _REFUND_PENDING,
    "U": _REFUND_PENDING,
    "P": _REFUND_PENDING,
}
# order_status of an order that has no trade.  Once there are trades, they say how it stands.
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


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """One trade of an order.  `began_at` is when the order was made: no word of a trade can be older."""

    order_ref: str
    trade_no: str
    type: str
    status: str
    amount: int | None
    currency: str
    traded_at: datetime | None
    began_at: datetime
    origin_no: str | None
    method: str | None
    fields: Fields

    @property
    def is_payment(self) -> bool:
        """Returns False for what gives a payment back."""
        return self.type == PAY

    @property
    def is_paid(self) -> bool:
        """Says whether it is a payment that succeeded."""
        return self.is_payment and self.status == SUCCEEDED


def notice_facts(order: Fields) -> tuple[Fact, ...]:
    """Returns what a notice about an order says, which holds one trade at most."""
    return order_facts(order, _trades_in_notice(order))


def notice_event_id(order: Fields) -> str:
    """Every repetition of a notice has the number of its trade, or of its order, and the status."""
    for trade in _trades_in_notice(order):
        return f"{text(trade, 'trade_no')}:{text(trade, 'trade_type')}:{text(trade, 'trade_status')}"
    return f"{text(order, 'pay_order_no')}:order:{text(order, 'order_status')}"


def _trades_in_notice(order: Fields) -> list[object]:
    trade = order.get("order_trade_info")
    return [] if trade in (None, {}) else [trade]


def is_refunded_unseen(order: Fields) -> bool:
    """Says whether an order says that money went back, and its one trade is not the refund."""
    if text_or_none(order, "order_status") != REFUNDED_ORDER:
        return False
    return not any(text(trade, "trade_type") in RETURNS for trade in _trades_in_notice(order))


def order_facts(order: Fields, trades: list[object]) -> tuple[Fact, ...]:
    """Returns what all trades of an order say; of one without any, how it ended."""
    status = text(order, "order_status")
    if status in {PAID_ORDER, REFUNDED_ORDER} and not trades:
        raise BadPayload("an order that was paid has no trade")
    if status not in {*ORDERS, PAID_ORDER, REFUNDED_ORDER}:
        unknown_word("order_status", status)
    if not trades:
        return tuple(_facts_without_trade(order, status))
    facts, has_refund = _facts_of_trades(order, trades)
    if status != REFUNDED_ORDER or has_refund:
        return tuple(facts)
    return tuple(_with_refunds(fact) for fact in facts)


def _facts_without_trade(order: Fields, status: str) -> Iterator[Fact]:
    order_ref, state = text(order, "out_order_no"), ORDERS.get(status)
    if state is not None:
        yield Fact(
            kind=state.kind,
            order_ref=order_ref,
            payment_ref=order_ref,  # nobody tried to pay: the order's own number stands in
            failure=state.failure,
            failure_code=status,
        )


def _facts_of_trades(order: Fields, trades: list[object]) -> tuple[list[Fact], bool]:
    """Returns the facts, and whether one of the trades is a refund."""
    read = [trade for each in trades if (trade := _trade(order, each)) is not None]
    payments = {trade.trade_no for trade in read if trade.is_paid}
    only_payment = payments.pop() if len(payments) == 1 else None
    facts = [fact for trade in read for fact in _trade_facts(trade, only_payment)]
    return facts, not all(trade.is_payment for trade in read)


def _with_refunds(fact: Fact) -> Fact:
    """Returns a payment of an order that says that something went back, and not what."""
    return msgspec.structs.replace(fact, has_refunds=fact.kind is Kind.PAYMENT_SUCCEEDED)


def _trade(order: Fields, trade: object) -> Trade | None:
    """Returns None where its currency is not known."""
    if not isinstance(trade, dict):
        raise BadPayload("a trade of the order is no object")
    fields = cast("Fields", trade)
    currency = currency_in(order)
    if currency is None:
        return None
    return Trade(
        order_ref=text(order, "out_order_no"),
        trade_no=text(fields, "trade_no"),
        type=text(fields, "trade_type"),
        status=text(fields, "trade_status"),
        amount=money(fields, "trade_amount", currency),
        currency=currency,
        traded_at=moment_or_none(fields, "trade_time"),
        began_at=moment_from_compact(text(order, "order_create_time")),
        origin_no=text_or_none(fields, "origin_trade_no"),
        method=text_or_none(fields, "pay_mode") or text_or_none(fields, "busi_type"),
        fields=fields,
    )


def old_notice_facts(notice: Fields) -> tuple[Fact, ...]:
    """Reads a notice of the family of 2021: a trade under other names.  Whose amount a refund's is, no source says."""
    currency, kind = currency_in(notice), text(notice, "tradeType")
    if currency is None:
        return ()
    trade = Trade(
        order_ref=text(notice, "merchantOrderNo"),
        trade_no=text(notice, "lklOrderNo"),
        type=kind,
        status=text(notice, "payStatus"),
        amount=money(notice, "amount", currency) if kind == PAY else None,
        currency=currency,
        traded_at=moment_or_none(notice, "tradeTime"),
        began_at=moment_from_rfc3339(text(notice, "orderCreateTime")),
        origin_no=None,
        method=None,
        fields=notice,
    )
    return tuple(_trade_facts(trade, None))


def old_notice_event_id(notice: Fields) -> str:
    """Every repetition of a notice has the number of its trade, and the status."""
    return f"{text(notice, 'lklOrderNo')}:{text(notice, 'tradeType')}:{text(notice, 'payStatus')}"


def _trade_facts(trade: Trade, only_payment: str | None) -> Iterator[Fact]:
    """`only_payment` is what a refund must be of if it does not say."""
    if not trade.is_payment and trade.type not in RETURNS:
        unknown_word("trade_type", trade.type)
        return
    state = known_or_none(TRADES if trade.is_payment else RETURN_TRADES, trade.status, "trade_status")
    if state is None:
        return
    fact = _trade_fact(trade, state, only_payment)
    yield fact
    if trade.is_payment and trade.status == REVERSED:
        # Had it succeeded before, the failure alone would be passed over, and the money's leaving with it.
        yield msgspec.structs.replace(
            fact, part="reversed", kind=Kind.PAYMENT_REVERSED, failure=None, failure_code=None, method=None
        )


def _trade_fact(trade: Trade, state: State, only_payment: str | None) -> Fact:
    is_pending = state.kind in {Kind.PAYMENT_PENDING, Kind.REFUND_PENDING}
    return Fact(
        kind=state.kind,
        # What is on its way has no time of its own, and must never seem later than its end.
        occurred_at=trade.began_at if is_pending else trade.traded_at,
        order_ref=trade.order_ref,
        payment_ref=trade.trade_no if trade.is_payment else trade.origin_no or only_payment,
        refund_ref=None if trade.is_payment else trade.trade_no,
        amount=trade.amount,
        currency=None if trade.amount is None else trade.currency,
        failure=failure_of(state, trade.fields),
        failure_code=trade.status if state.failure else None,
        method=trade.method if trade.is_payment else None,
    )
