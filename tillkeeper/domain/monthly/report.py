"""Builds the report of a month of the figures of its days, beside the month before."""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from tillkeeper.domain.monthly.adding import (
    MonthSums,
    attempts_by,
    disputes_in,
    failures_in,
    knowing_in,
    refunds_in,
    rescued_in,
)
from tillkeeper.domain.monthly.figures import DayFigure, Month
from tillkeeper.domain.monthly.lines import (
    AttemptsLine,
    CaseLine,
    DisputeLine,
    FailureLine,
    KnowingLine,
    PersonLine,
    RefundLine,
    RescueLine,
)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a month says.  `stale_days` of it are still to be added up; it knows what was recorded before `as_of`."""

    month: Month
    zone: str
    account: str | None
    as_of: datetime | None
    stale_days: int
    totals: tuple[AttemptsLine, ...]
    accounts: tuple[AttemptsLine, ...]
    methods: tuple[AttemptsLine, ...]
    hours: tuple[AttemptsLine, ...]
    weekdays: tuple[AttemptsLine, ...]
    bands: tuple[AttemptsLine, ...]
    failures: tuple[FailureLine, ...]
    rescued: tuple[RescueLine, ...]
    knowing: tuple[KnowingLine, ...]
    refunds: tuple[RefundLine, ...]
    disputes: tuple[DisputeLine, ...]
    cases: tuple[CaseLine, ...]
    people: tuple[PersonLine, ...]


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """How far the figures have been made."""

    zone: str
    as_of: datetime | None
    stale_days: int


def build_report(
    month: Month,
    figures: Iterable[DayFigure],
    figures_before: Iterable[DayFigure],
    *,
    made: Made,
    account: str | None,
    cases: Iterable[CaseLine],
    people: Iterable[PersonLine],
) -> Report:
    """Builds the report of a month; `account` says whose figures these are, None for all accounts'."""
    now, before = MonthSums(figures), MonthSums(figures_before)
    return Report(
        month=month,
        zone=made.zone,
        account=account,
        as_of=made.as_of,
        stale_days=made.stale_days,
        totals=attempts_by(now, before, lambda each: ("", "", each.currency)),
        accounts=attempts_by(now, before, lambda each: (each.account, "", each.currency)),
        methods=attempts_by(now, before, lambda each: (each.account, each.method, "")),
        hours=_in_turn(attempts_by(now, before, lambda each: ("", f"{each.hour:02d}", ""))),
        weekdays=_in_turn(attempts_by(now, before, lambda each: ("", str(each.weekday), ""))),
        bands=_in_turn(attempts_by(now, before, lambda each: ("", each.detail, each.currency), bands=True)),
        failures=failures_in(now, before),
        rescued=rescued_in(now),
        knowing=knowing_in(now),
        refunds=refunds_in(now),
        disputes=disputes_in(now),
        cases=tuple(sorted(cases, key=lambda line: (-line.opened, line.kind))),
        people=tuple(sorted(people, key=lambda line: (-line.entries - line.acts, line.name))),
    )


def _in_turn(lines: Iterable[AttemptsLine]) -> tuple[AttemptsLine, ...]:
    return tuple(sorted(lines, key=lambda line: (line.currency, line.name)))
