"""Reads WeChat Pay's fund bill (资金账单): what moved the balance of the basic, operation or fees account on a day.

    head, movements ─ head of the totals, totals; a backtick before each value, amounts in yuan

A bill does not say which account it is of, nor whose.  What it has of a payment is what came onto the balance: less
than the payer paid, where a voucher of the merchant's bore a part, and a refund less the fee that came back with it.
So payments and refunds are kept as adjustments, by their numbers, and compared with nothing: the trade bill says what
the payer paid.  Fees and withdrawals are what they are.

Sources: WeChat Pay's pages 资金账单详细说明 and 申请资金账单; that a refund is less its fee, from bills in the tests of
public packages.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import ClassVar, Final

from tillkeeper.domain.books.statement import LineKind, Statement, StatementLine, StatementRefused
from tillkeeper.gateways.account import AccountModel
from tillkeeper.gateways.kit.statements.table import Entry, Head, entry_of, head_of
from tillkeeper.gateways.statement_form import Row
from tillkeeper.gateways.wechatpay.bill_cells import ZONE, beijing_time, decimal_in, midnight, values_of

AT, BUSINESS, MOVEMENT = "记账时间", "微信支付业务单号", "资金流水单号"
NAME, SORT, DIRECTION = "业务名称", "业务类型", "收支类型"
AMOUNT, BALANCE, VOUCHER = "收支金额(元)", "账户结余(元)", "业务凭证号"
NEEDED: Final = (AT, BUSINESS, MOVEMENT, NAME, SORT, DIRECTION, AMOUNT, VOUCHER)
TOTALS: Final = "资金流水总笔数"
IN, OUT = "收入", "支出"
# Of each direction, the totals' count and amount.
OF_TOTALS: Final = {IN: ("收入笔数", "收入金额"), OUT: ("支出笔数", "支出金额")}

FEE: Final = "手续费"  # 扣除交易手续费, 退还交易手续费
WITHDRAWAL: Final = "提现"
PAYMENT: Final = "交易"
REFUND: Final = "退款"  # and 退款关闭
YUAN: Final = "CNY"


class FundBill:
    """One bill, of any of the three accounts."""

    name: ClassVar[str] = "wechatpay.fund"

    def __init__(self, account: str, settings: AccountModel) -> None:  # noqa: ARG002 - it names no merchant
        self._account = account
        self._counts = {IN: 0, OUT: 0}
        self._sums = {IN: Decimal(), OUT: Decimal()}
        self._days = set[date]()

    @classmethod
    def knows(cls, head: Sequence[Row]) -> bool:
        """Says whether the first row names the columns of a fund bill."""
        return bool(head) and set(values_of(head[0])) >= {AT, MOVEMENT, DIRECTION}

    def lines(self, rows: Iterator[Row]) -> Iterator[StatementLine]:
        """Yields the movements.  Raises StatementRefused."""
        first = next(rows)
        head = head_of(first.number, _titles(first), needed=NEEDED, money={AMOUNT, BALANCE})
        for row in rows:
            values = values_of(row)
            if values[0] == TOTALS:
                self._check_totals(row, next(rows, None))
                self._check_end(next(rows, None))
                return
            yield self._line(head, row, values)
        raise StatementRefused(f"the bill is cut: it does not end with its totals ({TOTALS}); fetch it again")

    def statement(self) -> Statement:
        """Returns the days of the bill."""
        return Statement(
            account=self._account,
            form=self.name,
            begins=midnight(min(self._days)),
            ends=midnight(max(self._days) + timedelta(days=1)),
            zone=ZONE,
            covers=frozenset(),
            lines=sum(self._counts.values()),
        )

    def _line(self, head: Head, row: Row, values: Sequence[str]) -> StatementLine:
        entry = entry_of(head, row.number, values)
        direction = entry.text(DIRECTION)
        if direction not in self._counts:
            raise StatementRefused(f"{DIRECTION} is {IN} or {OUT}, and here {direction!r}", line=row.number)
        at, amount = _moment(entry), entry.minor(AMOUNT, YUAN)
        if amount < 0:
            raise StatementRefused(f"{AMOUNT} has no sign, and here {entry.text(AMOUNT)}", line=row.number)
        self._days.add(at.date())
        self._counts[direction] += 1
        self._sums[direction] += decimal_in(entry.text(AMOUNT), row.number)
        moved = amount if direction == IN else -amount
        kind = _kind(entry)
        is_refund = kind is LineKind.ADJUSTMENT and REFUND in entry.text(SORT)  # whose numbers are its own
        return StatementLine(
            number=row.number,
            kind=kind,
            amount=moved,
            currency=YUAN,
            net=moved,
            occurred_at=at.astimezone(UTC),
            text=None if kind is LineKind.PAYOUT else entry.text(SORT),
            order_ref=entry.ref(VOUCHER) if entry.text(SORT) == PAYMENT else None,
            payment_ref=None if is_refund or kind is LineKind.PAYOUT else entry.ref(BUSINESS),
            refund_ref=entry.ref(VOUCHER) if is_refund else None,
            payout_ref=entry.ref(BUSINESS) if kind is LineKind.PAYOUT else None,
        )

    def _check_totals(self, titles: Row, row: Row | None) -> None:
        if row is None:
            raise StatementRefused("the bill is cut: its totals are missing; fetch it again", line=titles.number)
        told = dict(zip(values_of(titles), values_of(row), strict=False))
        counted = {TOTALS: Decimal(sum(self._counts.values()))}
        for direction, (count, amount) in OF_TOTALS.items():
            counted |= {count: Decimal(self._counts[direction]), amount: self._sums[direction]}
        for name, is_so in counted.items():
            if decimal_in(told.get(name, ""), row.number) != is_so:
                says = f"the totals say {name} {told[name]}, and it is {is_so}; fetch the bill again"
                raise StatementRefused(says, line=row.number)
        if not self._days:
            raise StatementRefused("the bill lists nothing and does not say of which day it is: there is nothing to do")

    def _check_end(self, row: Row | None) -> None:
        if row is not None:
            raise StatementRefused("something stands behind the totals; give one bill a file", line=row.number)


def _titles(row: Row) -> list[str]:
    """Returns the titles, whose parentheses are sometimes the full-width ones."""
    return [title.replace("（", "(").replace("）", ")") for title in values_of(row)]


def _moment(entry: Entry) -> datetime:
    at = beijing_time(entry.text(AT))
    if at is None:
        says = f"{AT} is a time such as 2026-11-22 20:00:00, and here {entry.text(AT)!r}"
        raise StatementRefused(says, line=entry.number)
    return at


def _kind(entry: Entry) -> LineKind:
    """Returns what a movement is; WeChat Pay says that the words may change, and what is not known is an adjustment."""
    sort = entry.text(SORT)
    if FEE in sort:
        return LineKind.FEE
    return LineKind.PAYOUT if WITHDRAWAL in sort else LineKind.ADJUSTMENT
