"""What a month's figures say: sums and spans, and advice that follows from them and from nothing less."""

import math
from datetime import date
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillkeeper.domain.events import Evidence
from tillkeeper.domain.monthly.advice import SHOWN_MAX, AdviceKind, PartOf, advise, chance_of
from tillkeeper.domain.monthly.figures import SPANS_S, DayFigure, FigureName, Month
from tillkeeper.domain.monthly.lines import Attempts, CaseLine, PersonLine
from tillkeeper.domain.monthly.report import Made, build_report
from tillkeeper.domain.monthly.tables import TABLES

MADE = Made(zone="UTC", as_of=None, stale_days=0)


def a_figure(name=FigureName.TRIED, count=1, minor=0, **more):
    fields = {"account": "stripe-main", "currency": "CNY", "method": "card", "detail": "", "hour": 12, "weekday": 1}
    return DayFigure(figure=name, count=count, minor=Decimal(minor), **{**fields, **more})


def tried(count, succeeded, **more):
    """The figures of so many payments, of which so many were paid."""
    of = [a_figure(count=count, minor=100 * count, **more)]
    return [*of, a_figure(FigureName.SUCCEEDED, succeeded, 100 * succeeded, **more)] if succeeded else of


CASE = CaseLine(kind="stuck", opened=5, by_system=2, by_people=1, highest_level=3, median_s=60.0)


def report(*figures, before=()):
    return build_report(Month(2026, 10), figures, before, made=MADE, account=None, cases=(), people=())


def advice(*figures, before=()):
    return advise(report(*figures, before=before), figures)


def test_a_month_knows_its_neighbours():
    january, december = Month.read("2026-01"), Month(2025, 12)
    assert january.before == december
    assert december.after == january
    assert (january.first, january.after.first, str(january)) == (date(2026, 1, 1), date(2026, 2, 1), "2026-01")
    assert Month.of(date(2026, 1, 31)) == january


NO_MONTHS = [
    "",
    "2026",
    "2026-13",
    "2026-00",
    "26-10",
    "2026-1",
    "2026-10-01",
    "1999-10",
    "2026-\N{FULLWIDTH DIGIT ONE}0",
]


@pytest.mark.parametrize("text", NO_MONTHS)
def test_what_is_no_month_is_refused(text):
    with pytest.raises(ValueError, match="write one as 2026-10"):
        Month.read(text)


def test_currencies_are_never_added_up():
    found = report(*tried(10, 9), *tried(5, 5, currency="EUR"))
    assert [(line.currency, line.now.tried, line.now.tried_minor) for line in found.totals] == [
        ("CNY", 10, 1000),
        ("EUR", 5, 500),
    ]
    (card,) = found.methods
    assert (card.currency, card.now.tried, card.now.rate) == ("", 15, 14 / 15)


def test_each_line_stands_beside_the_month_before():
    found = report(*tried(10, 5), before=[*tried(4, 3), *tried(2, 2, account="gone")])
    assert [(line.account, line.now.rate, line.before.rate) for line in found.accounts] == [
        ("stripe-main", 0.5, 0.75),
        ("gone", None, 1.0),
    ]
    assert Attempts().rate is None


def test_what_failed_and_came_after_all_is_no_longer_at_risk():
    found = report(
        a_figure(FigureName.ORDER_FAILED, 3, 900),
        a_figure(FigureName.RECOVERED, 1, 300, detail="retry"),
        a_figure(FigureName.RECOVERED, 1, 200, detail="reminder"),
        a_figure(FigureName.RECOVERED, 1, 999, detail="reminder", currency="EUR"),
    )
    cny, eur = found.rescued
    assert CASE.still_open == 2
    assert (cny.at_risk_minor, cny.by_retry, cny.by_reminder_minor) == (400, 1, 200)
    assert (eur.failed, eur.at_risk_minor) == (0, 0)


def test_spans_of_time_are_told_by_their_ends():
    after = [
        a_figure(FigureName.KNOWN_AFTER, 90, detail="00"),
        a_figure(FigureName.KNOWN_AFTER, 9, detail="03"),
        a_figure(FigureName.KNOWN_AFTER, 1, detail=f"{len(SPANS_S):02d}"),
        a_figure(FigureName.KNOWN_LAST, 1, 700_000_000),
        a_figure(FigureName.KNOWN_BY, 99, detail="webhook"),
        a_figure(FigureName.KNOWN_BY, 1, detail="query"),
    ]
    (line,) = report(*after).knowing
    assert (line.after.median_s, line.after.p95_s, line.longest_s) == (SPANS_S[0], SPANS_S[3], 700_000)
    assert (line.share(Evidence.WEBHOOK), line.share(Evidence.OPERATOR)) == (0.99, 0)
    only_late = [a_figure(FigureName.KNOWN_BY, 1, detail="query"), a_figure(FigureName.KNOWN_AFTER, 1, detail="13")]
    (line,) = report(*only_late).knowing
    assert line.after.median_s == math.inf
    refunded = report(a_figure(FigureName.REFUNDED, 2, 50), a_figure(FigureName.REFUND_FAILED, 1))
    (refund,) = refunded.refunds
    assert (refund.count, refund.failed, refund.took.median_s) == (2, 1, None)


def test_every_table_reads_every_line():
    found = build_report(
        Month(2026, 10),
        [a_figure(name, 3, 300, detail="03" if name in SPANS else "webhook") for name in FigureName],
        [],
        made=MADE,
        account=None,
        cases=[CASE],
        people=[PersonLine(name="mei", entries=1, resolved=1, acts=2)],
    )
    empty = [table.key for table in TABLES if not any(map(len, read(table, found)))]
    assert empty == []
    assert {column.is_number for table in TABLES for column in table.columns} == {True, False}


SPANS = {FigureName.KNOWN_AFTER, FigureName.REFUND_AFTER}


def read(table, found):
    return [[column.value(line) for column in table.columns] for line in table.lines(found)]


def test_failures_and_disputes_are_counted_by_account():
    found = report(
        *tried(20, 10),
        a_figure(FigureName.FAILED, 8, detail="insufficient_funds"),
        a_figure(FigureName.FAILED, 2, detail="insufficient_funds", currency="EUR"),
        a_figure(FigureName.DISPUTED, 2, 300),
        a_figure(FigureName.DISPUTE_LOST, 1, 100),
        before=[a_figure(FigureName.FAILED, 1, detail="insufficient_funds")],
    )
    (failure,) = found.failures
    assert (failure.count, failure.of, failure.before) == (10, 20, 1)
    (dispute,) = found.disputes
    assert (dispute.opened_minor, dispute.won, dispute.lost_minor) == (300, 0, 100)


def by_hours(rates, count=100, **more):
    """Payments of each hour of a day, of which that part is paid."""
    return [each for hour, rate in enumerate(rates) for each in tried(count, round(rate * count), hour=hour, **more)]


def test_hours_at_which_a_way_of_paying_fails_are_found():
    rates = [0.95] * 24
    rates[20] = rates[21] = rates[22] = 0.6
    (found, *others) = advice(*by_hours(rates), *by_hours([0.95] * 24, method="wallet"))
    assert (found.kind, found.method, found.from_hour, found.until_hour) == (AdviceKind.HOURS_FAIL, "card", 20, 23)
    assert (found.here, found.there) == (PartOf(120, 300), PartOf(105, 2100))
    assert round(found.factor, 1) == 8.0
    assert {each.kind for each in others} <= {AdviceKind.METHOD_FAILS}


def test_hours_go_round_midnight():
    rates = [0.95] * 24
    rates[23] = rates[0] = rates[1] = 0.5
    assert (advice(*by_hours(rates))[0].from_hour, advice(*by_hours(rates))[0].until_hour) == (23, 2)


def test_a_way_of_paying_that_fails_more_often_than_the_others_is_found():
    (found,) = advice(*tried(500, 300), *tried(500, 450, method="wallet"))
    assert (found.kind, found.method, found.here) == (AdviceKind.METHOD_FAILS, "card", PartOf(200, 500))


@pytest.mark.parametrize(("now", "before", "kind"), [(300, 450, AdviceKind.WORSE), (450, 300, AdviceKind.BETTER)])
def test_a_change_against_the_month_before_is_found(now, before, kind):
    (found,) = advice(*tried(500, now), before=tried(500, before))
    assert (found.kind, found.account) == (kind, "stripe-main")


def test_payments_that_no_webhook_told_are_found():
    told = [a_figure(FigureName.KNOWN_BY, 80, detail="webhook"), a_figure(FigureName.KNOWN_BY, 20, detail="query")]
    (found,) = advice(*told)
    assert (found.kind, found.here) == (AdviceKind.ASKED, PartOf(20, 100))
    assert advice(*told[:1], a_figure(FigureName.KNOWN_BY, 5, detail="query")) == ()


def test_where_there_is_little_or_nothing_nothing_is_said():
    assert advice() == ()
    assert advice(*tried(29, 0), *tried(29, 29, method="wallet")) == ()
    assert advice(*tried(1000, 1000), *tried(1000, 1000, method="wallet")) == ()
    assert advice(*tried(1000, 0), *tried(1000, 0, method="wallet")) == ()


def test_of_months_in_which_nothing_is_the_matter_hardly_any_has_advice():
    """Chance alone: ways of paying, hours and both months alike."""
    chance, said = Random(20261201), 0
    for _ in range(100):
        months = []
        for _ in range(2):
            rates = [(method, hour) for method in ("card", "wallet", "bank") for hour in range(24)]
            months.append([
                each
                for method, hour in rates
                for each in tried(40, sum(chance.random() < 0.85 for _ in range(40)), method=method, hour=hour)
            ])  # fmt: skip
        said += bool(advice(*months[0], before=months[1]))
    assert said <= 5


def test_no_more_is_said_than_anybody_reads():
    many = [each for number in range(40) for each in (
        *tried(500, 300, account=f"a{number}"), *tried(500, 450, account=f"a{number}", method="wallet"))]  # fmt: skip
    assert len(advice(*many)) == SHOWN_MAX


@given(st.integers(0, 500), st.integers(1, 500), st.integers(0, 500), st.integers(1, 500))
def test_a_chance_is_one(part, more, other_part, other_more):
    here, there = PartOf(part, part + more), PartOf(other_part, other_part + other_more)
    assert 0 <= chance_of(here, there) <= 1
    assert chance_of(here, there) == pytest.approx(chance_of(there, here))
    assert chance_of(here, here) == 1
