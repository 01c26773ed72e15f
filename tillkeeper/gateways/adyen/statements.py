"""Reads Adyen's settlement detail reports (CSV): what a batch settled, with its fees and its payout.

A report lists what was settled, which may be days after it was captured, so it covers no time: nothing is missing
because a report does not have it.  It says nothing of itself, so one that is cut after a whole line looks shorter.

Source: docs.adyen.com, "Settlement detail report" (columns and journal types).  Of the abbreviations in the column
TimeZone, which Adyen does not list, those are known whose offset is sure.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from typing import ClassVar, Final, cast

import msgspec

from tillkeeper.domain.books.statement import LineKind, Statement, StatementLine, StatementRefused
from tillkeeper.gateways.account import AccountModel
from tillkeeper.gateways.adyen.settings import AdyenSettings
from tillkeeper.gateways.kit.statements.cells import currency_in, moment_in, signed_minor
from tillkeeper.gateways.statement_form import Row

MERCHANT: Final = "Merchant Account"
PAYMENT: Final = "Psp Reference"
ORDER: Final = "Merchant Reference"
METHOD: Final = "Payment Method"
AT: Final = "Creation Date"
ZONE: Final = "TimeZone"
TYPE: Final = "Type"
MODIFICATION: Final = "Modification Reference"
BATCH: Final = "Batch Number"
GROSS_CURRENCY: Final = "Gross Currency"
GROSS: Final = ("Gross Credit (GC)", "Gross Debit (GC)")
NET_CURRENCY: Final = "Net Currency"
NET: Final = ("Net Credit (NC)", "Net Debit (NC)")
FEES: Final = ("Commission (NC)", "Markup (NC)", "Scheme Fees (NC)", "Interchange (NC)")
NEEDED: Final = (
    *(MERCHANT, PAYMENT, ORDER, AT, ZONE, TYPE, MODIFICATION, GROSS_CURRENCY, *GROSS, NET_CURRENCY, *NET, *FEES),
    BATCH,
)

KINDS: Final[Mapping[str, LineKind]] = MappingProxyType(
    {
        "Settled": LineKind.PAYMENT,
        "Refunded": LineKind.REFUND,
        "RefundedReversed": LineKind.REFUND_FAILED,
        "Chargeback": LineKind.CHARGEBACK,
        "SecondChargeback": LineKind.CHARGEBACK,
        "ChargebackReversed": LineKind.CHARGEBACK_REVERSED,
        "Fee": LineKind.FEE,
        "MiscCosts": LineKind.FEE,
        "InvoiceDeduction": LineKind.FEE,
        "DepositCorrection": LineKind.RESERVE,
        "ReserveAdjustment": LineKind.RESERVE,
        "MerchantPayout": LineKind.PAYOUT,
    }
)
HOURS_OF: Final[Mapping[str, int]] = MappingProxyType(
    {
        "UTC": 0,
        "GMT": 0,
        "WET": 0,
        "WEST": 1,
        "CET": 1,
        "CEST": 2,
        "EET": 2,
        "EEST": 3,
        "MSK": 3,
        "HKT": 8,
        "SGT": 8,
        "JST": 9,
        "AEST": 10,
        "AEDT": 11,
        "NZST": 12,
        "NZDT": 13,
        "BRT": -3,
        "EDT": -4,
        "EST": -5,
        "CDT": -5,
        "MDT": -6,
        "MST": -7,
        "PDT": -7,
        "PST": -8,
    }
)


class SettlementDetail:
    """One report."""

    name: ClassVar[str] = "adyen.settlement"

    def __init__(self, account: str, settings: AccountModel) -> None:
        self._account = account
        self._merchant = cast("AdyenSettings", settings).merchant_account
        self._places: dict[str, int] = {}
        self._span: tuple[datetime, datetime] | None = None
        self._lines = 0

    @classmethod
    def knows(cls, head: Sequence[Row]) -> bool:
        """Says whether the first row names the columns of the report."""
        return bool(head) and {cell.strip() for cell in head[0].cells} >= {MERCHANT, PAYMENT, TYPE, BATCH}

    def lines(self, rows: Iterator[Row]) -> Iterator[StatementLine]:
        """Yields a line for each journal.  Raises StatementRefused."""
        self._read_head(next(rows))
        for row in rows:
            line = self._line(row)
            self._lines += 1
            yield line
        if self._span is None:
            raise StatementRefused("the report lists nothing: there is nothing to do")

    def statement(self) -> Statement:
        """Returns the time from the first line to the last."""
        assert self._span is not None, "it was read"
        begins, last = self._span
        return Statement(
            account=self._account,
            form=self.name,
            begins=begins,
            ends=last + timedelta(seconds=1),
            zone="UTC",
            covers=frozenset(),
            lines=self._lines,
        )

    def _read_head(self, row: Row) -> None:
        self._places = {name.strip(): place for place, name in enumerate(row.cells)}
        missing = [name for name in NEEDED if name not in self._places]
        if missing:
            says = f"the columns {', '.join(missing)} are missing; generate the report with them"
            raise StatementRefused(says, line=row.number)

    def _line(self, row: Row) -> StatementLine:
        if len(row.cells) != len(self._places):
            says = f"it has {len(row.cells)} cells, and the head {len(self._places)}; the file is cut or was changed"
            raise StatementRefused(says, line=row.number)
        journal = _Journal(row.number, self._places, row.cells)
        if journal.text(MERCHANT) != self._merchant:
            says = f"it is of the merchant account {journal.text(MERCHANT)}, and the settings say {self._merchant}"
            raise StatementRefused(says, line=row.number)
        at = journal.moment()
        begins, last = self._span or (at, at)
        self._span = min(begins, at), max(last, at)
        return journal.line(at)


class _Journal(msgspec.Struct, frozen=True):
    """One line of the report."""

    number: int
    places: dict[str, int]
    cells: Sequence[str]

    def text(self, column: str) -> str:
        """Returns a cell; empty where there is no such column."""
        place = self.places.get(column)
        return "" if place is None else self.cells[place].strip()

    def moment(self) -> datetime:
        """Returns when it was booked.  Raises StatementRefused."""
        hours = HOURS_OF.get(self.text(ZONE))
        if hours is None:
            says = f"{ZONE} is an abbreviation whose offset is sure, such as UTC or CET, and here {self.text(ZONE)!r}"
            raise StatementRefused(f"{says}; have the report made in UTC", line=self.number)
        zone = timezone(timedelta(hours=hours))
        return moment_in(self.text(AT), zone, column=AT, line=self.number).astimezone(UTC)

    def line(self, at: datetime) -> StatementLine:
        """Returns what it moved.  Raises StatementRefused."""
        kind = KINDS.get(self.text(TYPE), LineKind.ADJUSTMENT)
        settled = currency_in(self.text(NET_CURRENCY), column=NET_CURRENCY, line=self.number)
        fee, net = sum(self._minor(column, settled) for column in FEES), self._difference(NET, settled)
        currency, amount = settled, net
        if self.text(GROSS_CURRENCY):
            currency = currency_in(self.text(GROSS_CURRENCY), column=GROSS_CURRENCY, line=self.number)
            amount = self._difference(GROSS, currency)
        if currency == settled and self.text(GROSS_CURRENCY) and amount - fee != net:
            says = f"gross less fees is not net: {amount}, {fee} and {net} minor units of {settled}"
            raise StatementRefused(says, line=self.number)
        reference = self.text(MODIFICATION) or None
        return StatementLine(
            number=self.number,
            kind=kind,
            amount=amount,
            currency=currency,
            fee=fee,
            net=net,
            settled_currency=None if settled == currency else settled,
            occurred_at=at,
            order_ref=self.text(ORDER) or None,
            payment_ref=self.text(PAYMENT) or None,
            capture_ref=reference if kind is LineKind.PAYMENT else None,
            refund_ref=reference if kind in {LineKind.REFUND, LineKind.REFUND_FAILED} else None,
            dispute_ref=reference if kind in {LineKind.CHARGEBACK, LineKind.CHARGEBACK_REVERSED} else None,
            payout_ref=f"batch {self.text(BATCH)}" if self.text(BATCH) else None,
            method=self.text(METHOD) or None,
            text=self.text(TYPE) if kind is LineKind.ADJUSTMENT else None,
        )

    def _difference(self, columns: tuple[str, str], currency: str) -> int:
        credit, debit = (self._minor(column, currency) for column in columns)
        return credit - debit

    def _minor(self, column: str, currency: str) -> int:
        return signed_minor(self.text(column), currency, column=column, line=self.number) if self.text(column) else 0
