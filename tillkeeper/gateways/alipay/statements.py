"""Reads Alipay's trade bill (业务明细): the payments and refunds of a day or a month.

    #账号 and #起始日期 … 终止日期 ─ head, trades ─ #…结束, #交易合计, #退款合计, #导出时间

A bill is GBK in a zip, beside a summary by shop (汇总) that is left aside.  Its days are Beijing's; that of a day is
made by 9:00 on the next.  Where the settings name the seller, a bill of another account is refused.

Sources: Alipay's page "alipay.data.dataservice.bill.downloadurl.query" (bill_type trade) for what a bill is and when it
is made; columns, comments and totals from bills in public repositories, for the page shows none.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import ClassVar, Final, cast

import msgspec

from tillkeeper.domain.books.statement import LineKind, Statement, StatementLine, StatementRefused
from tillkeeper.gateways.account import AccountModel
from tillkeeper.gateways.alipay.bill_comments import ZONE, BillComments, comment_of
from tillkeeper.gateways.alipay.fields import YUAN
from tillkeeper.gateways.alipay.settings import AlipaySettings
from tillkeeper.gateways.kit.statements.cells import signed_minor
from tillkeeper.gateways.statement_form import Row

TITLE: Final = "#支付宝业务明细"
PAYMENT, ORDER, SORT, DONE = "支付宝交易号", "商户订单号", "业务类型", "完成时间"
PRICE, RECEIVED, REFUND, FEE = "订单金额（元）", "商家实收（元）", "退款批次号/请求号", "服务费（元）"
NEEDED: Final = (PAYMENT, ORDER, SORT, DONE, PRICE, RECEIVED, REFUND, FEE)
PAID, GIVEN_BACK = "交易", "退款"

_TOTAL: Final = re.compile(r"#(交易|退款)合计：(\d{1,12})笔，商家实收(?:退款)?共(-?[\d.]{1,24})元")
END: Final = "业务明细列表结束"


class TradeBill:
    """One bill."""

    name: ClassVar[str] = "alipay.trade"

    def __init__(self, account: str, settings: AccountModel) -> None:
        self._account = account
        self._comments = BillComments(cast("AlipaySettings", settings).seller_id)
        self._places: dict[str, int] = {}
        self._counts = {PAID: 0, GIVEN_BACK: 0}
        self._received = {PAID: 0, GIVEN_BACK: 0}
        self._told = set[str]()
        self._lines = 0

    @classmethod
    def knows(cls, head: Sequence[Row]) -> bool:
        """Says whether the first row is the title of a trade bill."""
        return bool(head) and comment_of(head[0]).startswith(TITLE)

    def lines(self, rows: Iterator[Row]) -> Iterator[StatementLine]:
        """Yields payments and refunds.  Raises StatementRefused."""
        self._read_head(self._comments.read(rows))
        for row in rows:
            if comment_of(row).startswith("#"):
                self._check_end(row, rows)
                return
            self._lines += 1
            yield self._line(row)
        raise StatementRefused("the bill is cut: it does not end with 业务明细列表结束; fetch it again")

    def statement(self) -> Statement:
        """Returns the days of the bill."""
        begins, ends = self._comments.period
        return Statement(
            account=self._account,
            form=self.name,
            begins=begins.astimezone(UTC),
            ends=ends.astimezone(UTC),
            zone=ZONE,
            covers=frozenset({LineKind.PAYMENT, LineKind.REFUND}),
            lines=self._lines,
        )

    # --- the beginning ------------------------------------------------------------------------------------------------

    def _read_head(self, row: Row) -> None:
        self._places = {cell.strip(): place for place, cell in enumerate(row.cells)}
        missing = [name for name in NEEDED if name not in self._places]
        if missing:
            raise StatementRefused(f"the columns {', '.join(missing)} are missing", line=row.number)

    # --- one trade ----------------------------------------------------------------------------------------------------

    def _line(self, row: Row) -> StatementLine:
        if len(row.cells) != len(self._places):
            says = f"it has {len(row.cells)} cells, and the head {len(self._places)}; export the bill anew"
            raise StatementRefused(says, line=row.number)
        trade = _Trade(row.number, self._places, row.cells)
        sort = trade.text(SORT)
        if sort in self._counts:
            self._counts[sort] += 1
            self._received[sort] += abs(trade.minor(RECEIVED))
        return trade.line(self._comments.moment(trade.text(DONE), column=DONE, line=trade.number))

    # --- the end ------------------------------------------------------------------------------------------------------

    def _check_end(self, row: Row, rows: Iterator[Row]) -> None:
        if END not in comment_of(row):
            raise StatementRefused("a comment stands among the trades; export the bill anew", line=row.number)
        for comment in rows:
            text = comment_of(comment)
            if not text.startswith("#"):
                raise StatementRefused("something stands behind the end; give one bill a file", line=comment.number)
            if (total := _TOTAL.match(text)) is not None:
                self._check_total(total[1], int(total[2]), total[3], comment.number)
        for sort, count in self._counts.items():
            if count and sort not in self._told:
                raise StatementRefused(f"the bill is cut: its total of {sort} is missing; fetch it again")

    def _check_total(self, sort: str, count: int, amount: str, line: int) -> None:
        self._told.add(sort)
        received = abs(signed_minor(amount, YUAN, column="商家实收", line=line))
        if (count, received) != (self._counts[sort], self._received[sort]):
            says = (
                f"the totals say {count} of {sort} and {amount} received, and there are {self._counts[sort]} and "
                f"{self._received[sort] / 100:.2f}; fetch the bill again"
            )
            raise StatementRefused(says, line=line)


class _Trade(msgspec.Struct, frozen=True):
    """One row of the trades."""

    number: int
    places: dict[str, int]
    cells: Sequence[str]

    def text(self, column: str) -> str:
        """Returns a cell, without the blanks that keep spreadsheets from counting with it."""
        return self.cells[self.places[column]].strip()

    def minor(self, column: str) -> int:
        """Returns an amount; an empty cell is nothing."""
        return signed_minor(self.text(column) or "0", YUAN, column=column, line=self.number)

    def line(self, at: datetime) -> StatementLine:
        """Returns what it moved; the sign of amounts differs from bill to bill, and says nothing."""
        sort = self.text(SORT)
        kind = {PAID: LineKind.PAYMENT, GIVEN_BACK: LineKind.REFUND}.get(sort, LineKind.ADJUSTMENT)
        price, fee = abs(self.minor(PRICE)), abs(self.minor(FEE))
        is_refund = kind is LineKind.REFUND
        return StatementLine(
            number=self.number,
            kind=kind,
            amount=-price if is_refund else price,
            currency=YUAN,
            fee=-fee if is_refund else fee,
            occurred_at=at,
            order_ref=self.text(ORDER) or None,
            payment_ref=self.text(PAYMENT) or None,
            refund_ref=(self.text(REFUND) or None) if is_refund else None,
            text=sort if kind is LineKind.ADJUSTMENT else None,
        )
