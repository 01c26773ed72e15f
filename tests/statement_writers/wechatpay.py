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


FUND = (
    "记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),账户结余(元),资金变更提交申请人,"
    "备注,业务凭证号"
)
FUND_TOTALS = "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额"


def movement(sort, fen, *, at, business="4200000001", voucher="ORDER-1", name=None, **more):
    """One movement by the names of its columns; `fen` is what the balance rose by."""
    return {
        "记账时间": f"{at:%Y-%m-%d %H:%M:%S}",
        "微信支付业务单号": business,
        "资金流水单号": "1900009231201802015884652186",
        "业务名称": name or sort,
        "业务类型": sort,
        "收支类型": "收入" if fen >= 0 else "支出",
        "收支金额(元)": f"{abs(fen) // 100}.{abs(fen) % 100:02d}",
        "账户结余(元)": "0.17",
        "资金变更提交申请人": "system",
        "备注": "退款总金额0.02元;含手续费0.00元",
        "业务凭证号": voucher,
        **more,
    }


def fund_bill(movements, columns=FUND, *, count=None, cut=None, behind=""):
    """The bytes of a bill; `count`, `cut` (rows that are left) and `behind` plant faults."""
    names = columns.replace("（", "(").replace("）", ")").split(",")
    rows = [",".join("`" + str(each.get(name, "")) for name in names) for each in movements]
    told = [str(len(movements) if count is None else count)]
    for direction in ("收入", "支出"):
        texts = [each["收支金额(元)"] for each in movements if each["收支类型"] == direction]
        total = sum(int(text.replace(".", "")) for text in texts)
        told += [f"{len(texts)}.0", f"{total // 100}.{total % 100:02d}"]
    written = [columns, *rows, FUND_TOTALS, ",".join("`" + each for each in told)][:cut]
    return ("\r\n".join(written) + "\r\n" + behind).encode()


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
