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
from zoneinfo import ZoneInfo

import msgspec

from tillkeeper.domain.books.statement import LineKind, Statement, StatementLine, StatementRefused
from tillkeeper.gateways.account import AccountModel
from tillkeeper.gateways.alipay.fields import YUAN
from tillkeeper.gateways.alipay.settings import AlipaySettings
from tillkeeper.gateways.kit.statements.cells import moment_in, signed_minor
from tillkeeper.gateways.statement_form import Row

ZONE: Final = "Asia/Shanghai"
_BEIJING: Final = ZoneInfo(ZONE)

TITLE: Final = "#支付宝业务明细"
PAYMENT, ORDER, SORT, DONE = "支付宝交易号", "商户订单号", "业务类型", "完成时间"
PRICE, RECEIVED, REFUND, FEE = "订单金额（元）", "商家实收（元）", "退款批次号/请求号", "服务费（元）"
NEEDED: Final = (PAYMENT, ORDER, SORT, DONE, PRICE, RECEIVED, REFUND, FEE)
PAID, GIVEN_BACK = "交易", "退款"

_ACCOUNT: Final = re.compile(r"#账号：\[(\d+)\]")
_MOMENT: Final = r"(\d{4})年(\d{2})月(\d{2})日 (\d{2}):(\d{2}):(\d{2})"
_PERIOD: Final = re.compile(rf"#起始日期：\[{_MOMENT}\]\s*终止日期：\[{_MOMENT}\]")
_TOTAL: Final = re.compile(r"#(交易|退款)合计：(\d{1,12})笔，商家实收(?:退款)?共(-?[\d.]{1,24})元")
END: Final = "业务明细列表结束"


class TradeBill:
    """One bill."""

    name: ClassVar[str] = "alipay.trade"

    def __init__(self, account: str, settings: AccountModel) -> None:
        self._account = account
        self._seller_id = cast("AlipaySettings", settings).seller_id
        self._period: tuple[datetime, datetime] | None = None
        self._places: dict[str, int] = {}
        self._counts = {PAID: 0, GIVEN_BACK: 0}
        self._received = {PAID: 0, GIVEN_BACK: 0}
        self._told = set[str]()
        self._lines = 0

    @classmethod
    def knows(cls, head: Sequence[Row]) -> bool:
        """Says whether the first row is the title of a trade bill."""
        return bool(head) and _text(head[0]).startswith(TITLE)

    def lines(self, rows: Iterator[Row]) -> Iterator[StatementLine]:
        """Yields payments and refunds.  Raises StatementRefused."""
        self._read_comments(rows)
        for row in rows:
            if _text(row).startswith("#"):
                self._check_end(row, rows)
                return
            self._lines += 1
            yield self._line(row)
        raise StatementRefused("the bill is cut: it does not end with 业务明细列表结束; fetch it again")

    def statement(self) -> Statement:
        """Returns the days of the bill."""
        assert self._period is not None, "the comments were read"
        begins, ends = self._period
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

    def _read_comments(self, rows: Iterator[Row]) -> None:
        """Reads up to the head of the trades."""
        for row in rows:
            text = _text(row)
            if not text.startswith("#"):
                self._read_head(row)
                return
            if (found := _ACCOUNT.search(text)) is not None:
                self._check_account(found[1], row.number)
            if (period := _PERIOD.search(text)) is not None:
                self._read_period([int(part) for part in period.groups()], row.number)
        raise StatementRefused("the bill is cut: it has no head of trades; fetch it again")

    def _check_account(self, number: str, line: int) -> None:
        """The number is the seller's, with 0156 behind it."""
        if self._seller_id is not None and not number.startswith(self._seller_id):
            says = f"it is of the account {number}, and the account's seller_id is {self._seller_id}"
            raise StatementRefused(says, line=line)

    def _read_period(self, parts: Sequence[int], line: int) -> None:
        try:
            begins, ends = (_beijing(each) for each in (parts[:6], parts[6:]))
        except ValueError:
            raise StatementRefused("起始日期 and 终止日期 are no dates", line=line) from None
        if begins >= ends:
            raise StatementRefused("终止日期 is not after 起始日期", line=line)
        self._period = begins, ends

    def _read_head(self, row: Row) -> None:
        self._places = {cell.strip(): place for place, cell in enumerate(row.cells)}
        missing = [name for name in NEEDED if name not in self._places]
        if missing:
            raise StatementRefused(f"the columns {', '.join(missing)} are missing", line=row.number)
        if self._period is None:
            raise StatementRefused("no comment above says 起始日期 and 终止日期: which days it is of", line=row.number)

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
        return trade.line(self._when(trade))

    def _when(self, trade: "_Trade") -> datetime:
        assert self._period is not None, "the head was read"
        begins, ends = self._period
        at = moment_in(trade.text(DONE), _BEIJING, column=DONE, line=trade.number)
        if not begins <= at < ends:
            says = f"{DONE} {trade.text(DONE)} is none of the days that the bill is of"
            raise StatementRefused(says, line=trade.number)
        return at.astimezone(UTC)

    # --- the end ------------------------------------------------------------------------------------------------------

    def _check_end(self, row: Row, rows: Iterator[Row]) -> None:
        if END not in _text(row):
            raise StatementRefused("a comment stands among the trades; export the bill anew", line=row.number)
        for comment in rows:
            text = _text(comment)
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


def _beijing(parts: Sequence[int]) -> datetime:
    year, month, day, hour, minute, second = parts
    return datetime(year, month, day, hour, minute, second, tzinfo=_BEIJING)


def _text(row: Row) -> str:
    """Returns a comment, which is no table and may hold the separator."""
    return ",".join(row.cells).strip()
