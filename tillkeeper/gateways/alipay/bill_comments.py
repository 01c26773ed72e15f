"""Reads the comments of Alipay's bills, which say whose a bill is and of which days.

#账号 and #起始日期 … 终止日期 ─ the head of the table
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from tillkeeper.domain.books.statement import StatementRefused
from tillkeeper.gateways.kit.statements.cells import YEARS, moment_in
from tillkeeper.gateways.statement_form import Row

ZONE: Final = "Asia/Shanghai"
_BEIJING: Final = ZoneInfo(ZONE)
_ACCOUNT: Final = re.compile(r"#账号：\[(\d+)\]")
_MOMENT: Final = r"(\d{4})年(\d{2})月(\d{2})日 (\d{2}):(\d{2}):(\d{2})"
_PERIOD: Final = re.compile(rf"#起始日期：\[{_MOMENT}\]\s*终止日期：\[{_MOMENT}\]")


class BillComments:
    """The comments above the table of one bill."""

    def __init__(self, seller_id: str | None) -> None:
        self._seller_id = seller_id
        self._period: tuple[datetime, datetime] | None = None

    @property
    def period(self) -> tuple[datetime, datetime]:
        """Returns the days of the bill; only after `read`."""
        assert self._period is not None, "the comments were read"
        return self._period

    def read(self, rows: Iterator[Row]) -> Row:
        """Reads up to the head of the table, and returns it.  Raises StatementRefused."""
        for row in rows:
            text = comment_of(row)
            if not text.startswith("#"):
                if self._period is None:
                    says = "no comment above says 起始日期 and 终止日期: which days it is of"
                    raise StatementRefused(says, line=row.number)
                return row
            if (found := _ACCOUNT.search(text)) is not None:
                self._check_account(found[1], row.number)
            if (period := _PERIOD.search(text)) is not None:
                self._read_period([int(part) for part in period.groups()], row.number)
        raise StatementRefused("the bill is cut: it has no head of its table; fetch it again")

    def moment(self, text: str, *, column: str, line: int) -> datetime:
        """Returns a time within the days of the bill, in UTC.  Raises StatementRefused."""
        begins, ends = self.period
        at = moment_in(text, _BEIJING, column=column, line=line)
        if not begins <= at < ends:
            raise StatementRefused(f"{column} {text} is none of the days that the bill is of", line=line)
        return at.astimezone(UTC)

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


def comment_of(row: Row) -> str:
    """Returns a comment, which is no table and may hold the separator."""
    return ",".join(row.cells).strip()


def _beijing(parts: Sequence[int]) -> datetime:
    year, month, day, hour, minute, second = parts
    if year not in YEARS:
        raise ValueError(year)
    return datetime(year, month, day, hour, minute, second, tzinfo=_BEIJING)
