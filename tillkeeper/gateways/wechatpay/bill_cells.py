"""Reads single cells of WeChat Pay's bills: a backtick before each value, amounts in yuan, times of Beijing."""

from contextlib import suppress
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from tillkeeper.domain.books.statement import StatementRefused
from tillkeeper.gateways.kit.statements.cells import YEARS
from tillkeeper.gateways.statement_form import Row

ZONE: Final = "Asia/Shanghai"
_BEIJING: Final = ZoneInfo(ZONE)
MARK_AND_BLANKS: Final = "` \t"
TIME_CHARS: Final = 19
AMOUNT_CHARS_MAX: Final = 24


def values_of(row: Row) -> list[str]:
    """Returns the cells without the mark that keeps spreadsheets from counting with them."""
    return [cell.lstrip(MARK_AND_BLANKS).rstrip() for cell in row.cells]


def decimal_in(text: str, line: int) -> Decimal:
    """Returns an amount in yuan, of any precision.  Raises StatementRefused."""
    amount = _amount(text)
    if amount is None:
        raise StatementRefused(f"{text!r} is no amount such as 12.30", line=line)
    return amount


@lru_cache(maxsize=4096)  # most columns of most trades have nothing, and shops have few prices
def _amount(text: str) -> Decimal | None:
    digits = text.removeprefix("-")
    if len(text) > AMOUNT_CHARS_MAX or not digits.isascii() or not digits.replace(".", "", 1).isdigit():
        return None
    return Decimal(text)


def beijing_time(text: str) -> datetime | None:
    """Returns a time such as 2026-11-22 20:00:00, or None."""
    with suppress(ValueError):
        local = datetime.fromisoformat(text).replace(tzinfo=_BEIJING) if len(text) == TIME_CHARS else None
        return local if local is not None and local.year in YEARS else None
    return None


def midnight(day: date) -> datetime:
    """Returns when a day begins in Beijing."""
    return datetime.combine(day, time(), _BEIJING).astimezone(UTC)
