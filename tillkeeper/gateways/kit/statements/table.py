"""Reads tables whose head names their columns: a cell by its title, refused with its line where it cannot be that."""

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

import msgspec

from tillkeeper.domain.books.statement import LineKind, StatementLine, StatementRefused
from tillkeeper.domain.money import EXPONENTS
from tillkeeper.gateways.kit.statements.cells import YEARS, currency_in, signed_minor

MONEY_WORDS: Final = ("amount", "fee", "gross", "net_", "tax")  # a title with one of these may speak of money
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{1,12})?")
ISO_CHARS_MAX: Final = 40


class Head(msgspec.Struct, frozen=True):
    """Where each title stands, and the titles that may speak of money and that the form does not know."""

    places: Mapping[str, int]
    width: int
    foreign: tuple[str, ...]


def head_of(number: int, cells: Sequence[str], *, needed: Collection[str], money: Collection[str]) -> Head:
    """Reads the head; `money` are the titles of amounts that the form knows.  Raises StatementRefused."""
    titles = [cell.strip() for cell in cells]
    missing = [title for title in needed if title not in titles]
    if missing:
        says = f"the columns {', '.join(missing)} are missing; export it with them"
        raise StatementRefused(says, line=number)
    twice = [title for title in needed if titles.count(title) > 1]
    if twice:
        raise StatementRefused(f"the column {twice[0]} stands twice; export it anew", line=number)
    foreign = tuple(title for title in titles if title not in money and _speaks_of_money(title))
    return Head({title: place for place, title in enumerate(titles)}, len(titles), foreign)


def entry_of(head: Head, number: int, cells: Sequence[str]) -> "Entry":
    """Returns a row by the titles.  Raises StatementRefused for one that was cut, or that holds money of which the
    form knows nothing."""
    entry = Entry(number, head.places, cells)
    if len(cells) != head.width:
        says = f"it has {len(cells)} cells, and the head {head.width}; the file is cut or was changed"
        raise StatementRefused(says, line=number)
    for title in head.foreign:
        text = entry.text(title)
        if _NUMBER.fullmatch(text) and Decimal(text):
            says = f"the column {title} is not known, and holds {text}: money may be missing; leave it out if not"
            raise StatementRefused(says, line=number)
    return entry


class Entry(msgspec.Struct, frozen=True):
    """One row."""

    number: int
    places: Mapping[str, int]
    cells: Sequence[str]

    def text(self, title: str) -> str:
        """Returns a cell; empty where there is no such column."""
        place = self.places.get(title)
        return "" if place is None else self.cells[place].strip()

    def ref(self, title: str) -> str | None:
        """Returns a reference, or None."""
        return self.text(title) or None

    def currency(self, title: str) -> str:
        """Returns a currency.  Raises StatementRefused."""
        return currency_in(self.text(title), column=title, line=self.number)

    def minor(self, title: str, currency: str) -> int:
        """Returns an amount in minor units, exactly; an empty cell is nothing.  Raises StatementRefused."""
        return signed_minor(self.text(title) or "0", currency, column=title, line=self.number)

    def decimal(self, title: str) -> Decimal:
        """Returns an amount in major units, of any precision; an empty cell is nothing.  Raises StatementRefused."""
        text = self.text(title) or "0"
        if not _NUMBER.fullmatch(text):
            raise StatementRefused(f"{title} is an amount such as -12.30, and here {text!r}", line=self.number)
        return Decimal(text)

    def moment(self, title: str, zone: tzinfo) -> datetime:
        """Returns a time as ISO 8601 has it, in UTC; without an offset it is in the zone.  Raises StatementRefused."""
        text = self.text(title)
        try:
            at = datetime.fromisoformat(text) if len(text) <= ISO_CHARS_MAX else None
        except ValueError:
            at = None
        if at is None or at.year not in YEARS:
            says = f"{title} is a time such as 2026-11-22T20:00:00, and here {text!r}"
            raise StatementRefused(says, line=self.number)
        return (at if at.tzinfo is not None else at.replace(tzinfo=zone)).astimezone(UTC)

    def day(self, title: str) -> date:
        """Returns the day with which a cell begins.  Raises StatementRefused."""
        text = self.text(title)
        try:
            day = date.fromisoformat(text[:10])
        except ValueError:
            day = date.min
        if day.year not in YEARS:
            raise StatementRefused(f"{title} begins with a day such as 2026-11-22, and here {text!r}", line=self.number)
        return day


class Span:
    """From the first moment of some lines to the last."""

    def __init__(self) -> None:
        self._span: tuple[datetime, datetime] | None = None

    def add(self, at: datetime) -> None:
        """Takes in a line's moment."""
        begins, last = self._span or (at, at)
        self._span = min(begins, at), max(last, at)

    def check(self) -> None:
        """Raises StatementRefused where there was no line."""
        if self._span is None:
            raise StatementRefused("it lists nothing: there is nothing to do")

    def ends(self, unit: timedelta) -> tuple[datetime, datetime]:
        """Returns both ends; the last moment takes as long as the unit."""
        assert self._span is not None, "it was checked"
        return self._span[0], self._span[1] + unit


class Payouts:
    """Adds up what each payout holds, for forms that list what went into a payout, and not the payout itself."""

    def __init__(self) -> None:
        self._payouts: dict[tuple[str, str], StatementLine] = {}

    def add(self, line: StatementLine, *, sent_on: date) -> None:
        """Adds a line to its payout, which was sent on the last day that any of its lines says."""
        if line.payout_ref is None or line.net is None:
            return
        key = (line.payout_ref, line.settled_currency or line.currency)
        known = self._payouts.get(key)
        amount = (0 if known is None else known.amount) - line.net
        day = sent_on if known is None or known.settled_on is None else max(known.settled_on, sent_on)
        self._payouts[key] = StatementLine(
            number=line.number,
            kind=LineKind.PAYOUT,
            amount=amount,
            currency=key[1],
            net=amount,
            settled_on=day,
            payout_ref=line.payout_ref,
        )

    def lines(self) -> list[StatementLine]:
        """Returns a line for each payout that moved something, numbered as the last of what it holds."""
        return [line for line in self._payouts.values() if line.amount]


class Rounding:
    """Rounds amounts that have parts of a minor unit so that their sums are right: each takes what its sum rose by."""

    def __init__(self) -> None:
        self._exact: dict[str, Decimal] = {}

    def minor(self, amount: Decimal, currency: str) -> int:
        """Returns the next amount of a currency in its minor units."""
        before = self._exact.get(currency, Decimal())
        after = self._exact[currency] = before + amount
        return rounded(after, currency) - rounded(before, currency)


def rounded(amount: Decimal, currency: str) -> int:
    """Returns an amount in minor units, half of one up."""
    return int(amount.scaleb(EXPONENTS[currency]).to_integral_value(ROUND_HALF_UP))


def _speaks_of_money(title: str) -> bool:
    return any(word in title.lower() for word in MONEY_WORDS)
