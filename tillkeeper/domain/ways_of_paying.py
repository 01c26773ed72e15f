"""Decides which ways of paying fail now, by how they did in the last day.

A way of paying fails now if many of its payments failed in the last hour, and more of them than usual.  A few failures
say nothing: cards are declined every day.
"""

from typing import Final

import msgspec

FAILED_MIN: Final = 5  # of the last hour: fewer are chance
SHARE_MIN: Final = 0.5  # of its payments
TIMES_USUAL: Final = 2.0  # and so many times the share of the day


class WayOfPaying(msgspec.Struct, frozen=True, kw_only=True):
    """How payments by one method ended in the last hour, and in the last day, which that hour is part of."""

    account: str
    method: str | None  # None: the gateway did not say
    succeeded_hour: int
    failed_hour: int
    succeeded_day: int
    failed_day: int
    failure: str | None = None  # the most frequent reason of the last hour

    @property
    def share_hour(self) -> float:
        """Returns the share of payments that failed in the last hour."""
        return _share(self.failed_hour, self.succeeded_hour)

    @property
    def share_before(self) -> float:
        """Returns the share that failed in the day before the last hour."""
        return _share(self.failed_day - self.failed_hour, self.succeeded_day - self.succeeded_hour)


def _share(failed: int, succeeded: int) -> float:
    return failed / (failed + succeeded) if failed + succeeded else 0.0


def fails_now(way: WayOfPaying) -> bool:
    """Returns whether payers had better take another way."""
    return (
        way.failed_hour >= FAILED_MIN
        and way.share_hour >= SHARE_MIN
        and way.share_hour >= TIMES_USUAL * way.share_before
    )
