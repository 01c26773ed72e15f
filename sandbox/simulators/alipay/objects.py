"""Builds the objects of a simulated Alipay, for webhooks and responses."""

import hashlib
import json
from datetime import datetime, timedelta

import msgspec

from tillkeeper.sandbox.formats import SHANGHAI

Fields = dict[str, str]


class AlipayTrade(msgspec.Struct, frozen=True, kw_only=True):
    """What all notices of one payment say alike; the amount is in fen."""

    app_id: str
    seller_id: str
    order_ref: str
    payment_ref: str
    amount: int
    created_at: datetime
    subject: str = "咖啡豆 500g + 滤纸"
    charset: str = "utf-8"


def alipay_pending(trade: AlipayTrade, **more: str) -> Fields:
    """The payer was shown the till, and has not paid yet."""
    return _notice(trade, "WAIT_BUYER_PAY", trade.created_at, {}, more)


def alipay_success(trade: AlipayTrade, at: datetime, **more: str) -> Fields:
    """Paid."""
    return _notice(trade, "TRADE_SUCCESS", at, _paid(trade) | {"gmt_payment": local_time(at)}, more)


def alipay_finished(trade: AlipayTrade, paid_at: datetime, at: datetime, **more: str) -> Fields:
    """Paid, and no longer to be refunded."""
    times = {"gmt_payment": local_time(paid_at), "gmt_close": local_time(at)}
    return _notice(trade, "TRADE_FINISHED", at, _paid(trade) | times, more)


def alipay_closed(trade: AlipayTrade, at: datetime, **more: str) -> Fields:
    """Never paid.  Alipay says refund_fee=0.00 here, which is no refund."""
    return _notice(trade, "TRADE_CLOSED", at, {"refund_fee": "0.00", "gmt_close": local_time(at)}, more)


def alipay_refund(
    trade: AlipayTrade, paid_at: datetime, at: datetime, *, total: int, refund_ref: str, **more: str
) -> Fields:
    """Something was given back; `total` is all of this payment so far, in fen.  A trade given back whole is closed."""
    refund = {
        "gmt_payment": local_time(paid_at),
        "gmt_refund": f"{local_time(at)}.{at.microsecond // 1000:03d}",
        "out_biz_no": refund_ref,
        "refund_fee": yuan(total),
    }
    if total < trade.amount:
        return _notice(trade, "TRADE_SUCCESS", at, refund, more)
    return _notice(trade, "TRADE_CLOSED", at, refund | {"gmt_close": local_time(at)}, more)


def yuan(fen: int) -> str:
    """Returns an amount as Alipay writes it."""
    return f"{fen // 100}.{fen % 100:02d}"


def _notice(trade: AlipayTrade, status: str, at: datetime, facts: Fields, more: Fields) -> Fields:
    """`more` may say anything otherwise; a notice that is repeated keeps all but notify_time."""
    happened = (trade.payment_ref, status, facts.get("refund_fee"))
    return {
        "gmt_create": local_time(trade.created_at),
        "charset": trade.charset,
        "seller_email": "till@shop.example",
        "subject": trade.subject,
        "buyer_id": f"2088{_digits(12, 'buyer', trade.order_ref)}",
        "notify_id": f"{at.astimezone(SHANGHAI):%Y%m%d}00{_digits(24, *happened)}",
        "notify_type": "trade_status_sync",
        "trade_status": status,
        "app_id": trade.app_id,
        "seller_id": trade.seller_id,
        "notify_time": local_time(at + timedelta(seconds=1)),
        "version": "1.0",
        "out_trade_no": trade.order_ref,
        "total_amount": yuan(trade.amount),
        "trade_no": trade.payment_ref,
        "auth_app_id": trade.app_id,
        "buyer_logon_id": "138****0000",
        **facts,
        **more,
    }


def _paid(trade: AlipayTrade) -> Fields:
    amount = yuan(trade.amount)
    return {
        "invoice_amount": amount,
        "receipt_amount": amount,
        "buyer_pay_amount": amount,
        "fund_bill_list": json.dumps([{"amount": amount, "fundChannel": "ALIPAYACCOUNT"}], separators=(",", ":")),
        "point_amount": "0.00",
    }


def local_time(at: datetime) -> str:
    """Returns a time as Alipay writes it, in Shanghai's."""
    return f"{at.astimezone(SHANGHAI):%Y-%m-%d %H:%M:%S}"


def _digits(count: int, *parts: object) -> str:
    """Digits that look drawn by chance and are the same for the same parts."""
    number = int.from_bytes(hashlib.sha256("|".join(map(str, parts)).encode()).digest())
    return str(number)[-count:]
