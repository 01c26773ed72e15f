"""Names the figures of a day, which the monthly reports add up.

| figure | counts | detail |
| --- | --- | --- |
| `tried` | payments with a first attempt: authorized, succeeded or failed | |
| `succeeded` | of these, counted at their first attempt, those that have been paid since | |
| `paid`, `cancelled`, `reversed` | payments at their first such event | of cancelled ones the class of failure |
| `failed` | payments at their first failure | its class |
| `tried_band`, `succeeded_band` | tried ones and those paid since, by size of the amount | the band, as in `BANDS` |
| `order_failed` | orders at the first failure of any of their payments | |
| `recovered` | orders whose first success came after a failure | `reminder` after a reminder was sent, else `retry` |
| `known_by` | payments by what told of their first success or failure | evidence |
| `known_after` | the same, by how long after it happened that was | a span, as in `SPANS_S`; minor: milliseconds |
| `known_last` | likewise; minor is the longest, not a sum | |
| `refunded`, `refund_failed` | refunds at their first such event | |
| `refund_after` | refunds that were pending first, by how long they took | a span; minor: milliseconds |
| `disputed`, `dispute_won`, `dispute_lost` | disputes at their first such event | |

An event belongs to the day at which its gateway says that it happened.  Amounts are minor units of the currency; of
orders they are the order's own.
"""

import re
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec


class FigureName(StrEnum):
    """What is counted; the words are stored."""

    TRIED = "tried"
    SUCCEEDED = "succeeded"
    PAID = "paid"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REVERSED = "reversed"
    TRIED_BAND = "tried_band"
    SUCCEEDED_BAND = "succeeded_band"
    ORDER_FAILED = "order_failed"
    RECOVERED = "recovered"
    KNOWN_BY = "known_by"
    KNOWN_AFTER = "known_after"
    KNOWN_LAST = "known_last"
    REFUNDED = "refunded"
    REFUND_FAILED = "refund_failed"
    REFUND_AFTER = "refund_after"
    DISPUTED = "disputed"
    DISPUTE_WON = "dispute_won"
    DISPUTE_LOST = "dispute_lost"


# The upper ends of spans of time, in seconds; a detail is the place of the first that is longer, from 00 on.
SPANS_S: Final = (1, 2, 5, 10, 30, 60, 120, 300, 900, 3600, 21600, 86400, 604800)
# The lower ends of bands of amounts, in major units; a detail is the place of the last that is not greater, from 0 on.
BANDS: Final = (0, 10, 50, 100, 500, 1000, 5000, 10000)


_MONTH: Final = re.compile(r"(20[0-9]{2})-(0[1-9]|1[0-2])")


class DayFigure(msgspec.Struct, frozen=True, kw_only=True):
    """One figure over some days: how often, and how much."""

    figure: FigureName
    account: str
    currency: str
    method: str
    detail: str
    hour: int
    weekday: int  # 1 is Monday
    count: int
    minor: Decimal


class Month(msgspec.Struct, frozen=True, order=True):
    """A month of the calendar."""

    year: int
    number: int

    @classmethod
    def of(cls, day: date) -> "Month":
        """Returns the month of a day."""
        return cls(day.year, day.month)

    @classmethod
    def read(cls, text: str) -> "Month":
        """Reads `2026-10`.  Raises ValueError."""
        found = _MONTH.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is no month; write one as 2026-10")
        return cls(int(found[1]), int(found[2]))

    @property
    def first(self) -> date:
        """The first day."""
        return date(self.year, self.number, 1)

    @property
    def after(self) -> "Month":
        """The month that follows."""
        return Month(self.year + self.number // 12, self.number % 12 + 1)

    @property
    def before(self) -> "Month":
        """The month before."""
        return Month(self.year - (self.number == 1), (self.number - 2) % 12 + 1)

    def __str__(self) -> str:
        """As it is read."""
        return f"{self.year:04d}-{self.number:02d}"
