"""Makes simulated gateways fail: by account, by the gateway's own time, and for a share of queries."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from random import Random

import msgspec


class ApiFault(StrEnum):
    """One way to fail."""

    SLOW = "slow"  # the answer comes late
    BROKEN = "broken"  # 500 in the gateway's own words
    BUSY = "busy"  # 429
    GATEWAY_TIMEOUT = "gateway_timeout"  # 504 by a proxy of the gateway's, in HTML
    FORGED = "forged"  # signed by a key that is not the gateway's; where nothing is signed, cut off in the middle
    HUNG_UP = "hung_up"  # the connection is closed without an answer
    SILENT = "silent"  # nothing comes until the api_client gives up
    UNKNOWING = "unknowing"  # the books stand still: what happened since the period began is not known


class FaultPeriod(msgspec.Struct, frozen=True, kw_only=True):
    """A time in which one account's API fails."""

    account: str
    fault: ApiFault
    since: datetime
    until: datetime
    share: float = 1.0  # of the queries


class Faults:
    """What is wrong when.  The first period that holds is it.

    Chance is drawn for each query by itself, from the seed, its time and how often it was put then: whichever of two
    queries of one instant comes first, both fare the same.
    """

    def __init__(self, periods: Sequence[FaultPeriod] = (), *, seed: int = 1) -> None:
        self._periods = tuple(periods)
        self._seed = seed
        self._instant: datetime | None = None
        self._put: Counter[tuple[str, str]] = Counter()  # in this instant, by account and query

    def at(self, account: str, now: datetime, query: str) -> ApiFault | None:
        """Returns the fault that a query meets."""
        if now != self._instant:
            self._instant, self._put = now, Counter()
        self._put[account, query] += 1
        times = self._put[account, query]
        drawn = Random(f"{self._seed}:{account}:{query}:{now}:{times}")  # noqa: S311 - to be repeatable
        for period in self._holding(account, now):
            if period.fault is not ApiFault.UNKNOWING and drawn.random() < period.share:
                return period.fault
        return None

    def as_of(self, account: str, now: datetime) -> datetime:
        """Returns when the books were last written."""
        return min(
            (period.since for period in self._holding(account, now) if period.fault is ApiFault.UNKNOWING), default=now
        )

    def _holding(self, account: str, now: datetime) -> list[FaultPeriod]:
        return [period for period in self._periods if period.account == account and period.since <= now < period.until]
