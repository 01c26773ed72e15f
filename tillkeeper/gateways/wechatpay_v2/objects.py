"""Reads what WeChat Pay v2's payments and refunds say, in notices and in answers alike.

Sources: WeChat Pay's pages "支付结果通知", "查询订单" and "查询退款" for fields, states and codes.
"""

from collections.abc import Mapping
from typing import Final

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.kit.fact import Fact
from tillkeeper.gateways.kit.fields import text, text_or_none
from tillkeeper.gateways.kit.state import State
from tillkeeper.gateways.kit.times import moment_from_compact
from tillkeeper.gateways.kit.unknown_words import known_or_none
from tillkeeper.gateways.wechatpay.objects import REFUND
from tillkeeper.gateways.wechatpay_v2.fields import Fields, currency_in, money

REFUND_STATUSES: Final[Mapping[str, State]] = {
    "SUCCESS": State(kind=Kind.REFUND_SUCCEEDED),
    "PROCESSING": State(kind=Kind.REFUND_PENDING),
    "CHANGE": State(kind=Kind.REFUND_FAILED, failure=FailureClass.ACCOUNT_FROZEN),  # the payer's card is void
    "REFUNDCLOSE": State(kind=Kind.REFUND_FAILED, failure=FailureClass.UNKNOWN),
}

# err_code of a payment that did not succeed.
ERRORS: Final[Mapping[str, State]] = {
    "USERPAYING": State(kind=Kind.PAYMENT_PENDING),  # the payer is typing the password
    **{
        code: State(kind=Kind.PAYMENT_FAILED, failure=failure)
        for code, failure in {
            "NOTENOUGH": FailureClass.INSUFFICIENT_FUNDS,
            "ORDERCLOSED": FailureClass.EXPIRED_UNPAID,
            "SYSTEMERROR": FailureClass.GATEWAY_FAULT,
            "BANKERROR": FailureClass.GATEWAY_FAULT,
            "AUTHCODEEXPIRE": FailureClass.BANK_VERIFICATION_FAILED,
            "AUTH_CODE_ERROR": FailureClass.BANK_VERIFICATION_FAILED,
            "AUTH_CODE_INVALID": FailureClass.BANK_VERIFICATION_FAILED,
            "NOTSUPORTCARD": FailureClass.METHOD_UNAVAILABLE,  # their spelling
        }.items()
    },
}
UNKNOWN_ERROR: Final[State] = State(kind=Kind.PAYMENT_FAILED, failure=FailureClass.UNKNOWN)


def payment_fact(fields: Fields, state: State, word: str) -> Fact | None:
    """`total_fee` is what the order costs; less is settled when a coupon of WeChat Pay's paid a part of it.

    Before it is paid a transaction may have no number: the order's own stands in, as it does in queries.
    """
    is_paid = state.kind is Kind.PAYMENT_SUCCEEDED
    is_priced = is_paid or text_or_none(fields, "total_fee") is not None
    currency = currency_in(fields) if is_priced else None
    if is_priced and currency is None:
        return None
    order_ref, time_end = text(fields, "out_trade_no"), text_or_none(fields, "time_end")
    return Fact(
        kind=state.kind,
        occurred_at=None if time_end is None else moment_from_compact(time_end),
        order_ref=order_ref,
        payment_ref=text(fields, "transaction_id") if is_paid else text_or_none(fields, "transaction_id") or order_ref,
        amount=money(fields, "total_fee", currency),
        currency=currency,
        failure=state.failure,
        failure_code=word if state.failure else None,
        method=text_or_none(fields, "trade_type"),
        has_refunds=word == REFUND,
    )


def refund_fact(fields: Fields, number: int) -> Fact | None:
    """Returns a refund under its number in an answer.

    All have the time of the answer: none tells when the refund was made, so that a pending one has no other, and an
    outcome with a time of its own could seem to lie before it and be lost.
    """
    word = text(fields, f"refund_status_{number}")
    state, currency = known_or_none(REFUND_STATUSES, word, "refund_status"), currency_in(fields)
    if state is None or currency is None:
        return None
    return Fact(
        kind=state.kind,
        order_ref=text(fields, "out_trade_no"),
        payment_ref=text(fields, "transaction_id"),
        refund_ref=fields[f"out_refund_no_{number}"],
        amount=money(fields, f"refund_fee_{number}", currency),
        currency=currency,
        failure=state.failure,
        failure_code=word if state.failure else None,
    )
