"""Defines the lines of a month's report.

Amounts are minor units of the line's currency; rates are parts of 1, spans of time seconds.
"""

from collections.abc import Mapping

import msgspec


class Attempts(msgspec.Struct, frozen=True, kw_only=True):
    """How payments went: how many were tried, and how many of these were paid in the end; besides, how many were paid,
    failed and were given up in that time, whenever they were tried."""

    tried: int = 0
    succeeded: int = 0
    paid: int = 0
    failed: int = 0
    cancelled: int = 0
    reversed: int = 0
    tried_minor: int = 0
    succeeded_minor: int = 0
    paid_minor: int = 0
    failed_minor: int = 0
    reversed_minor: int = 0

    @property
    def rate(self) -> float | None:
        """Which part of the payments that were tried was paid in the end; None where none was tried."""
        return self.succeeded / self.tried if self.tried else None


class AttemptsLine(msgspec.Struct, frozen=True, kw_only=True):
    """The payments of an account, of a way of paying, of an hour ...; `before` is the same of the month before."""

    account: str = ""
    name: str = ""  # the way of paying, the hour, the day of the week (1 is Monday), the band of amounts
    currency: str  # empty where counts alone are shown, over all currencies
    now: Attempts
    before: Attempts = Attempts()


class FailureLine(msgspec.Struct, frozen=True, kw_only=True):
    """Payments that failed, by the class of their first failure."""

    account: str
    failure: str
    count: int
    of: int  # payments that were tried there
    before: int


class RescueLine(msgspec.Struct, frozen=True, kw_only=True):
    """Orders with a failed payment, and those of them that were paid after all."""

    currency: str
    failed: int
    failed_minor: int
    by_retry: int
    by_retry_minor: int
    by_reminder: int
    by_reminder_minor: int

    @property
    def at_risk_minor(self) -> int:
        """What failed and did not come later in the month; what came may be of an order that failed before."""
        return max(self.failed_minor - self.by_retry_minor - self.by_reminder_minor, 0)


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """How long something took: the ends of the spans of time in which the median and the 95th percentile lie."""

    median_s: float | None = None
    p95_s: float | None = None


class KnowingLine(msgspec.Struct, frozen=True, kw_only=True):
    """What told first how an account's payments ended, and how long after they had."""

    account: str
    payments: int
    by: Mapping[str, int]
    after: Spread
    longest_s: float

    def share(self, evidence: str) -> float:
        """Which part of the payments that evidence told first."""
        return self.by.get(evidence, 0) / self.payments


class RefundLine(msgspec.Struct, frozen=True, kw_only=True):
    """The refunds of an account."""

    account: str
    currency: str
    count: int
    minor: int
    failed: int
    took: Spread


class DisputeLine(msgspec.Struct, frozen=True, kw_only=True):
    """The disputes of an account."""

    account: str
    currency: str
    opened: int
    opened_minor: int
    won: int
    lost: int
    lost_minor: int


class CaseLine(msgspec.Struct, frozen=True, kw_only=True):
    """The cases of a kind that were opened in the month, and how they stand now."""

    kind: str
    opened: int
    by_system: int
    by_people: int
    highest_level: int
    median_s: float | None

    @property
    def still_open(self) -> int:
        """Those that nobody has closed yet."""
        return self.opened - self.by_system - self.by_people


class PersonLine(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody did: entries in cases, cases resolved, and other acts."""

    name: str
    entries: int
    resolved: int
    acts: int
