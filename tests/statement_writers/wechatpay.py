"""Writes WeChat Pay's trade bills as its page of the format shows them: `trade_bill(lines)` gives the bytes of one."""

from datetime import timedelta

ALL = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,"
    "应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,"
    "订单金额,申请退款金额,费率备注"
)
SUCCESS = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,"
    "应结订单金额,代金券金额,商品名称,商户数据包,手续费,费率,订单金额,费率备注"
)
REFUND = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,"
    "应结订单金额,代金券金额,退款申请时间,退款成功时间,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,"
    "商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注"
)
TOTALS = "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"
SUMMED = ("应结订单金额", "退款金额", "充值券退款金额", "手续费", "订单金额", "申请退款金额")
MERCHANT = "1900000100"


def trade(kind, fen, *, at, order="ORDER-1", payment="4200000001", refund=None, state="SUCCESS", fee="0.00000", **more):
    """One trade by the names of its columns; `at` is the time in Beijing."""
    yuan = f"{fen // 100}.{fen % 100:02d}"
    back = kind == "REFUND"
    return {
        "交易时间": f"{at:%Y-%m-%d %H:%M:%S}",
        "公众账号ID": "wx8888888888888888",
        "商户号": MERCHANT,
        "特约商户号": "0",
        "微信订单号": payment,
        "商户订单号": order,
        "用户标识": "oUpF8uMuAJO",
        "交易类型": "JSAPI",
        "交易状态": kind,
        "付款银行": "CMB_DEBIT",
        "货币种类": "CNY",
        "应结订单金额": "0.00" if back else yuan,
        "代金券金额": "0.00",
        "退款申请时间": f"{at:%Y-%m-%d %H:%M:%S}" if back else "",
        "退款成功时间": f"{at + timedelta(seconds=9):%Y-%m-%d %H:%M:%S}" if back else "",
        "微信退款单号": f"5030{refund}" if back else "0",
        "商户退款单号": refund if back else "0",
        "退款金额": yuan if back else "0.00",
        "充值券退款金额": "0.00",
        "退款类型": "ORIGINAL" if back else "",
        "退款状态": state if back else "",
        "商品名称": "茶\\ 一盒",
        "手续费": fee,
        "费率": "0.60%",
        "订单金额": "0.00" if back else yuan,
        "申请退款金额": yuan if back else "0.00",
        **more,
    }


def trade_bill(trades, columns=ALL, *, count=None, cut=False, mark="`", end="\r\n", behind=""):
    """The bytes of a bill in UTF-8; `count` and `cut` plant faults."""
    names = columns.split(",")
    rows = [",".join(mark + str(each.get(name, "")) for name in names) for each in trades]
    sums = [_sum(trades, name) if name in names else "0.00" for name in SUMMED]
    totals = [str(len(trades) if count is None else count), *sums]
    written = [columns, *rows, *([] if cut else [TOTALS, ",".join(mark + each for each in totals)])]
    return (end.join(written) + end + behind).encode()


def _sum(trades, name):
    """Adds up decimal texts as whole hundred-thousandths."""
    total = 0
    for each in trades:
        text = str(each.get(name) or "0")
        whole, _, part = text.lstrip("-").partition(".")
        total += (-1 if text.startswith("-") else 1) * int(whole + part.ljust(5, "0"))
    digits = 5 if name == "手续费" else 2
    sign, total = ("-" if total < 0 else ""), abs(total)
    return f"{sign}{total // 100_000}.{total % 100_000:05d}"[: None if digits == 5 else -3]
