"""Reads what WeChat Pay's transactions and refunds say, in notices and in answers alike.

Sources: WeChat Pay's pages "支付通知", "查询订单", "退款通知", "查询单笔退款", for merchants and for service
providers, and their tables of states and error codes; "合单支付通知"; "扣款结果通知" of deductions (委托代扣) and of
parking (停车服务).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.domain.money import BadMoney, minor
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit import units
from tillkeeper.gateways.kit.fact import Fact
from tillkeeper.gateways.kit.fields import at, integer, moment_from_rfc3339, text, text_or_none
from tillkeeper.gateways.kit.state import State
from tillkeeper.gateways.kit.unknown_words import known_or_none, unknown_word

REFUND: Final = "REFUND"
TRADE_STATES: Final[Mapping[str, State | None]] = {
    "SUCCESS": State(kind=Kind.PAYMENT_SUCCEEDED),
    REFUND: State(kind=Kind.PAYMENT_SUCCEEDED),  # it was paid, and something went back
    "NOTPAY": None,
    "USERPAYING": State(kind=Kind.PAYMENT_PENDING),
    "CLOSED": State(kind=Kind.PAYMENT_CANCELLED, failure=FailureClass.EXPIRED_UNPAID),
    "REVOKED": State(kind=Kind.PAYMENT_CANCELLED, failure=FailureClass.USER_CANCELLED),
    "PAYERROR": State(kind=Kind.PAYMENT_FAILED, failure=FailureClass.UNKNOWN),
    # Of deductions.
    "ACCEPT": State(kind=Kind.PAYMENT_PENDING),  # taken, and not charged yet
    "ACCEPTED": State(kind=Kind.PAYMENT_PENDING),
    "PAY_FAIL": State(kind=Kind.PAYMENT_FAILED, failure=FailureClass.UNKNOWN),
    "FAIL": State(kind=Kind.PAYMENT_FAILED, failure=FailureClass.UNKNOWN),
    "PAY_BACK": None,  # the payer paid WeChat Pay back, which had paid the merchant before
}

REFUND_STATUSES: Final[Mapping[str, State]] = {
    "SUCCESS": State(kind=Kind.REFUND_SUCCEEDED),
    "PROCESSING": State(kind=Kind.REFUND_PENDING),
    "ABNORMAL": State(kind=Kind.REFUND_FAILED, failure=FailureClass.ACCOUNT_FROZEN),  # the payer's card is void
    "CLOSED": State(kind=Kind.REFUND_FAILED, failure=FailureClass.UNKNOWN),
}

# Error codes of a payment that failed, as queries and other products give them.
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


class Merchant(msgspec.Struct, frozen=True, kw_only=True):
    """Whose money counts: a merchant's own; or, of a service provider's, that of some sub-merchants, or of all."""

    mch_id: str
    app_id: str | None
    sub_mch_ids: tuple[str, ...]

    def owns(self, resource: object) -> bool:
        """Says whether a payment is this merchant's: shops that share an endpoint, or several apps of one merchant, get
        each other's notices."""
        number = text_or_none(resource, "sp_mchid") or text(resource, "mchid")
        return number == self.mch_id and self._serves(resource) and self._has_app(resource)

    def own_orders(self, combined: object) -> list[object]:
        """Returns the orders of a combined payment (合单) that are this merchant's: each is paid for itself."""
        orders = at(combined, ["sub_orders"])
        if not isinstance(orders, list):
            raise BadPayload("sub_orders is no list")
        if not self._has_app(combined):
            return []
        return [order for order in orders if text(order, "mchid") == self.mch_id and self._serves(order)]

    def _serves(self, resource: object) -> bool:
        return not self.sub_mch_ids or text_or_none(resource, "sub_mchid") in self.sub_mch_ids

    def _has_app(self, resource: object) -> bool:
        app_ids = {app_id for name in APP_IDS if (app_id := text_or_none(resource, name))}
        return self.app_id is None or not app_ids or self.app_id in app_ids


APP_IDS: Final = ("appid", "sp_appid", "sub_appid", "combine_appid")


def transaction_fact(transaction: object) -> Fact | None:
    """`total` is what the order costs; `payer_total` is less when a coupon of WeChat Pay's paid a part of it.

    A transaction that was never paid may have neither number nor amount: the order's own number stands in, as it does
    in queries.
    """
    word = text(transaction, "trade_state")
    state = known_or_none(TRADE_STATES, word, "trade_state")
    if state is None:
        return None
    order_ref, payment_ref = text(transaction, "out_trade_no"), text_or_none(transaction, "transaction_id")
    is_priced = at(transaction, ["amount"]) is not None
    currency = _currency(transaction) if is_priced else None
    if is_priced and currency is None:
        return None
    return Fact(
        kind=state.kind,
        occurred_at=_time(transaction, "success_time"),
        order_ref=order_ref,
        payment_ref=payment_ref if state.kind is Kind.PAYMENT_SUCCEEDED else payment_ref or order_ref,
        amount=_price(transaction) if is_priced else None,
        currency=currency,
        failure=state.failure,
        failure_code=word if state.failure else None,
        method=text_or_none(transaction, "trade_type"),
        has_refunds=word == REFUND,
    )


def is_of_payments(original_type: str | None, resource: object) -> bool:
    """Says whether what is encrypted in a notice is a payment or a refund, for its event_type does not tell.

    Profit sharing (分账) has that of a payment.
    """
    if original_type in PAYMENT_TYPES or any(at(resource, [name]) is not None for name in PAYMENT_MARKS):
        return original_type not in OTHER_TYPES
    if original_type not in OTHER_TYPES:
        unknown_word("resource.original_type", original_type)
    return False


PAYMENT_TYPES: Final = frozenset({None, "transaction", "refund"})
OTHER_TYPES: Final = frozenset({"profitsharing"})
PAYMENT_MARKS: Final = ("trade_state", "sub_orders", "refund_status")


def refund_in_notice(refund: object) -> Fact | None:
    """Returns a refund as notices write it."""
    return _refund_fact(refund, "refund_status")


def refund_in_answer(refund: object) -> Fact | None:
    """Returns a refund as answers write it."""
    return _refund_fact(refund, "status")


def _refund_fact(refund: object, field: str) -> Fact | None:
    """Reads a refund, known by the merchant's number, for it can only be asked about by that.

    It is pending since it was made, so that no outcome can seem to lie before it.
    """
    word = text(refund, field)
    state, currency = known_or_none(REFUND_STATUSES, word, field), _currency(refund)
    if state is None or currency is None:
        return None
    since = _time(refund, "create_time") if state.kind is Kind.REFUND_PENDING else None
    return Fact(
        kind=state.kind,
        occurred_at=since or _time(refund, "success_time"),
        order_ref=text_or_none(refund, "out_trade_no"),
        payment_ref=text_or_none(refund, "transaction_id"),
        refund_ref=text_or_none(refund, "out_refund_no") or text(refund, "refund_id"),
        amount=_minor(refund, "refund"),
        currency=currency,
        failure=state.failure,
        failure_code=word if state.failure else None,
    )


def _time(resource: object, name: str) -> datetime | None:
    written = text_or_none(resource, name)
    return None if written is None else moment_from_rfc3339(written)


def _currency(resource: object) -> str | None:
    """Returns yuan where no currency is named, as in refund notices."""
    return units.known_currency("amount.currency", text_or_none(resource, "amount", "currency") or "CNY")


def _price(transaction: object) -> int:
    """Returns what an order costs; an order of a combined payment calls it otherwise."""
    return _minor(transaction, "total" if at(transaction, ["amount", "total"]) is not None else "total_amount")


def _minor(resource: object, field: str) -> int:
    try:
        return minor(integer(resource, "amount", field))
    except BadMoney as error:
        raise BadPayload(f"amount.{field}: {error}") from None
