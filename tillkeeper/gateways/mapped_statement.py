"""Reads any table as an account's statement, by a mapping that the merchant writes: which column holds what.

It serves gateways whose own forms are not known here.  A table of this sort says nothing of itself, so a cut at its end
cannot be seen; what can be seen is refused with its line: a word that no list has, a cell that is no number or time, a
row with more or fewer cells than the head, a formula.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Final, Literal, Self
from zoneinfo import ZoneInfo

import msgspec
from pydantic import AfterValidator, BaseModel, Field, model_validator

from tillkeeper.domain.books.statement import LineKind, Statement, StatementLine, StatementRefused
from tillkeeper.domain.money import EXPONENTS, BadMoney, minor_from_major
from tillkeeper.gateways.account import STRICT
from tillkeeper.gateways.kit.statements.cells import YEARS, currency_in
from tillkeeper.gateways.statement_form import Row

NAME: Final = "mapped"
IGNORE: Final = "ignore"
FORMULAS: Final = ("=", "+", "@")  # what a spreadsheet would reckon; a minus may begin an amount
OUTWARD: Final = frozenset(
    {LineKind.REFUND, LineKind.CHARGEBACK, LineKind.FEE, LineKind.PAYOUT}
)  # of these an unsigned amount leaves the balance
_DIGITS: Final = re.compile(r"[0-9]+", re.ASCII)
_HAS_HOURS: Final = ("%H", "%I", "%X", "%c", "%s")


class MappedColumn(StrEnum):
    """What a column may hold."""

    OCCURRED_AT = "occurred_at"
    AMOUNT = "amount"
    CREDIT = "credit"
    DEBIT = "debit"
    CURRENCY = "currency"
    FEE = "fee"
    NET = "net"
    KIND = "kind"
    ORDER = "order"
    PAYMENT = "payment"
    CAPTURE = "capture"
    REFUND = "refund"
    DISPUTE = "dispute"
    PAYOUT = "payout"
    METHOD = "method"
    TEXT = "text"  # what a bank says of an entry


def _check_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{name!r} is no time zone; write one such as Asia/Shanghai") from None
    return name


def _check_format(text: str) -> str:
    try:
        read = datetime.strptime(datetime(2026, 11, 22, 13, 5, 7, tzinfo=UTC).strftime(text), text)  # noqa: DTZ007
    except ValueError:
        raise ValueError(f"{text!r} cannot be read back; write one such as %Y-%m-%d %H:%M:%S") from None
    if (read.year, read.month, read.day) != (2026, 11, 22):
        raise ValueError(f"{text!r} does not say year, month and day; write one such as %d.%m.%Y %H:%M")
    return text


Kinds = Mapping[str, LineKind | Literal["ignore"]]


class StatementMapping(BaseModel):
    """`[books.statements.ACCOUNT]`: how a table is read as the account's statement."""

    model_config = STRICT

    columns: Mapping[MappedColumn, str]  # their titles, as they stand in the table
    kinds: Kinds = Field(default_factory=dict)  # the words of the column `kind`; "ignore" leaves a row out
    kind: LineKind | None = None  # of every row, where no column says it
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] | None = None  # likewise
    zone: Annotated[str, AfterValidator(_check_zone)] = "UTC"
    time_format: Annotated[str, AfterValidator(_check_format)] = "%Y-%m-%d %H:%M:%S"  # as Python's strptime has it
    decimal: Literal[".", ","] = "."
    thousands: Literal["", ",", ".", " ", "'"] = ""
    minor_units: bool = False  # amounts are whole numbers of the smallest unit
    unsigned: bool = False  # amounts have no sign: refunds, chargebacks, fees and payouts leave the balance
    ends_with: tuple[Annotated[str, Field(min_length=1)], ...] = ()  # rows from one that begins so on are no lines
    covers: frozenset[LineKind] = frozenset()  # what the table lists without a gap; of these a missing one is told

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        has = self.columns.keys()
        amounts = [MappedColumn.AMOUNT in has, {MappedColumn.CREDIT, MappedColumn.DEBIT} <= has]
        if sum(amounts) != 1:
            raise ValueError("columns: name amount, or both credit and debit")
        if MappedColumn.OCCURRED_AT not in has:
            raise ValueError("columns: name occurred_at")
        if (MappedColumn.KIND in has) == (self.kind is not None):
            raise ValueError(
                "name the column of the kind in columns, with [kinds] for its words, or one kind for all rows"
            )
        if MappedColumn.KIND in has and not self.kinds:
            raise ValueError("kinds: say what each word of the column means, or that it is to be ignored")
        if (MappedColumn.CURRENCY in has) == (self.currency is not None):
            raise ValueError("name the column of the currency in columns, or one currency for all rows")
        if self.currency is not None and self.currency not in EXPONENTS:
            raise ValueError(f"currency: {self.currency} is none of ISO 4217")
        if self.decimal == self.thousands:
            raise ValueError("decimal and thousands are the same sign")
        titles = list(self.columns.values())
        if len(set(titles)) != len(titles):
            raise ValueError("columns: two fields name the same column")
        return self

    @property
    def has_times(self) -> bool:
        """Whether times are more than days."""
        return any(part in self.time_format for part in _HAS_HOURS)


class MappedTable:
    """One table that is read by a mapping; one object reads one, once."""

    name = NAME

    def __init__(self, account: str, mapping: StatementMapping) -> None:
        self._account = account
        self._mapping = mapping
        self._zone = ZoneInfo(mapping.zone)
        self._places: dict[MappedColumn, int] = {}
        self._cells = 0
        self._span: tuple[datetime, datetime] | None = None
        self._kinds = set[LineKind]()
        self._lines = 0

    def knows(self, head: Sequence[Row]) -> bool:
        """Says whether one of the first rows has every column that the mapping names."""
        return any(self._is_head(row) for row in head)

    def lines(self, rows: Iterator[Row]) -> Iterator[StatementLine]:
        """Yields the lines, but for those that are to be ignored.  Raises StatementRefused."""
        self._read_head(rows)
        for row in rows:
            if any(row.cells[0].strip().startswith(end) for end in self._mapping.ends_with):
                break
            if any(cell.strip() for cell in row.cells):
                line = self._line(row)
                if line is not None:
                    self._lines += 1
                    yield line
        if self._span is None:
            raise StatementRefused("the table has no line: there is nothing to do")

    def statement(self) -> Statement:
        """Returns the time from the first line to the last; of days, whole ones."""
        assert self._span is not None, "it was read"
        begins, last = self._span
        more = timedelta(seconds=1) if self._mapping.has_times else timedelta(days=1)
        return Statement(
            account=self._account,
            form=self.name,
            begins=begins.astimezone(UTC),
            ends=(last + more).astimezone(UTC),
            zone=self._mapping.zone,
            covers=frozenset(self._mapping.covers & self._kinds),
            lines=self._lines,
        )

    def _is_head(self, row: Row) -> bool:
        return {cell.strip() for cell in row.cells} >= set(self._mapping.columns.values())

    def _read_head(self, rows: Iterator[Row]) -> None:
        head = next((row for row in rows if self._is_head(row)), None)
        if head is None:
            raise StatementRefused(f"no row has the columns {', '.join(self._mapping.columns.values())}")
        titles = [cell.strip() for cell in head.cells]
        twice = sorted({title for title in self._mapping.columns.values() if titles.count(title) > 1})
        if twice:
            raise StatementRefused(f"the column {', '.join(twice)} is there more than once", line=head.number)
        self._places = {field: titles.index(title) for field, title in self._mapping.columns.items()}
        self._cells = len(titles)

    def _line(self, row: Row) -> StatementLine | None:
        if len(row.cells) != self._cells:
            says = f"it has {len(row.cells)} cells, and the head {self._cells}; the table is cut or was changed"
            raise StatementRefused(says, line=row.number)
        entry = _MappedRow(row.number, self._places, row.cells, self._mapping)
        kind = entry.kind()
        if kind is None:
            return None
        at, day = entry.moment(self._zone)
        begins, last = self._span or (at, at)
        self._span = min(begins, at), max(last, at)
        self._kinds.add(kind)
        return entry.line(kind, at if self._mapping.has_times else None, day)


class _MappedRow(msgspec.Struct, frozen=True):
    """One row."""

    number: int
    places: Mapping[MappedColumn, int]
    cells: Sequence[str]
    mapping: StatementMapping

    def text(self, field: MappedColumn) -> str:
        """Returns a cell; empty where the mapping has no such column."""
        place = self.places.get(field)
        return "" if place is None else self.cells[place].strip()

    def ref(self, field: MappedColumn) -> str | None:
        """Returns a reference, or None.  Raises StatementRefused for a formula."""
        text = self.text(field)
        if text.startswith(FORMULAS):
            raise self._refused(field, "is a formula; export values", text)
        return text or None

    def kind(self) -> LineKind | None:
        """Returns what the row moved; None where it is to be ignored.  Raises StatementRefused."""
        if self.mapping.kind is not None:
            return self.mapping.kind
        word = self.text(MappedColumn.KIND)
        if word not in self.mapping.kinds:
            raise self._refused(MappedColumn.KIND, "has a word that [kinds] does not have; add it, or ignore it", word)
        meant = self.mapping.kinds[word]
        return None if meant == IGNORE else LineKind(meant)

    def moment(self, zone: ZoneInfo) -> tuple[datetime, date]:
        """Returns the time, or the beginning of the day, and the day.  Raises StatementRefused."""
        text = self.text(MappedColumn.OCCURRED_AT)
        try:
            read = _moment(text, self.mapping.time_format)
        except ValueError:
            example = datetime(2026, 11, 22, 13, 5, 7, tzinfo=zone).strftime(self.mapping.time_format)
            raise self._refused(MappedColumn.OCCURRED_AT, f"is a time such as {example}", text) from None
        if not self.mapping.has_times:
            return datetime.combine(read.date(), time(), zone), read.date()
        at = read if read.tzinfo is not None else read.replace(tzinfo=zone)
        return at, at.astimezone(zone).date()

    def line(self, kind: LineKind, at: datetime | None, day: date) -> StatementLine:
        """Returns the line.  Raises StatementRefused."""
        currency = self.mapping.currency or currency_in(
            self.text(MappedColumn.CURRENCY), column=self.mapping.columns[MappedColumn.CURRENCY], line=self.number
        )
        fee, net = (self._optional(field, currency) for field in (MappedColumn.FEE, MappedColumn.NET))
        return StatementLine(
            number=self.number,
            kind=kind,
            amount=self._amount(kind, currency),
            currency=currency,
            fee=fee,
            net=net,
            occurred_at=None if at is None else at.astimezone(UTC),
            settled_on=day,
            order_ref=self.ref(MappedColumn.ORDER),
            payment_ref=self.ref(MappedColumn.PAYMENT),
            capture_ref=self.ref(MappedColumn.CAPTURE),
            refund_ref=self.ref(MappedColumn.REFUND),
            dispute_ref=self.ref(MappedColumn.DISPUTE),
            payout_ref=self.ref(MappedColumn.PAYOUT),
            method=self.ref(MappedColumn.METHOD),
            text=self.ref(MappedColumn.TEXT),
        )

    def _amount(self, kind: LineKind, currency: str) -> int:
        if MappedColumn.AMOUNT not in self.places:
            credit, debit = (self._optional(field, currency) for field in (MappedColumn.CREDIT, MappedColumn.DEBIT))
            return abs(credit or 0) - abs(debit or 0)
        amount = self._minor(MappedColumn.AMOUNT, currency)
        if not self.mapping.unsigned:
            return amount
        return -abs(amount) if kind in OUTWARD else abs(amount)

    def _optional(self, field: MappedColumn, currency: str) -> int | None:
        return self._minor(field, currency) if self.text(field) else None

    def _minor(self, field: MappedColumn, currency: str) -> int:
        text = self.text(field)
        try:
            return _minor(text, currency, self.mapping.decimal, self.mapping.thousands, self.mapping.minor_units)
        except (BadMoney, ValueError) as error:
            raise self._refused(field, f"is no amount ({error})", text) from None

    def _refused(self, field: MappedColumn, says: str, text: str) -> StatementRefused:
        return StatementRefused(f"{self.mapping.columns[field]} {says}; here it is {text!r}", line=self.number)


@lru_cache(maxsize=4096)  # rows of one second follow one another
def _moment(text: str, time_format: str) -> datetime:
    """Returns a time, as it stands there.  Raises ValueError."""
    read = datetime.strptime(text, time_format)  # noqa: DTZ007 - the zone is the mapping's
    if read.year not in YEARS:
        raise ValueError(read.year)
    return read


@lru_cache(maxsize=4096)  # shops have few prices
def _minor(text: str, currency: str, decimal: str, thousands: str, minor_units: bool) -> int:
    """Returns an amount in minor units, with its sign.  Raises ValueError or BadMoney."""
    negative = text.startswith("-") or (text.startswith("(") and text.endswith(")"))
    bare = text.removeprefix("-").removeprefix("(").removesuffix(")").strip()
    whole, sign, part = bare.partition(decimal)
    whole = whole.replace(thousands, "") if thousands else whole
    if not _DIGITS.fullmatch(whole) or (sign and not _DIGITS.fullmatch(part)):
        raise ValueError(f"with {decimal!r} before decimals it is no number")
    if minor_units and sign:
        raise ValueError("minor units are whole")
    minor = int(whole) if minor_units else minor_from_major(f"{whole}.{part}" if sign else whole, currency)
    return -minor if negative else minor
