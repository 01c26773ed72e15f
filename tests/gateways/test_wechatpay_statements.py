"""WeChat Pay's trade bills: what is written is read; what is cut, altered or another merchant's is refused."""

import io
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.statement_writers.wechatpay import ALL, MERCHANT, REFUND, SUCCESS, trade, trade_bill
from tillkeeper.domain.books.statement import LineKind, StatementRefused
from tillkeeper.gateways.statement_reading import read_statement
from tillkeeper.gateways.wechatpay.gateway import WeChatPay
from tillkeeper.gateways.wechatpay_v2.gateway import WeChatPayV2
from tillkeeper.gateways.wechatpay_v2.settings import WeChatPayV2Settings

SETTINGS = WeChatPayV2Settings.model_validate(
    {
        "gateway": "wechatpay_v2",
        "mch_id": MERCHANT,
        "app_id": "wx8888888888888888",
        "api_key": "7f3b9c21d84e6a05b1c2d3e4f5a69788",
    }
)
NOON = datetime(2026, 11, 22, 12)  # noqa: DTZ001 - Beijing's, as the bill writes it
AT = datetime(2026, 11, 22, 4, tzinfo=UTC)


def read(content):
    reading = read_statement(WeChatPay.statement_forms, "wechatpay-main", SETTINGS, io.BytesIO(content))
    lines = list(reading.lines())
    return lines, reading.statement()


def test_both_apis_have_the_same_bills():
    assert WeChatPay.statement_forms == WeChatPayV2.statement_forms


def test_payments_and_refunds_of_a_day_are_read():
    trades = [
        trade("SUCCESS", 12900, at=NOON, fee="0.77400"),
        trade("REFUND", 400, at=NOON, refund="R-1", fee="-0.02400"),
        trade("REFUND", 500, at=NOON, refund="R-2", state="PROCESSING"),
        trade("REFUND", 600, at=NOON, refund="R-3", state="FAIL"),
    ]
    lines, statement = read(trade_bill(trades))
    told = [(line.number, line.kind, line.amount, line.fee, line.refund_ref, line.pending) for line in lines]
    assert told == [
        (2, "payment", 12900, 77, None, False),
        (3, "refund", -400, -2, "R-1", False),
        (4, "refund", -500, 0, "R-2", True),
        (5, "refund", -600, 0, "R-3", False),
        (5, "refund_failed", 600, None, "R-3", False),
    ]
    first = lines[0]
    assert (first.order_ref, first.payment_ref, first.currency, first.occurred_at, first.method) == (
        *("ORDER-1", "4200000001", "CNY"),
        *(AT, "JSAPI"),
    )
    assert (statement.begins, statement.ends - statement.begins) == (AT - timedelta(hours=12), timedelta(days=1))
    assert (statement.zone, statement.lines, statement.form) == ("Asia/Shanghai", 5, "wechatpay.trade")
    assert statement.covers == {LineKind.PAYMENT, LineKind.REFUND}


@pytest.mark.parametrize(
    ("columns", "kind", "covers"),
    [(ALL, "SUCCESS", {"payment", "refund"}), (SUCCESS, "SUCCESS", {"payment"}), (REFUND, "REFUND", {"refund"})],
)
def test_each_sort_of_bill_covers_what_it_lists(columns, kind, covers):
    lines, statement = read(trade_bill([trade(kind, 400, at=NOON, refund="R-1")], columns))
    assert [abs(line.amount) for line in lines] == [400]
    assert statement.covers == covers


def test_a_refund_stands_under_its_acceptance_and_by_wechats_number_where_the_merchant_has_none():
    paid = trade("REFUND", 400, at=NOON, refund="R-1", 交易时间="2026-11-01 09:00:00", 商户退款单号="")
    [line], _ = read(trade_bill([paid], REFUND))
    assert (line.occurred_at, line.refund_ref) == (AT, "5030R-1")


def test_a_payment_that_was_called_off_at_the_till_is_told_in_its_own_word():
    [line], _ = read(trade_bill([trade("REVOKED", 400, at=NOON)]))
    assert (line.kind, line.text, line.amount) == (LineKind.ADJUSTMENT, "REVOKED", 400)


def test_the_oldest_bills_have_one_amount_and_no_fee():
    columns = (
        ALL.replace(",订单金额", "")
        .replace("应结订单金额", "总金额")
        .replace("手续费,", "")
        .replace(",申请退款金额", "")
    )
    payment = trade("SUCCESS", 400, at=NOON, 总金额="4.00")
    lines, _ = read(trade_bill([payment, trade("REFUND", 300, at=NOON, refund="R-1", 总金额="0.00")], columns))
    assert [(line.amount, line.fee) for line in lines] == [(400, None), (-300, None)]


PAYMENT = trade("SUCCESS", 400, at=NOON)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (trade_bill([PAYMENT], cut=True), "the bill is cut: it does not end with its totals"),
        (trade_bill([PAYMENT]).rsplit(b"`1,", 1)[0], "line 3: the bill is cut: its totals are missing"),
        (trade_bill([PAYMENT], count=2), "line 4: the totals say 2 trades, and there are 1"),
        (
            trade_bill([PAYMENT]).replace(b"`4.00", b"`5.00", 1),
            "line 4: the totals say 应结订单总金额 4.00, and it is 5.00",
        ),
        (trade_bill([]), "the bill lists no trade"),
        (trade_bill([PAYMENT], behind="more\r\n"), "line 5: something stands behind the totals"),
        (trade_bill([{**PAYMENT, "商户号": "7"}]), f"line 2: it is of the merchant 7, and the account is {MERCHANT}"),
        (trade_bill([{**PAYMENT, "货币种类": "元"}]), "line 2: 货币种类 is a currency of ISO 4217"),
        (trade_bill([{**PAYMENT, "订单金额": "4.005"}]), "line 2: 订单金额: an amount in CNY has at most 2 decimals"),
        (trade_bill([{**PAYMENT, "交易时间": "2026-02-30 12:00:00"}]), "line 2: 交易时间 is a time such as"),
        (trade_bill([{**PAYMENT, "交易时间": "2026-11-22"}]), "line 2: 交易时间 is a time such as"),
        (trade_bill([{**PAYMENT, "交易时间": "0001-01-01 00:00:00"}]), "line 2: 交易时间 is a time such as"),
        (trade_bill([PAYMENT]).replace(b"`4.00", b"`=1+1", 1), "line 2: '=1+1' is no amount such as 12.30"),
        (trade_bill([PAYMENT]).replace(b"`JSAPI,", b"", 1), "line 2: it has 26 cells, and the head 27"),
        (trade_bill([PAYMENT]).replace("商户订单号".encode(), b"x", 1), "line 1: the columns 商户订单号 are missing"),
        (
            trade_bill([PAYMENT], ALL.replace("订单金额", "金额")),
            "line 1: no column has what the order costs",
        ),
    ],
)
def test_what_cannot_be_right_is_refused_with_its_line(content, says):
    with pytest.raises(StatementRefused) as refused:
        read(content)
    assert says in str(refused.value)


trades = st.builds(
    trade,
    st.sampled_from(["SUCCESS", "REFUND"]),
    st.integers(1, 10**9),
    at=st.integers(0, 86_399).map(lambda second: NOON - timedelta(hours=12) + timedelta(seconds=second)),
    refund=st.from_regex(r"[1-9][0-9]{0,9}", fullmatch=True),
    fee=st.decimals(0, 1000, places=5).map(str),
)


@given(st.lists(trades, min_size=1, max_size=5), st.sampled_from(["\n", "\r\n"]))
def test_what_is_written_is_read(written, end):
    lines, statement = read(trade_bill(written, end=end))
    assert [line.kind for line in lines] == [
        LineKind.PAYMENT if each["交易状态"] == "SUCCESS" else LineKind.REFUND for each in written
    ]
    amounts = [each["订单金额"] if each["交易状态"] == "SUCCESS" else each["申请退款金额"] for each in written]
    assert [f"{abs(line.amount) // 100}.{abs(line.amount) % 100:02d}" for line in lines] == amounts
    assert statement.lines == len(written)


@given(st.data())
def test_any_change_of_bytes_gives_lines_or_a_refusal(data):
    content = bytearray(trade_bill([PAYMENT, trade("REFUND", 300, at=NOON, refund="R-1")]))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    with suppress(StatementRefused):
        read(bytes(content))
