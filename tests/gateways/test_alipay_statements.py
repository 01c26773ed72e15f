"""Alipay's trade bills: what is written is read; what is cut, altered or another seller's is refused."""

import io
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.statement_writers.alipay import BEGIN, END, HEAD, SELLER, trade, trade_bill, zipped
from tillkeeper.domain.books.statement import StatementRefused
from tillkeeper.gateways.alipay.gateway import Alipay
from tillkeeper.gateways.alipay.settings import AlipaySettings
from tillkeeper.gateways.statement_reading import read_statement

NOON = datetime(2026, 11, 22, 12)  # noqa: DTZ001 - Beijing's, as the bill writes it
AT = datetime(2026, 11, 22, 4, tzinfo=UTC)
A_TRADE = trade("交易", 12900, at=NOON, fee="-0.77")


def settings(**fields):
    return AlipaySettings.model_construct(gateway="alipay", app_id="2021", **{"seller_id": SELLER, **fields})


def read(content, **fields):
    reading = read_statement(Alipay.statement_forms, "alipay-main", settings(**fields), io.BytesIO(content))
    lines = list(reading.lines())
    return lines, reading.statement()


def refused(content, **fields):
    with pytest.raises(StatementRefused) as caught:
        read(content, **fields)
    return str(caught.value)


def test_payments_and_refunds_of_a_day_are_read():
    lines, statement = read(trade_bill([A_TRADE, trade("退款", 400, at=NOON, refund="R-1", fee="0.02")]))
    told = [(line.number, line.kind, line.amount, line.fee, line.refund_ref) for line in lines]
    assert told == [(6, "payment", 12900, 77, None), (7, "refund", -400, -2, "R-1")]
    first = lines[0]
    assert (first.order_ref, first.payment_ref, first.currency, first.occurred_at) == (
        *("ORDER-1", "2026112222001400000000000001", "CNY"),
        AT,
    )
    assert (statement.begins, statement.ends - statement.begins) == (AT - timedelta(hours=12), timedelta(days=1))
    assert (statement.zone, statement.lines, statement.form) == ("Asia/Shanghai", 2, "alipay.trade")
    assert statement.covers == {"payment", "refund"}


def test_the_zip_that_alipay_gives_is_read_and_its_summary_left_aside():
    lines, _ = read(zipped(trade_bill([A_TRADE])))
    assert [line.amount for line in lines] == [12900]


def test_a_day_without_trades_is_known_to_be_so():
    lines, statement = read(trade_bill([]))
    assert (lines, statement.lines, statement.ends - statement.begins) == ([], 0, timedelta(days=1))


def test_amounts_of_refunds_are_read_whatever_sign_they_have():
    unsigned = {**trade("退款", 400, at=NOON, refund="R-1"), "订单金额（元）": "4.00", "商家实收（元）": "4.00"}
    [line], _ = read(trade_bill([unsigned]))
    assert line.amount == -400


def test_another_sort_of_trade_moves_no_orders_money():
    [line], _ = read(trade_bill([trade("代扣", 400, at=NOON)]))
    assert (line.kind, line.text) == ("adjustment", "代扣")


def test_what_is_empty_is_nothing():
    empty = {**trade("退款", 400, at=NOON), "服务费（元）": "", "商户订单号": ""}
    [line], _ = read(trade_bill([empty]))
    assert (line.fee, line.order_ref, line.refund_ref) == (0, None, None)


def test_without_a_seller_in_the_settings_any_account_is_taken():
    assert read(trade_bill([A_TRADE], seller="2088999999999999"), seller_id=None)[1].lines == 1


LATE = trade("交易", 100, at=NOON + timedelta(days=1))
CUT = {**A_TRADE, "完成时间": "2026-11-22"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (trade_bill([A_TRADE], seller="2088999999999999"), "line 2: it is of the account 20889999999999990156"),
        (trade_bill([A_TRADE], counts={"交易": 2}), "line 8: the totals say 2 of 交易 and 129.00 received"),
        (
            trade_bill([{**A_TRADE, "商家实收（元）": "1.00"}]).replace(b"1.00\xd4\xaa", b"2.00\xd4\xaa"),
            "and 2.00 received",
        ),
        (trade_bill([A_TRADE], end=()), "line 7: a comment stands among the trades"),
        (b"\r\n".join(trade_bill([A_TRADE]).split(b"\r\n")[:6]), "the bill is cut"),
        (trade_bill([A_TRADE]).split(END.encode("gbk"))[0] + END.encode("gbk"), "its total of 交易 is missing"),
        (trade_bill([A_TRADE]).split(HEAD.encode("gbk"))[0], "it has no head of its table"),
        (trade_bill([A_TRADE], behind=("1,2",)), "line 11: something stands behind the end"),
        (trade_bill([A_TRADE], head=HEAD.replace("完成时间", "时间")), "line 5: the columns 完成时间 are missing"),
        (trade_bill([A_TRADE], first="2026年11月31日 00:00:00"), "line 3: 起始日期 and 终止日期 are no dates"),
        (trade_bill([A_TRADE], first="2026年11月23日 00:00:00"), "line 3: 终止日期 is not after 起始日期"),
        (trade_bill([A_TRADE], first="0001年01月01日 00:00:00"), "line 3: 起始日期 and 终止日期 are no dates"),
        (trade_bill([A_TRADE], first="?"), "line 5: no comment above says 起始日期"),
        (trade_bill([LATE]), "line 6: 完成时间 2026-11-23 12:00:00 is none of the days"),
        (trade_bill([CUT]), "line 6: 完成时间 is a time such as"),
        (trade_bill([{**A_TRADE, "完成时间": "2026-13-22 12:00:00"}]), "line 6: 完成时间 is a time such as"),
        (trade_bill([{**A_TRADE, "订单金额（元）": "=1+1"}]), "line 6: 订单金额（元）: an amount is decimal digits"),
        (trade_bill([{**A_TRADE, "订单金额（元）": "1.001"}]), "an amount in CNY has at most 2 decimals"),
        (trade_bill([{**A_TRADE, "商品名称": "a,b"}]), "line 6: it has 26 cells, and the head 25"),
        (BEGIN.encode("gbk"), "it is no statement of alipay that can be read; these are: alipay.trade"),
    ],
)
def test_what_is_no_whole_bill_of_this_account_is_refused(content, said):
    assert said in refused(content)


@given(st.binary(max_size=3), st.integers(0, 10**6))
def test_any_change_gives_lines_or_a_refusal_and_nothing_else(change, at):
    content = trade_bill([A_TRADE, trade("退款", 400, at=NOON, refund="R-1")])
    at %= len(content)
    with suppress(StatementRefused):
        read(content[:at] + change + content[at + len(change) :])


@given(st.lists(st.tuples(st.sampled_from(["交易", "退款"]), st.integers(0, 10**9)), max_size=6))
def test_what_is_written_is_read(trades):
    lines, _ = read(trade_bill([trade(sort, fen, at=NOON, refund="R") for sort, fen in trades]))
    assert [line.amount for line in lines] == [fen if sort == "交易" else -fen for sort, fen in trades]
