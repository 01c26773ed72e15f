"""Reads Alipay's fund bill (账务明细): what moved the balance of an account on the days of the bill.

    #账号 and #起始日期 … 终止日期 ─ head, movements ─ #…结束, #支出合计, #收入合计, #导出时间

A bill is GBK in a zip, beside a summary (汇总) that is left aside.  What it has of a payment is what came onto the
balance, which is less than the payer paid where a discount of the merchant's bore a part.  So payments and refunds are
kept as adjustments, by their numbers, and compared with nothing: the trade bill says what the payer paid.  Fees and
withdrawals are what they are.

Sources: Alipay's page "alipay.data.dataservice.bill.downloadurl.query" (bill_type signcustomer) for what a bill is and
when it is made; columns, comments, totals and words from bills in public repositories, for the page shows none.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC
from typing import ClassVar, Final, cast

from tillkeeper.domain.books.statement import LineKind, Statement, StatementLine, StatementRefused
from tillkeeper.gateways.account import AccountModel
from tillkeeper.gateways.alipay.bill_comments import ZONE, BillComments, comment_of
from tillkeeper.gateways.alipay.fields import YUAN
from tillkeeper.gateways.alipay.settings import AlipaySettings
from tillkeeper.gateways.kit.statements.cells import signed_minor
from tillkeeper.gateways.kit.statements.table import Entry, Head, entry_of, head_of
from tillkeeper.gateways.statement_form import Row

TITLE: Final = "#支付宝账务明细"
END: Final = "账务明细列表结束"
MOVEMENT, TRADE, ORDER, AT, SORT = "账务流水号", "业务流水号", "商户订单号", "发生时间", "业务类型"
INCOME, OUTLAY, BALANCE = "收入金额(+元)", "支出金额(-元)", "账户余额(元)"
NEEDED: Final = (MOVEMENT, TRADE, ORDER, AT, INCOME, OUTLAY, SORT)
IN, OUT = "收入", "支出"
_TOTAL: Final = re.compile(r"#(收入|支出)合计：(\d{1,12})笔，共(-?[\d.]{1,24})元")

WITHDRAWAL: Final = "提现"
FEES: Final = ("收费", "服务费", "手续费")


class FundBill:
    """One bill."""

    name: ClassVar[str] = "alipay.fund"

    def __init__(self, account: str, settings: AccountModel) -> None:
        self._account = account
        self._comments = BillComments(cast("AlipaySettings", settings).seller_id)
        self._counts = {IN: 0, OUT: 0}
        self._sums = {IN: 0, OUT: 0}
        self._told = set[str]()

    @classmethod
    def knows(cls, head: Sequence[Row]) -> bool:
        """Says whether the first row is the title of a fund bill."""
        return bool(head) and comment_of(head[0]).startswith(TITLE)

    def lines(self, rows: Iterator[Row]) -> Iterator[StatementLine]:
        """Yields the movements.  Raises StatementRefused."""
        first = self._comments.read(rows)
        head = head_of(first.number, _titles(first), needed=NEEDED, money={INCOME, OUTLAY, BALANCE})
        for row in rows:
            if comment_of(row).startswith("#"):
                self._check_end(row, rows)
                return
            yield self._line(head, row)
        raise StatementRefused(f"the bill is cut: it does not end with {END}; fetch it again")

    def statement(self) -> Statement:
        """Returns the days of the bill."""
        begins, ends = self._comments.period
        return Statement(
            account=self._account,
            form=self.name,
            begins=begins.astimezone(UTC),
            ends=ends.astimezone(UTC),
            zone=ZONE,
            covers=frozenset(),
            lines=sum(self._counts.values()),
        )

    def _line(self, head: Head, row: Row) -> StatementLine:
        entry = entry_of(head, row.number, row.cells)
        at = self._comments.moment(entry.text(AT), column=AT, line=row.number)
        income, outlay = abs(entry.minor(INCOME, YUAN)), abs(entry.minor(OUTLAY, YUAN))
        if income and outlay:
            raise StatementRefused(f"it has both {INCOME} and {OUTLAY}; export the bill anew", line=row.number)
        direction = OUT if outlay else IN
        self._counts[direction] += 1
        self._sums[direction] += income + outlay
        kind = _kind(entry)
        is_payout = kind is LineKind.PAYOUT
        return StatementLine(
            number=row.number,
            kind=kind,
            amount=income - outlay,
            currency=YUAN,
            net=income - outlay,
            occurred_at=at,
            order_ref=None if is_payout else entry.ref(ORDER),
            payment_ref=None if is_payout else entry.ref(TRADE),
            payout_ref=entry.ref(TRADE) if is_payout else None,
            text=None if is_payout else entry.text(SORT),
        )

    def _check_end(self, row: Row, rows: Iterator[Row]) -> None:
        if END not in comment_of(row):
            raise StatementRefused("a comment stands among the movements; export the bill anew", line=row.number)
        for comment in rows:
            text = comment_of(comment)
            if not text.startswith("#"):
                raise StatementRefused("something stands behind the end; give one bill a file", line=comment.number)
            if (total := _TOTAL.match(text)) is not None:
                self._check_total(total[1], int(total[2]), total[3], comment.number)
        for direction, count in self._counts.items():
            if count and direction not in self._told:
                raise StatementRefused(f"the bill is cut: its total of {direction} is missing; fetch it again")

    def _check_total(self, direction: str, count: int, amount: str, line: int) -> None:
        self._told.add(direction)
        total = abs(signed_minor(amount, YUAN, column=f"{direction}合计", line=line))
        if (count, total) != (self._counts[direction], self._sums[direction]):
            says = (
                f"the totals say {count} of {direction} and {amount}, and there are {self._counts[direction]} and "
                f"{self._sums[direction] / 100:.2f}; fetch the bill again"
            )
            raise StatementRefused(says, line=line)


def _titles(row: Row) -> list[str]:
    """Returns the titles, whose parentheses are mostly the full-width ones."""
    return [cell.strip().replace("（", "(").replace("）", ")") for cell in row.cells]


def _kind(entry: Entry) -> LineKind:
    """Returns what a movement is; a word that is not known is an adjustment."""
    sort = entry.text(SORT)
    if any(word in sort for word in FEES):
        return LineKind.FEE
    return LineKind.PAYOUT if WITHDRAWAL in sort else LineKind.ADJUSTMENT
