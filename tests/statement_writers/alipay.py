"""Writes Alipay's trade bills as its console gives them: `trade_bill(trades)` gives the bytes of one, GBK."""

import io
import zipfile

HEAD = (
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,订单金额（元）,"
    "商家实收（元）,支付宝红包（元）,集分宝（元）,支付宝优惠（元）,商家优惠（元）,券核销金额（元）,券名称,商家红包消费金额（元）,"
    "卡消费金额（元）,退款批次号/请求号,服务费（元）,分润（元）,备注"
)
SELLER = "2088000000000000"
BEGIN = "#-----------------------------------------业务明细列表----------------------------------------"
END = "#-----------------------------------------业务明细列表结束------------------------------------"


def trade(
    sort, fen, *, at, order="ORDER-1", payment="2026112222001400000000000001", refund="", fee="0.00", received=None
):
    """One trade by the names of its columns; amounts of refunds are negative, as in the newer bills."""
    back = sort == "退款"
    price = ("-" if back else "") + f"{fen // 100}.{fen % 100:02d}"
    return {
        "支付宝交易号": f"{payment}\t",
        "商户订单号": f"{order}\t",
        "业务类型": f"{sort}\t",
        "商品名称": "茶 一盒",
        "创建时间": f"{at:%Y-%m-%d %H:%M:%S}",
        "完成时间": f"{at:%Y-%m-%d %H:%M:%S}",
        "对方账户": "*先生(ab***@example.com)\t",
        "订单金额（元）": price,
        "商家实收（元）": price if received is None else received,
        "退款批次号/请求号": f"{refund}\t",
        "服务费（元）": fee,
    }


def trade_bill(
    trades,
    *,
    first="2026年11月22日 00:00:00",
    last="2026年11月23日 00:00:00",
    seller=SELLER,
    head=HEAD,
    counts=None,
    end=(END,),
    behind=(),
):
    """The bytes of a bill; `counts`, `end` and `behind` plant faults."""
    names = head.split(",")
    rows = [",".join(str(each.get(name, "\t")) for name in names) for each in trades]
    lines = [
        "#支付宝业务明细查询",
        f"#账号：[{seller}0156]",
        f"#起始日期：[{first}]   终止日期：[{last}]",
        BEGIN,
        head,
        *rows,
        *end,
        *(_total(trades, sort, (counts or {}).get(sort)) for sort in ("交易", "退款")),
        "#导出时间：[2026年11月23日 09:12:51]",
        *behind,
    ]
    return ("\r\n".join(lines) + "\r\n").encode("gbk")


def _total(trades, sort, count):
    received = [each["商家实收（元）"] for each in trades if each["业务类型"].strip() == sort]
    cents = sum(_cents(text) for text in received)
    sign = "-" if cents < 0 else ""
    amount = f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02d}"
    said = len(received) if count is None else count
    if sort == "退款":
        return f"#退款合计：{said}笔，商家实收退款共{amount}元，商家优惠退款共0.00元"
    return f"#交易合计：{said}笔，商家实收共{amount}元，商家优惠共0.00元"


def _cents(text):
    whole, _, part = text.lstrip("-").partition(".")
    return (-1 if text.startswith("-") else 1) * int(whole + part)


FUND_HEAD = (
    "账务流水号,业务流水号,商户订单号,商品名称,发生时间,对方账号,收入金额（+元）,支出金额（-元）,账户余额（元）,"
    "交易渠道,业务类型,备注"
)
FUND_END = "#----------------------------------------账务明细列表结束-------------------------------------"


def movement(sort, fen, *, at, order="ORDER-1", trade="2026112222001400000000000001", **more):
    """One movement by the names of its columns; `fen` is what the balance rose by."""
    yuan = f"{abs(fen) // 100}.{abs(fen) % 100:02d}"
    return {
        "账务流水号": "54632446537371\t",
        "业务流水号": f"{trade}\t",
        "商户订单号": f"{order}\t",
        "商品名称": "茶 一盒\t",
        "发生时间": f"{at:%Y-%m-%d %H:%M:%S}",
        "对方账号": "*先生 (ab***@example.com)\t",
        "收入金额（+元）": yuan if fen > 0 else "0.00",
        "支出金额（-元）": f"-{yuan}" if fen < 0 else "0.00",
        "账户余额（元）": "14533.03",
        "交易渠道": "支付宝",
        "业务类型": sort,
        **more,
    }


def fund_bill(movements, *, seller=SELLER, head=FUND_HEAD, counts=None, end=(FUND_END,), behind=()):
    """The bytes of a bill of 2026-11-22; `counts`, `end` and `behind` plant faults."""
    names = head.split(",")
    moved = {"支出": [_cents(each["支出金额（-元）"]) for each in movements if each["支出金额（-元）"].startswith("-")]}
    moved["收入"] = [
        _cents(each["收入金额（+元）"]) for each in movements if not each["支出金额（-元）"].startswith("-")
    ]
    totals = []
    for direction, amounts in moved.items():
        total = abs(sum(amounts))
        count = (counts or {}).get(direction, len(amounts))
        totals.append(f"#{direction}合计：{count}笔，共{total // 100}.{total % 100:02d}元")
    lines = [
        "#支付宝账务明细查询",
        f"#账号：[{seller}0156]",
        "#起始日期：[2026年11月22日 00:00:00]   终止日期：[2026年11月23日 00:00:00]",
        "#-----------------------------------------账务明细列表----------------------------------------",
        head,
        *(",".join(str(each.get(name, "")) for name in names) for each in movements),
        *end,
        *totals,
        "#导出时间：[2026年11月23日 09:19:01]",
        *behind,
    ]
    return ("\r\n".join(lines) + "\r\n").encode("gbk")


def zipped(content, summary=b"#..."):
    """The zip that Alipay gives, whose names are GBK and do not say so."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in (
            ("20880000_20261122_业务明细.csv", content),
            ("20880000_20261122_业务明细(汇总).csv", summary),
        ):
            entry = zipfile.ZipInfo("x")
            entry.filename = name.encode("gbk").decode("cp437")
            archive.writestr(_Unflagged(entry), data)
    return file.getvalue()


class _Unflagged(zipfile.ZipInfo):
    """An entry whose name is written in the bytes of its code page, as older programs do."""

    def __init__(self, entry):
        super().__init__("x")
        self.filename = entry.filename

    def _encodeFilenameFlags(self):  # noqa: N802 - zipfile's
        return self.filename.encode("cp437"), self.flag_bits & ~0x800
