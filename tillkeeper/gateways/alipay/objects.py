"""Reads what Alipay's answers say of trades and refunds.

Sources: Alipay's pages "alipay.trade.query" and "alipay.trade.fastpay.refund.query", and its error-code tables.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.alipay.fields import currency_in, method_in, moment, money
from tillkeeper.gateways.kit.fact import Fact
from tillkeeper.gateways.kit.fields import text, text_or_none
from tillkeeper.gateways.kit.unknown_words import known_or_none, unknown_word

Content = Mapping[str, object]

KINDS: Final[Mapping[str, Kind]] = {
    "WAIT_BUYER_PAY": Kind.PAYMENT_PENDING,
    "TRADE_PENDING": Kind.PAYMENT_PENDING,  # paid, and the seller's account cannot take it yet
    "TRADE_SUCCESS": Kind.PAYMENT_SUCCEEDED,
    "TRADE_FINISHED": Kind.PAYMENT_SUCCEEDED,
    "TRADE_CLOSED": Kind.PAYMENT_CANCELLED,
}
REFUND_SUCCESS: Final = "REFUND_SUCCESS"

# sub_code of an API answer.
FAILURES: Final[Mapping[str, FailureClass]] = {
    "ACQ.BUYER_BALANCE_NOT_ENOUGH": FailureClass.INSUFFICIENT_FUNDS,
    "ACQ.BUYER_BANKCARD_BALANCE_NOT_ENOUGH": FailureClass.INSUFFICIENT_FUNDS,
    "ACQ.BUYER_PAYMENT_AMOUNT_DAY_LIMIT_ERROR": FailureClass.LIMIT_EXCEEDED,
    "ACQ.BEYOND_PAY_RESTRICTION": FailureClass.LIMIT_EXCEEDED,
    "ACQ.BEYOND_PER_RECEIPT_RESTRICTION": FailureClass.LIMIT_EXCEEDED,
    "ACQ.TOTAL_FEE_EXCEED": FailureClass.LIMIT_EXCEEDED,
    "ACQ.SYSTEM_ERROR": FailureClass.GATEWAY_FAULT,
    "aop.ACQ.SYSTEM_ERROR": FailureClass.GATEWAY_FAULT,
    "aop.unknow-error": FailureClass.GATEWAY_FAULT,  # their spelling
    "ACQ.PAYMENT_AUTH_CODE_INVALID": FailureClass.BANK_VERIFICATION_FAILED,
    "ACQ.BUYER_ENABLE_STATUS_FORBID": FailureClass.ACCOUNT_FROZEN,
    "ACQ.BUYER_SELLER_EQUAL": FailureClass.ACCOUNT_FROZEN,
    "ACQ.SELLER_BEEN_BLOCKED": FailureClass.ACCOUNT_FROZEN,
    "ACQ.MOBILE_PAYMENT_SWITCH_OFF": FailureClass.METHOD_UNAVAILABLE,
    "ACQ.NO_PAYMENT_INSTRUMENTS_AVAILABLE": FailureClass.METHOD_UNAVAILABLE,
    "ACQ.PRODUCT_AMOUNT_LIMIT_ERROR": FailureClass.METHOD_UNAVAILABLE,
    "ACQ.ACCESS_FORBIDDEN": FailureClass.METHOD_UNAVAILABLE,
    "ACQ.TRADE_HAS_CLOSE": FailureClass.EXPIRED_UNPAID,
    "ACQ.PAYMENT_REQUEST_HAS_RISK": FailureClass.SUSPECTED_FRAUD,
    "ACQ.CONTEXT_INCONSISTENT": FailureClass.COUPON_CONFLICT,
}


def payment_facts(content: Content, trans_currency: str) -> list[Fact]:
    """Returns what a trade says of itself.  One that was paid and then closed was given back whole.

    Until the payer has opened it a trade has no number, and nothing happened to it.
    """
    status, paid_at = text(content, "trade_status"), text_or_none(content, "send_pay_date")
    currency, kind = currency_in(content, trans_currency), known_or_none(KINDS, status, "trade_status")
    if kind is None or currency is None:
        return []
    if kind is Kind.PAYMENT_CANCELLED and paid_at is not None:
        payment = _succeeded(content, currency, paid_at)
        return [payment, _whole_refund(payment)]
    if kind is Kind.PAYMENT_SUCCEEDED:
        return [_succeeded(content, currency, paid_at)]
    if text_or_none(content, "trade_no") is None:
        return []
    if kind is Kind.PAYMENT_CANCELLED:
        return [_payment(content, currency, kind, failure=FailureClass.EXPIRED_UNPAID, failure_code=status)]
    return [_payment(content, currency, kind)]


def _succeeded(content: Content, currency: str, paid_at: str | None) -> Fact:
    occurred_at = moment("send_pay_date", paid_at) if paid_at else None
    return _payment(content, currency, Kind.PAYMENT_SUCCEEDED, occurred_at=occurred_at)


def _payment(
    content: Content,
    currency: str,
    kind: Kind,
    *,
    occurred_at: datetime | None = None,
    failure: FailureClass | None = None,
    failure_code: str | None = None,
) -> Fact:
    return Fact(
        kind=kind,
        occurred_at=occurred_at,
        order_ref=text(content, "out_trade_no"),
        payment_ref=text(content, "trade_no"),
        amount=money(content, "total_amount", currency),
        currency=currency,
        failure=failure,
        failure_code=failure_code,
        method=method_in(content.get("fund_bill_list"), "fund_channel"),
    )


def _whole_refund(payment: Fact) -> Fact:
    """Returns all of a payment, given back by the time of the answer."""
    return Fact(
        kind=Kind.REFUND_SUCCEEDED,
        order_ref=payment.order_ref,
        payment_ref=payment.payment_ref,
        total=payment.amount,
        currency=payment.currency,
    )


def refund_facts(content: Content, trans_currency: str) -> list[Fact]:
    """Returns what an answer says of a refund.  Without refund_status it was not made, or not yet, whatever the code
    says."""
    status, currency = text_or_none(content, "refund_status"), currency_in(content, trans_currency)
    if status not in {None, REFUND_SUCCESS}:
        unknown_word("refund_status", status)
    if status != REFUND_SUCCESS or currency is None:
        return []
    paid_at = text_or_none(content, "gmt_refund_pay")
    refund = Fact(
        kind=Kind.REFUND_SUCCEEDED,
        occurred_at=None if paid_at is None else moment("gmt_refund_pay", paid_at),
        order_ref=text(content, "out_trade_no"),
        payment_ref=text(content, "trade_no"),
        refund_ref=text(content, "out_request_no"),
        amount=money(content, "refund_amount", currency),
        currency=currency,
    )
    return [refund]
