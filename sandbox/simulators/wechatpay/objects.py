"""Builds the objects of a simulated WeChat Pay, for webhooks and responses."""

from datetime import datetime
from typing import Any

from tillkeeper.sandbox.formats import SHANGHAI, Json, word_of


def wechatpay_transaction(
    *, mch_id: str, app_id: str, order_ref: str, payment_ref: str, amount: int, at: datetime, **more: Any
) -> Json:
    """Returns the resource of a paid transaction, amounts in fen."""
    return {
        "mchid": mch_id,
        "appid": app_id,
        "out_trade_no": order_ref,
        "transaction_id": payment_ref,
        "trade_type": "JSAPI",
        "trade_state": "SUCCESS",
        "trade_state_desc": "支付成功",
        "bank_type": "CMB_DEBIT",
        "attach": "",
        "success_time": rfc3339(at),
        "payer": {"openid": f"o{word_of(order_ref)[:27]}"},
        "amount": {"total": amount, "payer_total": amount, "currency": "CNY", "payer_currency": "CNY"},
    } | more


def wechatpay_refund(
    *,
    mch_id: str,
    order_ref: str,
    payment_ref: str,
    refund_ref: str,
    refund: int,
    total: int,
    at: datetime,
    **more: Any,
) -> Json:
    """Returns the resource of a refund that succeeded, amounts in fen; `total` is what the payment was."""
    return {
        "mchid": mch_id,
        "transaction_id": payment_ref,
        "out_trade_no": order_ref,
        "refund_id": refund_ref,
        "out_refund_no": f"R{order_ref}",
        "refund_status": "SUCCESS",
        "success_time": rfc3339(at),
        "user_received_account": "招商银行信用卡0403",
        "amount": {"total": total, "refund": refund, "payer_total": total, "payer_refund": refund},
    } | more


def wechatpay_refund_id(out_refund_no: str) -> str:
    """WeChat Pay's own number for a refund, which is not the merchant's."""
    return f"5030{int(word_of('refund', out_refund_no), 16) % 10**24:024d}"


def rfc3339(at: datetime) -> str:
    """Returns a time as WeChat Pay writes it, in Shanghai's."""
    return at.astimezone(SHANGHAI).replace(microsecond=0).isoformat()
