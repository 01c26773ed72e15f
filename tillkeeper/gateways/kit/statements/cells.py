"""Reads single cells of statements: what they cannot be is refused with the line and the column."""

from datetime import datetime, tzinfo
from functools import lru_cache
from typing import Final

from tillkeeper.domain.books.statement import StatementRefused
from tillkeeper.domain.money import EXPONENTS, BadMoney, minor_from_major

TIME_CHARS: Final = len("2026-11-22 20:00:00")
YEARS: Final = range(2000, 2100)  # no gateway was there before, and zones cannot be reckoned at the ends of all years


@lru_cache(maxsize=4096)  # shops have few prices, and most columns of most lines have nothing
def _signed(text: str, currency: str) -> int:
    sign = -1 if text.startswith("-") else 1
    return sign * minor_from_major(text.removeprefix("-").removeprefix("+"), currency)


def signed_minor(text: str, currency: str, *, column: str, line: int) -> int:
    """Returns an amount in major units, which may be negative, as minor units.  Raises StatementRefused."""
    try:
        return _signed(text, currency)
    except BadMoney as error:
        raise StatementRefused(f"{column}: {error}; here it is {text!r}", line=line) from None


def currency_in(text: str, *, column: str, line: int) -> str:
    """Returns a currency in capitals.  Raises StatementRefused."""
    currency = text.upper()
    if currency not in EXPONENTS:
        raise StatementRefused(f"{column} is a currency of ISO 4217 such as CNY, and here {text!r}", line=line)
    return currency


def moment_in(text: str, zone: tzinfo, *, column: str, line: int) -> datetime:
    """Returns a time such as 2026-11-22 20:00:00 in a zone.  Raises StatementRefused."""
    try:
        at = datetime.fromisoformat(text) if len(text) == TIME_CHARS else None
        if at is not None and at.year in YEARS:
            return at.replace(tzinfo=zone)
    except ValueError:
        pass
    raise StatementRefused(f"{column} is a time such as 2026-11-22 20:00:00, and here {text!r}", line=line)
