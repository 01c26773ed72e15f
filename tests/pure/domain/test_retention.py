"""How long what is kept."""

from datetime import UTC, date, datetime, timedelta

import pytest

from tillkeeper.domain.retention import BEGINNING, DataKind, Days, TimeSpan, monday_of, span_of, weeks_to_drop

NOW = datetime(2026, 11, 26, 15, 30, tzinfo=UTC)  # a Thursday
DAY = timedelta(days=1)


@pytest.mark.parametrize("kind", DataKind)
def test_nothing_goes_of_a_kind_that_is_kept_for_ever(kind):
    others = {each.value: 10 for each in DataKind if each is not kind}
    assert span_of(kind, Days(**others), NOW) is None


@pytest.mark.parametrize(
    "kind", [DataKind.REFUSED, DataKind.PARKED, DataKind.OUTBOX, DataKind.FETCHES, DataKind.UNSIGNED, DataKind.ACCESS]
)
def test_what_is_older_than_so_many_days_goes(kind):
    assert span_of(kind, Days(**{kind: 10}), NOW) == TimeSpan(BEGINNING, NOW - 10 * DAY)


def test_bodies_go_by_whole_weeks_so_that_none_goes_too_early():
    assert span_of(DataKind.BODIES, Days(bodies=10), NOW) == TimeSpan(BEGINNING, datetime(2026, 11, 16, tzinfo=UTC))
    assert span_of(DataKind.BODIES, Days(bodies=11), NOW) == TimeSpan(BEGINNING, datetime(2026, 11, 9, tzinfo=UTC))


def test_each_unsigned_body_goes_once_as_such_or_with_its_week():
    week = datetime(2026, 11, 2, tzinfo=UTC)
    assert span_of(DataKind.BODIES, Days(bodies=20, unsigned=10), NOW) == TimeSpan(BEGINNING, week)
    assert span_of(DataKind.UNSIGNED, Days(bodies=20, unsigned=10), NOW) == TimeSpan(week, NOW - 10 * DAY)
    assert span_of(DataKind.UNSIGNED, Days(bodies=20, unsigned=90), NOW) == TimeSpan(week, week)


def test_a_week_begins_on_monday_in_utc():
    east = datetime.fromisoformat("2026-11-30T02:00:00+08:00")  # still Sunday in UTC
    assert monday_of(east) == datetime(2026, 11, 23, tzinfo=UTC)


def test_weeks_are_dropped_once_they_are_over_the_oldest_first():
    mondays = [date(2026, 11, 9), date(2026, 10, 26), date(2026, 11, 2)]
    assert weeks_to_drop(mondays, datetime(2026, 11, 9, tzinfo=UTC)) == [date(2026, 10, 26), date(2026, 11, 2)]
    assert weeks_to_drop(mondays, datetime(2026, 11, 8, 23, tzinfo=UTC)) == [date(2026, 10, 26)]
