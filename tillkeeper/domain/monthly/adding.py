"""Adds the figures of a month up to the lines of its report; amounts are never added up over currencies."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from tillkeeper.domain.events import Evidence
from tillkeeper.domain.monthly.figures import SPANS_S, DayFigure, FigureName
from tillkeeper.domain.monthly.lines import (
    Attempts,
    AttemptsLine,
    DisputeLine,
    FailureLine,
    KnowingLine,
    RefundLine,
    RescueLine,
    Spread,
)

REMINDER: Final = "reminder"


class MonthSums:
    """Figures of some days, to be asked for sums."""

    def __init__(self, figures: Iterable[DayFigure]) -> None:
        self._of: dict[FigureName, list[DayFigure]] = defaultdict(list)
        for figure in figures:
            self._of[figure.figure].append(figure)

    def by(
        self, name: FigureName, key: Callable[[DayFigure], tuple[str, ...]]
    ) -> dict[tuple[str, ...], tuple[int, int]]:
        """Returns the count and the sum of a figure for each key."""
        found: dict[tuple[str, ...], tuple[int, int]] = defaultdict(lambda: (0, 0))
        for figure in self._of[name]:
            count, minor = found[key(figure)]
            found[key(figure)] = count + figure.count, minor + int(figure.minor)
        return found

    def spread(self, name: FigureName, account: str) -> Spread:
        """Returns how long something took at an account."""
        counts = self.by(name, lambda each: (each.account, each.detail))
        spans = {int(detail): count for (at, detail), (count, _) in counts.items() if at == account}
        return Spread(median_s=_quantile_s(spans, 0.5), p95_s=_quantile_s(spans, 0.95))

    def longest_s(self, account: str) -> float:
        """Returns the longest that it took until an ending of the account's was known."""
        return (
            max((float(each.minor) for each in self._of[FigureName.KNOWN_LAST] if each.account == account), default=0)
            / 1000
        )


def _quantile_s(spans: Mapping[int, int], part: float) -> float | None:
    """Returns the end of the span in which a part of the whole is reached; infinity for the last, which has none."""
    wanted, reached = part * sum(spans.values()), 0
    for place, count in sorted(spans.items()):
        reached += count
        if reached >= wanted:
            return SPANS_S[place] if place < len(SPANS_S) else float("inf")
    return None


def attempts_by(
    now: MonthSums, before: MonthSums, key: Callable[[DayFigure], tuple[str, str, str]], *, bands: bool = False
) -> tuple[AttemptsLine, ...]:
    """Returns a line for each key (account, name, currency), those with the most payments first."""
    here, there = _attempts(now, key, bands=bands), _attempts(before, key, bands=bands)
    lines = [
        AttemptsLine(
            account=each[0],
            name=each[1],
            currency=each[2],
            now=here.get(each, Attempts()),
            before=there.get(each, Attempts()),
        )
        for each in here.keys() | there.keys()
    ]
    return tuple(sorted(lines, key=lambda line: (-line.now.tried, line.account, line.name, line.currency)))


COUNTED: Final = {
    FigureName.TRIED: ("tried", "tried_minor"),
    FigureName.SUCCEEDED: ("succeeded", "succeeded_minor"),
    FigureName.PAID: ("paid", "paid_minor"),
    FigureName.FAILED: ("failed", "failed_minor"),
    FigureName.CANCELLED: ("cancelled", None),
    FigureName.REVERSED: ("reversed", "reversed_minor"),
}
IN_BANDS: Final = {
    FigureName.TRIED_BAND: ("tried", "tried_minor"),
    FigureName.SUCCEEDED_BAND: ("succeeded", "succeeded_minor"),
}


def _attempts(
    sums: MonthSums, key: Callable[[DayFigure], tuple[str, str, str]], *, bands: bool
) -> dict[tuple[str, ...], Attempts]:
    found: dict[tuple[str, ...], dict[str, int]] = defaultdict(dict)
    for name, (count_field, minor_field) in (IN_BANDS if bands else COUNTED).items():
        for each, (count, minor) in sums.by(name, key).items():
            found[each][count_field] = count
            if minor_field is not None:
                found[each][minor_field] = minor
    return {each: Attempts(**fields) for each, fields in found.items()}


def failures_in(now: MonthSums, before: MonthSums) -> tuple[FailureLine, ...]:
    """Returns the failures by account and class, the most frequent first."""

    def key(each: DayFigure) -> tuple[str, ...]:
        return each.account, each.detail

    earlier = before.by(FigureName.FAILED, key)
    tried = now.by(FigureName.TRIED, lambda each: (each.account,))
    lines = [
        FailureLine(
            account=account,
            failure=failure,
            count=count,
            of=tried[(account,)][0],
            before=earlier[account, failure][0],
        )
        for (account, failure), (count, _) in now.by(FigureName.FAILED, key).items()
    ]
    return tuple(sorted(lines, key=lambda line: (-line.count, line.account, line.failure)))


def rescued_in(sums: MonthSums) -> tuple[RescueLine, ...]:
    """Returns the orders that failed and were paid after all, by currency."""
    failed = sums.by(FigureName.ORDER_FAILED, lambda each: (each.currency,))
    saved = sums.by(FigureName.RECOVERED, lambda each: (each.currency, each.detail))
    return tuple(
        RescueLine(
            currency=currency,
            failed=failed[(currency,)][0],
            failed_minor=failed[(currency,)][1],
            by_retry=saved[currency, "retry"][0],
            by_retry_minor=saved[currency, "retry"][1],
            by_reminder=saved[currency, REMINDER][0],
            by_reminder_minor=saved[currency, REMINDER][1],
        )
        for currency in sorted({each[0] for each in (*failed, *saved)})
    )


def knowing_in(sums: MonthSums) -> tuple[KnowingLine, ...]:
    """Returns, for each account, what told of its payments and how soon."""
    by: dict[str, dict[str, int]] = defaultdict(dict)
    for (account, evidence), (count, _) in sums.by(
        FigureName.KNOWN_BY, lambda each: (each.account, each.detail)
    ).items():
        by[account][evidence] = count
    return tuple(
        KnowingLine(
            account=account,
            payments=sum(counts.values()),
            by={evidence: counts.get(evidence, 0) for evidence in Evidence},
            after=sums.spread(FigureName.KNOWN_AFTER, account),
            longest_s=sums.longest_s(account),
        )
        for account, counts in sorted(by.items())
    )


def refunds_in(sums: MonthSums) -> tuple[RefundLine, ...]:
    """Returns the refunds by account and currency."""
    done, failed = (sums.by(name, _of_account) for name in (FigureName.REFUNDED, FigureName.REFUND_FAILED))
    return tuple(
        RefundLine(
            account=account,
            currency=currency,
            count=done[account, currency][0],
            minor=done[account, currency][1],
            failed=failed[account, currency][0],
            took=sums.spread(FigureName.REFUND_AFTER, account),
        )
        for account, currency in sorted({*done, *failed})
    )


def disputes_in(sums: MonthSums) -> tuple[DisputeLine, ...]:
    """Returns the disputes by account and currency."""
    opened, won, lost = (
        sums.by(name, _of_account) for name in (FigureName.DISPUTED, FigureName.DISPUTE_WON, FigureName.DISPUTE_LOST)
    )
    return tuple(
        DisputeLine(
            account=account,
            currency=currency,
            opened=opened[account, currency][0],
            opened_minor=opened[account, currency][1],
            won=won[account, currency][0],
            lost=lost[account, currency][0],
            lost_minor=lost[account, currency][1],
        )
        for account, currency in sorted({*opened, *won, *lost})
    )


def _of_account(each: DayFigure) -> tuple[str, ...]:
    return each.account, each.currency


def by_hour(figures: Iterable[DayFigure]) -> Iterator[tuple[str, str, int, int, int]]:
    """Yields (account, method, hour, tried, succeeded) over all currencies, for what is compared by parts alone."""
    sums = MonthSums(figures)

    def key(each: DayFigure) -> tuple[str, ...]:
        return each.account, each.method, f"{each.hour:02d}"

    tried, succeeded = sums.by(FigureName.TRIED, key), sums.by(FigureName.SUCCEEDED, key)
    for each, (count, _) in tried.items():
        yield each[0], each[1], int(each[2]), count, succeeded[each][0]
