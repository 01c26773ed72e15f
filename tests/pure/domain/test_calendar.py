"""Days are asked for once they are complete, missed ones are caught up on, and what is late is a case."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillkeeper.domain.books.calendar import (
    LATE_ATTEMPTS_MIN,
    StatementCalendar,
    after_failure,
    days_to_ask_for,
    late_case,
)

BEIJING = StatementCalendar(zone="Asia/Shanghai", ready_at=time(10), kept_days=90)
BERLIN = StatementCalendar(zone="Europe/Berlin", ready_at=time(3), kept_days=90)
DAY = date(2026, 11, 22)
HOUR = timedelta(hours=1)


def at(text):
    return datetime.fromisoformat(f"{text}+00:00")


def unchanged(_least, most):
    return min(1.0, most)


def test_a_day_is_complete_at_the_gateways_own_time():
    assert BEIJING.span(DAY) == (at("2026-11-21T16:00"), at("2026-11-22T16:00"))
    assert BEIJING.ready(DAY) == at("2026-11-23T02:00")
    assert BEIJING.last_ready(at("2026-11-23T01:59")) == date(2026, 11, 21)
    assert BEIJING.last_ready(at("2026-11-23T02:00")) == DAY
    assert BEIJING.last_ready(at("2026-11-23T17:00")) == DAY  # it is the 24th there, and not yet 10:00


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (DAY, 24)])
def test_a_day_of_a_changed_clock_has_its_own_length(day, hours):
    begins, ends = BERLIN.span(day)
    assert ends - begins == hours * HOUR
    assert ends == BERLIN.span(day + timedelta(days=1))[0]


def test_it_begins_with_the_last_complete_day_and_catches_up_on_what_was_missed():
    now = at("2026-11-23T02:00")
    assert days_to_ask_for(BEIJING, None, now) == [DAY]
    assert days_to_ask_for(BEIJING, DAY, now) == []
    assert days_to_ask_for(BEIJING, DAY + timedelta(days=1), now) == []  # a clock that was set back
    assert days_to_ask_for(BEIJING, DAY - timedelta(days=3), now) == [DAY - timedelta(days=back) for back in (2, 1, 0)]
    assert len(days_to_ask_for(BEIJING, DAY - timedelta(days=400), now)) == BEIJING.kept_days


@given(st.lists(st.integers(0, 200), min_size=1, max_size=8), st.sampled_from([BEIJING, BERLIN]))
def test_whenever_one_looks_every_day_comes_once_and_none_is_left_out(hours, calendar):
    known, found, now = None, [], datetime(2026, 3, 20, tzinfo=UTC)
    for passed in hours:
        now += passed * HOUR
        found += days_to_ask_for(calendar, known, now)
        known = found[-1] if found else None
    assert found == [found[0] + timedelta(days=nth) for nth in range(len(found))]
    assert found[-1] == calendar.last_ready(now)
    assert all(calendar.is_given_out(day, now) for day in found)


def test_a_day_is_asked_for_again_is_late_and_is_given_up():
    def then(attempts, now):
        return after_failure(BEIJING, DAY, attempts, now=now, jitter=unchanged)

    ready = BEIJING.ready(DAY)
    first = then(1, ready)
    assert (first.due_at, first.is_late) == (ready + timedelta(minutes=5), False)
    assert not then(LATE_ATTEMPTS_MIN, ready + 23 * HOUR).is_late
    assert not then(LATE_ATTEMPTS_MIN - 1, ready + 25 * HOUR).is_late  # caught up on: it may come yet
    late = then(LATE_ATTEMPTS_MIN, ready + 25 * HOUR)
    assert late.is_late
    assert late.due_at is not None
    gone = then(LATE_ATTEMPTS_MIN, ready + timedelta(days=BEIJING.kept_days))
    assert (gone.due_at, gone.is_late) == (None, True)


def test_its_case_is_one_for_each_day_of_an_account():
    case = late_case("wechatpay-main", DAY, "it is not made yet")
    assert (case.kind, case.subject) == ("statement_missing", "statement:wechatpay-main/2026-11-22")
    assert case.details == {"day": "2026-11-22", "reason": "it is not made yet"}
    assert case.key == late_case("wechatpay-main", DAY).key
