"""Writes the trade bills of a simulated WeChat Pay: of all trades of a day in Beijing, in the form of its page."""

import gzip
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Final

from tillkeeper.sandbox.formats import SHANGHAI
from tillkeeper.sandbox.ledger.ledger import AccountLedger
from tillkeeper.sandbox.ledger.payments import PaymentRecord, RefundRecord
from tillkeeper.sandbox.simulators.wechatpay.objects import wechatpay_refund_id

COLUMNS: Final = (
    *("交易时间", "公众账号ID", "商户号", "特约商户号", "设备号", "微信订单号", "商户订单号", "用户标识", "交易类型"),
    *("交易状态", "付款银行", "货币种类", "应结订单金额", "代金券金额", "微信退款单号", "商户退款单号", "退款金额"),
    *("充值券退款金额", "退款类型", "退款状态", "商品名称", "商户数据包", "手续费", "费率", "订单金额", "申请退款金额"),
    "费率备注",
)
TOTALS: Final = (
    *("总交易单数", "应结订单总金额", "退款总金额", "充值券退款总金额", "手续费总金额", "订单总金额", "申请退款总金额"),
)
MADE_AT: Final = time(9)  # on the next day
FEE_RATE: Final = 6  # 0.6 %: so many hundred-thousandths of a yuan a fen
Row = dict[str, str | int]  # amounts in fen, the fee in hundred-thousandths of a yuan
AMOUNTS: Final = ("应结订单金额", "代金券金额", "退款金额", "充值券退款金额", "订单金额", "申请退款金额")
SUMMED: Final = ("应结订单金额", "退款金额", "充值券退款金额", "手续费", "订单金额", "申请退款金额")


def made_at(day: date) -> datetime:
    """Returns when the bill of a day is made."""
    return datetime.combine(day + timedelta(days=1), MADE_AT, SHANGHAI)


def trade_bill(ledger: AccountLedger, day: date, *, mch_id: str, app_id: str, sub_mch_id: str | None) -> bytes | None:
    """Returns the bill of a day, unpacked; None where nothing was traded."""
    since = datetime.combine(day, time(), SHANGHAI)
    until = since + timedelta(days=1)
    stories = {story.payment_ref: story for story, _ in ledger.events_between(since=since, until=until)}
    rows: list[Row] = []
    for payment_ref in sorted(stories):
        record = ledger.payment(payment_ref, made_at(day))
        if record is not None:
            rows += _rows(record, since, until)
    merchant: Row = {"公众账号ID": app_id, "商户号": mch_id, "特约商户号": sub_mch_id or "0"}
    return _written([{**row, **merchant} for row in rows]) if rows else None


def packed(bill: bytes) -> bytes:
    """Returns the bill as it is given with tar_type=GZIP, the same each time."""
    return gzip.compress(bill, mtime=0)


def _rows(record: PaymentRecord, since: datetime, until: datetime) -> list[Row]:
    rows = [_payment(record, record.paid_at)] if record.paid_at and since <= record.paid_at < until else []
    return rows + [_refund(record, refund) for refund in record.refunds if since <= refund.asked_at < until]


def _payment(record: PaymentRecord, at: datetime) -> Row:
    amount = record.captured
    return _trade(record, at) | {
        "交易状态": "SUCCESS",
        "应结订单金额": amount,
        "订单金额": amount,
        "手续费": amount * FEE_RATE,
        "微信退款单号": "0",
        "商户退款单号": "0",
    }


def _refund(record: PaymentRecord, refund: RefundRecord) -> Row:
    return _trade(record, refund.asked_at) | {
        "交易状态": "REFUND",
        "微信退款单号": wechatpay_refund_id(refund.refund_ref),
        "商户退款单号": refund.refund_ref,
        "退款金额": refund.amount,
        "申请退款金额": refund.amount,
        "退款类型": "ORIGINAL",
        "退款状态": {"ABNORMAL": "CHANGE", "CLOSED": "FAIL"}.get(word := _status(refund), word),
        "手续费": -refund.amount * FEE_RATE,
    }


def _status(refund: RefundRecord) -> str:
    return refund.event_type.removeprefix("REFUND.")


def _trade(record: PaymentRecord, at: datetime) -> Row:
    return {
        "交易时间": f"{at.astimezone(SHANGHAI):%Y-%m-%d %H:%M:%S}",
        "微信订单号": record.story.payment_ref,
        "商户订单号": record.story.order_ref,
        "交易类型": "JSAPI",
        "付款银行": "CMB_DEBIT",
        "货币种类": "CNY",
        "费率": "0.60%",
    }


def _written(rows: Sequence[Row]) -> bytes:
    lines = [",".join(COLUMNS)]
    lines += [",".join(f"`{_cell(name, row.get(name))}" for name in COLUMNS) for row in rows]
    sums = {name: sum(int(row.get(name, 0)) for row in rows) for name in SUMMED}
    lines += [",".join(TOTALS), ",".join([f"`{len(rows)}", *(f"`{_cell(name, sums[name])}" for name in SUMMED)])]
    return "".join(f"{line}\r\n" for line in lines).encode()


def _cell(name: str, value: str | int | None) -> str:
    if name == "手续费":
        return _decimal(int(value or 0), 5)
    return _decimal(int(value or 0), 2) if name in AMOUNTS else str(value or "")


def _decimal(units: int, digits: int) -> str:
    whole, part = divmod(abs(units), 10**digits)
    return f"{'-' if units < 0 else ''}{whole}.{part:0{digits}d}"
