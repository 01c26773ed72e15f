"""Finds what in a month's figures asks for somebody's attention, each with the figures that it rests on.

Parts are compared by the two-proportion z-test (pooled variance).  Many comparisons are made, so each must pass at
`SURE / comparisons` (Bonferroni; those that are not told count as well), and differ by a factor that matters.  Where
there are few payments nothing is compared.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Final

import msgspec

from tillkeeper.domain.events import Evidence
from tillkeeper.domain.monthly.adding import by_hour
from tillkeeper.domain.monthly.figures import DayFigure
from tillkeeper.domain.monthly.report import Report

SURE: Final = 0.01  # how often anything at all would be said of a month in which nothing is the matter
TRIED_MIN: Final = 30  # payments on either side of a comparison
HOURS: Final = 3  # of a span of the day
FACTOR: Final = 1.5  # how many times as often payments must fail
ASKED_SHARE: Final = 0.1  # of payments that no webhook told, from which on that is said
KNOWN_MIN: Final = 50
SHOWN_MAX: Final = 12


class AdviceKind(StrEnum):
    """What the advice is about; its words are in `desk/words/report_advice.toml`."""

    HOURS_FAIL = "hours_fail"  # a way of paying fails more often at some hours
    METHOD_FAILS = "method_fails"  # a way of paying fails more often than the account's others
    WORSE = "worse"  # an account's payments fail more often than in the month before
    BETTER = "better"
    ASKED = "asked"  # many payments were known by asking, not by a webhook


class PartOf(msgspec.Struct, frozen=True):
    """So many of so many."""

    part: int
    whole: int

    @property
    def rate(self) -> float:
        """The part of 1."""
        return self.part / self.whole if self.whole else 0.0


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """One kind: what fails here so often, and there so often."""

    kind: AdviceKind
    account: str
    method: str = ""
    from_hour: int = 0
    until_hour: int = 0
    here: PartOf
    there: PartOf

    @property
    def factor(self) -> float:
        """How many times as often it happens at one side as at the other: here, or where it got better, there."""
        less, more = (self.here, self.there) if self.kind is AdviceKind.BETTER else (self.there, self.here)
        if not more.part:
            return 1.0
        return more.rate / less.rate if less.rate else math.inf


def advise(report: Report, figures: Iterable[DayFigure]) -> tuple[Advice, ...]:
    """Returns what asks for attention, the surest first."""
    tried: dict[tuple[str, str], list[PartOf]] = defaultdict(lambda: [PartOf(0, 0)] * 24)
    for account, method, hour, count, succeeded in by_hour(figures):
        tried[account, method][hour] = PartOf(count - succeeded, count)
    compared = [each for each in (*_at_hours(tried), *_of_methods(tried), *_against_before(report)) if _is_enough(each)]
    limit = SURE / max(len(compared), 1)
    telling = (each for each in compared if each.factor >= FACTOR)
    sure = [(chance, each) for each in telling if (chance := chance_of(each.here, each.there)) <= limit]
    best: dict[tuple[AdviceKind, str, str], tuple[float, Advice]] = {}
    for chance, each in sure:
        key = (each.kind, each.account, each.method)
        if key not in best or chance < best[key][0]:
            best[key] = chance, each
    found = [each for _, each in sorted(best.values(), key=lambda entry: (entry[0], entry[1].account))]
    return (*found, *_asked(report))[:SHOWN_MAX]


def chance_of(here: PartOf, there: PartOf) -> float:
    """Returns how likely two parts differ so much, or more, by chance alone (two-sided)."""
    whole = here.whole + there.whole
    pooled = (here.part + there.part) / whole
    spread = math.sqrt(pooled * (1 - pooled) * (1 / here.whole + 1 / there.whole))
    return 1.0 if spread == 0 else math.erfc(abs(here.rate - there.rate) / spread / math.sqrt(2))


def _is_enough(advice: Advice) -> bool:
    return min(advice.here.whole, advice.there.whole) >= TRIED_MIN


def _total(shares: Iterable[PartOf]) -> PartOf:
    shares = list(shares)
    return PartOf(sum(each.part for each in shares), sum(each.whole for each in shares))


def _at_hours(tried: dict[tuple[str, str], list[PartOf]]) -> Iterator[Advice]:
    for (account, method), shares in tried.items():
        for first in range(24):
            inside = {(first + more) % 24 for more in range(HOURS)}
            here = _total(shares[hour] for hour in inside)
            there = _total(share for hour, share in enumerate(shares) if hour not in inside)
            until = (first + HOURS) % 24
            yield Advice(
                kind=AdviceKind.HOURS_FAIL,
                account=account,
                method=method,
                from_hour=first,
                until_hour=until,
                here=here,
                there=there,
            )


def _of_methods(tried: dict[tuple[str, str], list[PartOf]]) -> Iterator[Advice]:
    of_account: dict[str, dict[str, PartOf]] = defaultdict(dict)
    for (account, method), shares in tried.items():
        of_account[account][method] = _total(shares)
    for account, methods in of_account.items():
        for method, here in methods.items():
            there = _total(share for other, share in methods.items() if other != method)
            yield Advice(kind=AdviceKind.METHOD_FAILS, account=account, method=method, here=here, there=there)


def _against_before(report: Report) -> Iterator[Advice]:
    now: dict[str, PartOf] = defaultdict(lambda: PartOf(0, 0))
    before: dict[str, PartOf] = defaultdict(lambda: PartOf(0, 0))
    for line in report.accounts:
        for shares, each in ((now, line.now), (before, line.before)):
            shares[line.account] = _total([shares[line.account], PartOf(each.tried - each.succeeded, each.tried)])
    for account, here in now.items():
        there = before[account]
        if here.rate >= there.rate:
            yield Advice(kind=AdviceKind.WORSE, account=account, here=here, there=there)
        else:
            yield Advice(kind=AdviceKind.BETTER, account=account, here=here, there=there)


def _asked(report: Report) -> Iterator[Advice]:
    for line in report.knowing:
        asked = PartOf(line.payments - line.by.get(Evidence.WEBHOOK, 0), line.payments)
        if line.payments >= KNOWN_MIN and asked.rate >= ASKED_SHARE:
            webhooks = PartOf(line.by.get(Evidence.WEBHOOK, 0), line.payments)
            yield Advice(kind=AdviceKind.ASKED, account=line.account, here=asked, there=webhooks)
