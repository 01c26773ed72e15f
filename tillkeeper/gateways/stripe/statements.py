"""Reads Stripe's itemized reports of balance transactions, as the Dashboard and the Reporting API give them.

    balance_change_from_activity.itemized.*    what changed the balance, by when it did
    payout_reconciliation.itemized.*           the same lines, by the payout in which they were settled

Columns are known by their names, in any order; needed are those of NEEDED.  The report does not say of which time it
is: from its first line to its last it lists everything of the kinds that it has, unless somebody filtered it; one by
payouts covers no time, for a line may be in a later payout.  Where the payer's currency is another than the balance's,
the report says what the whole charge was, so that of a refund or dispute in it no amount is known.

Source: https://docs.stripe.com/reports/report-types/balance, .../payout-reconciliation and
https://docs.stripe.com/reports/reporting-categories.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final, cast

import msgspec

from tillkeeper.domain.books.statement import LineKind, Statement, StatementLine, StatementRefused
from tillkeeper.gateways.account import AccountModel
from tillkeeper.gateways.kit.statements.cells import currency_in, moment_in, signed_minor
from tillkeeper.gateways.statement_form import Row
from tillkeeper.gateways.stripe.settings import StripeSettings

ID, AT, CATEGORY, SOURCE = "balance_transaction_id", "created_utc", "reporting_category", "source_id"
CURRENCY, GROSS, FEE, NET = "currency", "gross", "fee", "net"
INTENT, CHARGE, REFUND, DISPUTE = "payment_intent_id", "charge_id", "refund_id", "dispute_id"
PAYOUT, METHOD = "automatic_payout_id", "payment_method_type"
FACING_AMOUNT, FACING_CURRENCY = "customer_facing_amount", "customer_facing_currency"
NEEDED: Final = (ID, AT, CATEGORY, SOURCE, CURRENCY, GROSS, FEE, NET)

# What was authorized and not captured, and a debit that failed later, take back what their charge brought.
KINDS: Final[Mapping[str, LineKind]] = {
    "charge": LineKind.PAYMENT,
    "partial_capture_reversal": LineKind.PAYMENT,
    "charge_failure": LineKind.PAYMENT,
    "refund": LineKind.REFUND,
    "refund_failure": LineKind.REFUND_FAILED,
    "dispute": LineKind.CHARGEBACK,
    "dispute_reversal": LineKind.CHARGEBACK_REVERSED,
    "fee": LineKind.FEE,
    "network_cost": LineKind.FEE,
    "tax": LineKind.FEE,
    "payout": LineKind.PAYOUT,
    "payout_reversal": LineKind.PAYOUT,
    "risk_reserved_funds": LineKind.RESERVE,
}
OF_PAYERS: Final = frozenset(
    {
        *(LineKind.PAYMENT, LineKind.REFUND, LineKind.REFUND_FAILED),
        *(LineKind.CHARGEBACK, LineKind.CHARGEBACK_REVERSED),
    }
)
SUMS: Final = (GROSS, FEE, NET)
METADATA: Final = "payment_metadata["


class BalanceReport:
    """One report, of either sort."""

    name: ClassVar[str] = "stripe.balance"

    def __init__(self, account: str, settings: AccountModel) -> None:
        self._account = account
        path = cast("StripeSettings", settings).order_ref_path or "metadata.order_id"
        self._order_column = f"{METADATA}{path.removeprefix('metadata.')}]"
        self._places: dict[str, int] = {}
        self._span: tuple[datetime, datetime] | None = None
        self._kinds = set[LineKind]()
        self._unknown = set[LineKind]()  # kinds of which a line's amount is not known
        self._lines = 0

    @classmethod
    def knows(cls, head: Sequence[Row]) -> bool:
        """Says whether the first row names the columns of a report on balance transactions."""
        return bool(head) and set(head[0].cells) >= {ID, CATEGORY, GROSS}

    def lines(self, rows: Iterator[Row]) -> Iterator[StatementLine]:
        """Yields a line for each balance transaction.  Raises StatementRefused."""
        self._read_head(next(rows))
        for row in rows:
            line = self._line(row)
            self._lines += 1
            yield line
        if self._span is None:
            raise StatementRefused("the report lists nothing: there is nothing to do")

    def statement(self) -> Statement:
        """Returns the time from the first line to the last, and the kinds that it lists."""
        assert self._span is not None, "it was read"
        begins, last = self._span
        listed = self._kinds & {LineKind.PAYMENT, LineKind.REFUND} - self._unknown
        return Statement(
            account=self._account,
            form=self.name,
            begins=begins,
            ends=last + timedelta(seconds=1),
            zone="UTC",
            covers=frozenset() if PAYOUT in self._places else frozenset(listed),
            lines=self._lines,
        )

    def _read_head(self, row: Row) -> None:
        self._places = {name.strip(): place for place, name in enumerate(row.cells)}
        missing = [name for name in NEEDED if name not in self._places]
        if missing:
            says = f"the columns {', '.join(missing)} are missing; run the report with them"
            raise StatementRefused(says, line=row.number)

    def _line(self, row: Row) -> StatementLine:
        if len(row.cells) != len(self._places):
            says = f"it has {len(row.cells)} cells, and the head {len(self._places)}; the file is cut or was changed"
            raise StatementRefused(says, line=row.number)
        entry = _Entry(row.number, self._places, row.cells)
        at = moment_in(entry.text(AT), UTC, column=AT, line=row.number)
        begins, last = self._span or (at, at)
        self._span = min(begins, at), max(last, at)
        line = entry.line(at, order_ref=entry.ref(self._order_column))
        self._kinds.add(line.kind)
        if line.kind is LineKind.ADJUSTMENT and (meant := KINDS.get(entry.text(CATEGORY))) is not None:
            self._unknown.add(meant)
        return line


class _Entry(msgspec.Struct, frozen=True):
    """One balance transaction."""

    number: int
    places: dict[str, int]
    cells: Sequence[str]

    def text(self, column: str) -> str:
        """Returns a cell; empty where there is no such column."""
        place = self.places.get(column)
        return "" if place is None else self.cells[place].strip()

    def ref(self, column: str) -> str | None:
        """Returns a reference, or None."""
        return self.text(column) or None

    def line(self, at: datetime, *, order_ref: str | None) -> StatementLine:
        """Returns what it moved.  Raises StatementRefused."""
        category, settled = self.text(CATEGORY), currency_in(self.text(CURRENCY), column=CURRENCY, line=self.number)
        gross, fee, net = (signed_minor(self.text(name), settled, column=name, line=self.number) for name in SUMS)
        if gross - fee != net:
            says = f"gross less fee is not net: {self.text(GROSS)}, {self.text(FEE)}, {self.text(NET)}"
            raise StatementRefused(says, line=self.number)
        kind, amount, currency = self._amount(KINDS.get(category, LineKind.ADJUSTMENT), gross, settled)
        return StatementLine(
            number=self.number,
            kind=kind,
            amount=amount,
            currency=currency,
            fee=fee,
            net=net,
            settled_currency=None if settled == currency else settled,
            occurred_at=at,
            order_ref=order_ref,
            payment_ref=(self.ref(INTENT) or self._charge) if kind in OF_PAYERS else None,
            capture_ref=self._charge if kind is LineKind.PAYMENT else None,
            refund_ref=self._own(REFUND, kind, {LineKind.REFUND, LineKind.REFUND_FAILED}),
            dispute_ref=self._own(DISPUTE, kind, {LineKind.CHARGEBACK, LineKind.CHARGEBACK_REVERSED}),
            payout_ref=self.ref(PAYOUT) or (self.ref(SOURCE) if kind is LineKind.PAYOUT else None),
            method=self.ref(METHOD),
            text=category if kind is LineKind.ADJUSTMENT else None,
        )

    @property
    def _charge(self) -> str | None:
        is_charge = KINDS.get(self.text(CATEGORY)) is LineKind.PAYMENT
        return self.ref(CHARGE) or (self.ref(SOURCE) if is_charge else None)

    def _own(self, column: str, kind: LineKind, kinds: set[LineKind]) -> str | None:
        return (self.ref(column) or self.ref(SOURCE)) if kind in kinds else None

    def _amount(self, kind: LineKind, gross: int, settled: str) -> tuple[LineKind, int, str]:
        """Returns kind, amount and currency as the payer has them."""
        if kind not in OF_PAYERS or not self.text(FACING_CURRENCY):
            return kind, gross, settled
        facing = currency_in(self.text(FACING_CURRENCY), column=FACING_CURRENCY, line=self.number)
        if facing == settled:
            return kind, gross, settled
        if self.text(CATEGORY) != "charge":
            return LineKind.ADJUSTMENT, gross, settled
        amount = signed_minor(self.text(FACING_AMOUNT), facing, column=FACING_AMOUNT, line=self.number)
        return kind, amount, facing
