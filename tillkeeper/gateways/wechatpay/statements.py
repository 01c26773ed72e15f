"""Reads WeChat Pay's trade bill (交易账单): of all trades of a day, of its payments, or of its refunds.

    head of the trades, trades ─ head of the totals, totals; a backtick before each value, amounts in yuan

A bill is of one day in Beijing, and is made at 10:00 on the next.  A payment stands under the moment of its success, a
refund under that of its acceptance, with the status that it had when the bill was made.

Sources: WeChat Pay's pages 交易账单文件格式说明 and 申请交易账单; the bills in the tests of wechatpay-go.  The columns
of the oldest bills (总金额) rest on secondary sources.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import ClassVar, Final, Protocol, cast

import msgspec

from tillkeeper.domain.books.statement import LineKind, Statement, StatementLine, StatementRefused
from tillkeeper.domain.money import EXPONENTS, BadMoney, minor_from_major
from tillkeeper.gateways.account import AccountModel
from tillkeeper.gateways.statement_form import Row
from tillkeeper.gateways.wechatpay.bill_cells import ZONE, beijing_time, decimal_in, midnight, values_of

AT, MERCHANT, SUB_MERCHANT = "交易时间", "商户号", "特约商户号"
TRANSACTION, ORDER, METHOD = "微信订单号", "商户订单号", "交易类型"
STATE, CURRENCY, FEE = "交易状态", "货币种类", "手续费"
REFUND_AT, REFUND, REFUND_STATE, ASKED_BACK, GIVEN_BACK = (
    "退款申请时间",
    "商户退款单号",
    "退款状态",
    "申请退款金额",
    "退款金额",
)
WECHAT_REFUND = "微信退款单号"
PRICES: Final = ("订单金额", "总金额", "应结订单金额")  # the first that a bill has is what the order costs
NEEDED: Final = (AT, MERCHANT, TRANSACTION, ORDER, STATE, CURRENCY)
TRADES: Final = "总交易单数"
# The total of each column, by the name that it has among the totals.
TOTALS: Final = {
    "应结订单总金额": "应结订单金额",
    "退款总金额": GIVEN_BACK,
    "充值券退款总金额": "充值券退款金额",
    "手续费总金额": FEE,
    "订单总金额": "订单金额",
    "申请退款总金额": ASKED_BACK,
}
NONE: Final = frozenset({"", "0"})  # what stands where a trade has no such number
NOT_BACK: Final = frozenset({"FAIL", "CHANGE"})  # the payer got nothing back
PENDING: Final = "PROCESSING"


class _Merchant(Protocol):
    """What the settings of either API's accounts have."""

    mch_id: str


class TradeBill:
    """One bill; the form of all three sorts."""

    name: ClassVar[str] = "wechatpay.trade"

    def __init__(self, account: str, settings: AccountModel) -> None:
        self._account = account
        self._mch_id = cast("_Merchant", settings).mch_id
        self._places: dict[str, int] = {}
        self._sums: dict[str, Decimal] = {}
        self._days: set[date] = set()
        self._trades = self._lines = 0

    @classmethod
    def knows(cls, head: Sequence[Row]) -> bool:
        """Says whether the first row names the columns of a trade bill."""
        return bool(head) and set(values_of(head[0])) >= {AT, TRANSACTION, STATE}

    def lines(self, rows: Iterator[Row]) -> Iterator[StatementLine]:
        """Yields payments and refunds.  Raises StatementRefused."""
        self._read_head(next(rows))
        for row in rows:
            values = values_of(row)
            if values[0] == TRADES:
                self._check_totals(row, values, next(rows, None))
                self._check_end(next(rows, None))
                return
            for line in self._lines_of(row, values):
                self._lines += 1
                yield line
        raise StatementRefused("the bill is cut: it does not end with its totals (总交易单数); fetch it again")

    def statement(self) -> Statement:
        """Returns the days of the bill, and which kinds it lists; a bill of payments alone has no column of refunds."""
        begins, ends = min(self._days), max(self._days) + timedelta(days=1)
        kinds = {LineKind.REFUND} if self._is_of_refunds else {LineKind.PAYMENT}
        if REFUND in self._places:
            kinds.add(LineKind.REFUND)
        return Statement(
            account=self._account,
            form=self.name,
            begins=midnight(begins),
            ends=midnight(ends),
            zone=ZONE,
            covers=frozenset(kinds),
            lines=self._lines,
        )

    @property
    def _is_of_refunds(self) -> bool:
        return REFUND_AT in self._places

    # --- one trade ----------------------------------------------------------------------------------------------------

    def _read_head(self, row: Row) -> None:
        self._places = {name: place for place, name in enumerate(values_of(row))}
        missing = [name for name in NEEDED if name not in self._places]
        if missing:
            raise StatementRefused(f"the columns {', '.join(missing)} are missing", line=row.number)
        if not any(name in self._places for name in PRICES):
            raise StatementRefused(f"no column has what the order costs ({' or '.join(PRICES)})", line=row.number)
        self._sums = {column: Decimal() for column in TOTALS.values() if column in self._places}

    def _lines_of(self, row: Row, values: Sequence[str]) -> Iterator[StatementLine]:
        if len(values) != len(self._places):
            says = f"it has {len(values)} cells, and the head {len(self._places)}; export the bill anew"
            raise StatementRefused(says, line=row.number)
        trade = _Trade(row.number, self._places, values)
        if trade.text(MERCHANT) != self._mch_id:
            says = f"it is of the merchant {trade.text(MERCHANT)}, and the account is {self._mch_id}"
            raise StatementRefused(says, line=row.number)
        self._trades += 1
        for column, amount in self._sums.items():
            self._sums[column] = amount + decimal_in(values[self._places[column]], row.number)
        local = trade.local
        self._days.add(local.date())
        yield from trade.lines(local.astimezone(UTC))

    # --- the end ------------------------------------------------------------------------------------------------------

    def _check_totals(self, head: Row, names: Sequence[str], row: Row | None) -> None:
        if row is None:
            raise StatementRefused("the bill is cut: its totals are missing; fetch it again", line=head.number)
        totals = dict(zip(names, values_of(row), strict=False))
        if totals[TRADES] != str(self._trades):
            says = f"the totals say {totals[TRADES]} trades, and there are {self._trades}; fetch the bill again"
            raise StatementRefused(says, line=row.number)
        for name, column in TOTALS.items():
            if name in totals and column in self._sums and decimal_in(totals[name], row.number) != self._sums[column]:
                says = f"the totals say {name} {totals[name]}, and it is {self._sums[column]}; fetch the bill again"
                raise StatementRefused(says, line=row.number)
        if not self._days:
            raise StatementRefused(
                "the bill lists no trade and does not say of which day it is: there is nothing to do"
            )

    def _check_end(self, row: Row | None) -> None:
        if row is not None:
            raise StatementRefused("something stands behind the totals; give one bill a file", line=row.number)


class _Trade(msgspec.Struct, frozen=True):
    """One row of the trades."""

    number: int
    places: dict[str, int]
    values: Sequence[str]

    def text(self, column: str) -> str:
        """Returns a cell; empty where there is no such column."""
        place = self.places.get(column)
        return "" if place is None else self.values[place]

    def ref(self, column: str) -> str | None:
        """Returns a number; None where the trade has none."""
        return None if self.text(column) in NONE else self.text(column)

    def decimal(self, column: str) -> Decimal:
        """Returns an amount in yuan, of any precision."""
        return decimal_in(self.text(column), self.number)

    @property
    def local(self) -> datetime:
        """Returns when it counts, in Beijing: the success of a payment, the acceptance of a refund."""
        column = REFUND_AT if self.ref(REFUND_AT) else AT
        text = self.text(column)
        local = beijing_time(text)
        if local is None:
            says = f"{column} is a time such as 2026-11-22 20:00:00, and here {text!r}"
            raise StatementRefused(says, line=self.number)
        return local

    def lines(self, at: datetime) -> Iterator[StatementLine]:
        """Yields what it moved: a refund that failed went and came back."""
        state, back = self.text(STATE), self.text(REFUND_STATE)
        price = next(name for name in PRICES if name in self.places)
        if state == "SUCCESS" and self.ref(REFUND) is None:
            yield self._line(at, LineKind.PAYMENT, self._minor(price), fee=self._fee())
        elif state in {"REFUND", "SUCCESS"}:
            amount = self._minor(ASKED_BACK if ASKED_BACK in self.places else GIVEN_BACK)
            yield self._line(at, LineKind.REFUND, -amount, fee=self._fee(), pending=back == PENDING)
            if back in NOT_BACK:
                yield self._line(at, LineKind.REFUND_FAILED, amount)
        else:  # REVOKED: a payment by code was called off, which neither its notices nor its queries call a refund
            yield self._line(at, LineKind.ADJUSTMENT, self._minor(price), word=state)

    def _line(
        self,
        at: datetime,
        kind: LineKind,
        amount: int,
        *,
        fee: int | None = None,
        pending: bool = False,
        word: str | None = None,
    ) -> StatementLine:
        is_refund = kind in {LineKind.REFUND, LineKind.REFUND_FAILED}
        return StatementLine(
            number=self.number,
            kind=kind,
            amount=amount,
            currency=self._currency,
            fee=fee,
            occurred_at=at,
            order_ref=self.ref(ORDER),
            payment_ref=self.ref(TRANSACTION),
            refund_ref=(self.ref(REFUND) or self.ref(WECHAT_REFUND)) if is_refund else None,
            method=self.ref(METHOD),
            text=word,
            pending=pending,
        )

    @property
    def _currency(self) -> str:
        currency = self.text(CURRENCY)
        if currency not in EXPONENTS:
            says = f"{CURRENCY} is a currency of ISO 4217 such as CNY, and here {currency!r}"
            raise StatementRefused(says, line=self.number)
        return currency

    def _minor(self, column: str) -> int:
        try:
            return minor_from_major(self.text(column), self._currency)
        except BadMoney as error:
            raise StatementRefused(f"{column}: {error}; here it is {self.text(column)!r}", line=self.number) from None

    def _fee(self) -> int | None:
        """Returns the fee, of which the bill has more digits than are charged."""
        if FEE not in self.places:
            return None
        digits = EXPONENTS[self._currency]
        return int(self.decimal(FEE).scaleb(digits).to_integral_value(ROUND_HALF_UP))
