"""Fund bills of WeChat Pay and Alipay: what is written is read; what is cut, altered or another's is refused."""

import io
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.statement_writers import alipay, wechatpay
from tillkeeper.domain.books.statement import StatementRefused
from tillkeeper.gateways.alipay.gateway import Alipay
from tillkeeper.gateways.alipay.settings import AlipaySettings
from tillkeeper.gateways.statement_reading import read_statement
from tillkeeper.gateways.wechatpay.gateway import WeChatPay
from tillkeeper.gateways.wechatpay.settings import WeChatPaySettings
from tillkeeper.gateways.wechatpay_v2.gateway import WeChatPayV2

NOON = datetime(2026, 11, 22, 12)  # noqa: DTZ001 - Beijing's, as the bills write it
AT = datetime(2026, 11, 22, 4, tzinfo=UTC)
GATEWAYS = {
    "wechatpay": (
        WeChatPay,
        WeChatPaySettings.model_construct(gateway="wechatpay", mch_id=wechatpay.MERCHANT),
    ),
    "alipay": (Alipay, AlipaySettings.model_construct(gateway="alipay", seller_id=alipay.SELLER)),
}
CAME = wechatpay.movement("交易", 12900, at=NOON)
WENT = wechatpay.movement("退款", -400, at=NOON, business="5030", voucher="R-1")
PAID = alipay.movement("在线支付", 12900, at=NOON)
BACK = alipay.movement("交易退款", -400, at=NOON)
WRITTEN = {"wechatpay": wechatpay.fund_bill([CAME, WENT]), "alipay": alipay.fund_bill([PAID, BACK])}


def read(name, content):
    gateway, settings = GATEWAYS[name]
    reading = read_statement(gateway.statement_forms, f"{name}-main", settings, io.BytesIO(content))
    lines = list(reading.lines())
    return lines, reading.statement()


def refused(name, content):
    with pytest.raises(StatementRefused) as caught:
        read(name, content)
    return str(caught.value)


def test_both_of_wechat_pays_apis_have_the_same_bills():
    assert WeChatPay.statement_forms == WeChatPayV2.statement_forms


@pytest.mark.parametrize("columns", [wechatpay.FUND, wechatpay.FUND.replace("(元)", "（元）")])
def test_what_moved_a_balance_at_wechat_pay(columns):
    movements = [
        CAME,
        wechatpay.movement("扣除交易手续费", -77, at=NOON),
        WENT,
        wechatpay.movement("退款关闭", 400, at=NOON, business="5030", voucher="R-1"),
        wechatpay.movement("退还交易手续费", 2, at=NOON),
        wechatpay.movement("提现", -9000, at=NOON, business="W-1", voucher="V-1", name="充值/提现"),
        wechatpay.movement("分账", -5, at=NOON, voucher="P-1"),
    ]
    lines, statement = read("wechatpay", wechatpay.fund_bill(movements, columns))
    assert [(each.number, each.kind, each.amount, each.text) for each in lines] == [
        (2, "adjustment", 12900, "交易"),
        (3, "fee", -77, "扣除交易手续费"),
        (4, "adjustment", -400, "退款"),
        (5, "adjustment", 400, "退款关闭"),
        (6, "fee", 2, "退还交易手续费"),
        (7, "payout", -9000, None),
        (8, "adjustment", -5, "分账"),
    ]
    came, fee, went, _, _, payout, _ = lines
    assert (came.payment_ref, came.order_ref, came.occurred_at, came.currency) == ("4200000001", "ORDER-1", AT, "CNY")
    assert (fee.payment_ref, fee.order_ref, went.refund_ref, went.payment_ref) == ("4200000001", None, "R-1", None)
    assert (payout.payout_ref, payout.payment_ref) == ("W-1", None)
    assert (statement.begins, statement.ends) == (AT - timedelta(hours=12), AT + timedelta(hours=12))
    assert (statement.form, statement.covers, statement.lines) == ("wechatpay.fund", frozenset(), 7)


def test_what_moved_a_balance_at_alipay():
    movements = [
        PAID,
        alipay.movement("收费", -77, at=NOON),
        BACK,
        alipay.movement("提现", -9000, at=NOON, order="", trade="W-1"),
        alipay.movement("转账", 5, at=NOON, order=""),
    ]
    lines, statement = read("alipay", alipay.zipped(alipay.fund_bill(movements)))
    assert [(each.number, each.kind, each.amount, each.text) for each in lines] == [
        (6, "adjustment", 12900, "在线支付"),
        (7, "fee", -77, "收费"),
        (8, "adjustment", -400, "交易退款"),
        (9, "payout", -9000, None),
        (10, "adjustment", 5, "转账"),
    ]
    paid, payout = lines[0], lines[3]
    assert (paid.payment_ref, paid.order_ref, paid.occurred_at) == ("2026112222001400000000000001", "ORDER-1", AT)
    assert (payout.payout_ref, payout.payment_ref, payout.order_ref) == ("W-1", None, None)
    assert (statement.begins, statement.ends) == (AT - timedelta(hours=12), AT + timedelta(hours=12))
    assert (statement.form, statement.covers, statement.lines) == ("alipay.fund", frozenset(), 5)


def test_a_day_without_movements_is_known_at_alipay():
    assert read("alipay", alipay.fund_bill([]))[1].lines == 0


ALIPAY_END = alipay.FUND_END.encode("gbk")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("wechatpay", wechatpay.fund_bill([]), "the bill lists nothing and does not say of which day it is"),
        ("wechatpay", wechatpay.fund_bill([CAME], cut=2), "the bill is cut: it does not end with its totals"),
        ("wechatpay", wechatpay.fund_bill([CAME], cut=3), "line 3: the bill is cut: its totals are missing"),
        ("wechatpay", wechatpay.fund_bill([CAME], count=2), "line 4: the totals say 资金流水总笔数 2, and it is 1"),
        (
            "wechatpay",
            wechatpay.fund_bill([CAME]).replace(b"`129.00,`0.17", b"`128.00,`0.17"),
            "line 4: the totals say 收入金额 129.00, and it is 128.00; fetch the bill again",
        ),
        (
            "wechatpay",
            wechatpay.fund_bill([CAME]).replace("收入笔数,".encode(), "收入数,".encode()),
            "line 4: '' is no amount such as 12.30",
        ),
        ("wechatpay", wechatpay.fund_bill([CAME], behind="x,y\r\n"), "line 5: something stands behind the totals"),
        (
            "wechatpay",
            wechatpay.fund_bill([CAME | {"收支类型": "转"}]),
            "line 2: 收支类型 is 收入 or 支出, and here '转'",
        ),
        ("wechatpay", wechatpay.fund_bill([CAME | {"收支金额(元)": "-1.00"}]), "line 2: 收支金额(元) has no sign"),
        ("wechatpay", wechatpay.fund_bill([CAME | {"收支金额(元)": "1.001"}]), "at most 2 decimals"),
        (
            "wechatpay",
            wechatpay.fund_bill([CAME | {"记账时间": "2026-02-30 12:00:00"}]),
            "line 2: 记账时间 is a time such",
        ),
        (
            "wechatpay",
            wechatpay.fund_bill([CAME | {"记账时间": "0001-01-01 00:00:00"}]),
            "line 2: 记账时间 is a time such",
        ),
        ("wechatpay", wechatpay.fund_bill([CAME | {"备注": "a,b"}]), "line 2: it has 12 cells, and the head 11"),
        (
            "wechatpay",
            wechatpay.fund_bill([CAME], wechatpay.FUND.replace(",业务类型", "")),
            "line 1: the columns 业务类型 are missing",
        ),
        (
            "alipay",
            alipay.fund_bill([PAID], seller="2088999999999999"),
            "line 2: it is of the account 2088999999999999",
        ),
        (
            "alipay",
            alipay.fund_bill([PAID], counts={"收入": 2}),
            "the totals say 2 of 收入 and 129.00, and there are 1",
        ),
        (
            "alipay",
            alipay.fund_bill([BACK]).replace(b"-4.00,14533.03", b"-4.01,14533.03"),
            "the totals say 1 of 支出 and 4.00, and there are 1 and 4.01",
        ),
        ("alipay", alipay.fund_bill([PAID], end=()), "line 7: a comment stands among the movements"),
        ("alipay", b"\r\n".join(alipay.fund_bill([PAID]).split(b"\r\n")[:6]), "the bill is cut: it does not end with"),
        ("alipay", alipay.fund_bill([PAID]).split(ALIPAY_END)[0] + ALIPAY_END, "its total of 收入 is missing"),
        ("alipay", alipay.fund_bill([PAID], behind=("1,2",)), "line 11: something stands behind the end"),
        ("alipay", alipay.fund_bill([PAID], head=alipay.FUND_HEAD.replace(",业务类型", "")), "业务类型 are missing"),
        ("alipay", alipay.fund_bill([PAID | {"支出金额（-元）": "1.00"}]), "line 6: it has both 收入金额(+元) and"),
        (
            "alipay",
            alipay.fund_bill([PAID | {"收入金额（+元）": "1"}]).replace(b",1,0.00", b",=1,0.00"),
            "is decimal digits",
        ),
        (
            "alipay",
            alipay.fund_bill([alipay.movement("在线支付", 1, at=NOON + timedelta(days=1))]),
            "line 6: 发生时间 2026-11-23 12:00:00 is none of the days",
        ),
        (
            "alipay",
            alipay.fund_bill([PAID | {"发生时间": "0001-01-01 00:00:00"}]),
            "line 6: 发生时间 is a time such as",
        ),
    ],
)
def test_what_is_no_whole_bill_is_refused(name, content, said):
    assert said in refused(name, content)


@given(st.sampled_from(sorted(WRITTEN)), st.binary(max_size=3), st.integers(0, 10**6))
def test_any_change_gives_lines_or_a_refusal_and_nothing_else(name, change, at):
    content = WRITTEN[name]
    at %= len(content)
    with suppress(StatementRefused):
        read(name, content[:at] + change + content[at + len(change) :])


@given(st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=6))
def test_what_is_written_is_read(amounts):
    moved = [wechatpay.movement("交易", fen, at=NOON) for fen in amounts]
    assert [line.amount for line in read("wechatpay", wechatpay.fund_bill(moved))[0]] == amounts
    moved = [alipay.movement("在线支付", fen, at=NOON) for fen in amounts]
    assert [line.amount for line in read("alipay", alipay.fund_bill(moved))[0]] == amounts
