"""When quiet is silence: never before it is learned, hardly ever by chance, and surely where an account went down."""

import math
import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tillkeeper.domain.policy import SilencePolicy
from tillkeeper.domain.silence import (
    DAY,
    HOUR,
    Activity,
    Answers,
    hour_of,
    is_silent,
    is_unanswering,
    log_chance,
    together,
    usual_share,
)

MONDAY = datetime(2026, 11, 2, tzinfo=UTC)
NOW = MONDAY + 21 * DAY + 12 * HOUR  # a Monday noon
MINUTE = timedelta(minutes=1)
POLICY = SilencePolicy()


def a_pulse(heard=lambda _hour: 30, *, first=MONDAY, last_at=NOW):
    """What was heard in each hour from the first until the last time."""
    hours = int((hour_of(last_at) - first) / HOUR)
    minutes = {at: count for n in range(hours) if (count := heard(at := first + n * HOUR))}
    return Activity(first_hour=first, last_at=last_at, minutes=minutes)


def silent_after(activity, policy=POLICY, *, step=MINUTE):
    """How long it may be quiet, looked at each minute; None where that is over a month."""
    quiet = timedelta()
    while quiet < 31 * DAY:
        if is_silent(activity, policy, activity.last_at + quiet):
            return quiet
        quiet += step
    return None


def test_an_account_heard_every_other_minute_is_silent_when_the_chance_of_it_is_one_in_a_million():
    # 0.5 ** 20 is the first below it; that no hour is taken for certain costs another minute.
    assert silent_after(a_pulse()) == 21 * MINUTE


def test_a_busy_account_is_silent_after_the_least_that_is_told():
    assert silent_after(a_pulse(lambda _: 60)) == POLICY.least


def test_a_seldom_heard_account_may_be_quiet_for_long():
    assert silent_after(a_pulse(lambda _: 1)) == timedelta(hours=13, minutes=47)


def test_nothing_is_told_before_enough_is_learned():
    young = a_pulse(first=NOW - POLICY.learning + HOUR)
    assert not is_silent(young, POLICY, NOW + 59 * MINUTE)
    assert is_silent(young, POLICY, NOW + 60 * MINUTE)


def test_a_fixed_span_needs_no_history():
    fixed = SilencePolicy(after=2 * HOUR)
    activity = Activity(first_hour=NOW, last_at=NOW)
    assert silent_after(activity, fixed) == 2 * HOUR


def test_a_shop_that_sleeps_is_not_missed_at_night():
    def by_day(hour):
        return 40 if 8 <= hour.hour < 23 else 0

    evening = a_pulse(by_day, last_at=MONDAY + 20 * DAY + timedelta(hours=22, minutes=59))
    morning = timedelta(
        hours=10, minutes=1
    )  # from one minute to eleven until nine: it may have opened by a changed clock
    assert morning < silent_after(evening) < morning + 15 * MINUTE


@settings(max_examples=30)
@given(
    opens=st.integers(6, 11),
    closes=st.integers(18, 23),
    minutes=st.integers(5, 60),
    by=st.sampled_from([-1, 1]),
    since=st.integers(0, 27),
)
def test_a_change_of_the_payers_clocks_alarms_on_no_morning_after_it(opens, closes, minutes, by, since):
    """Looked at `since` days after the change, before which the same shop kept hours that are `by` hours off."""
    change = NOW - since * DAY - timedelta(hours=9)  # at three in the night

    def heard(hour):
        return minutes if opens <= (hour if hour < change else hour + by * HOUR).hour < closes else 0

    last_evening = max(hour for n in range(24) if heard(hour := NOW - 7 * HOUR - n * HOUR))
    this_morning = min(hour for n in range(24) if heard(hour := last_evening + (n + 1) * HOUR))
    activity = a_pulse(heard, first=MONDAY - 7 * DAY, last_at=last_evening + 59 * MINUTE)
    assert not is_silent(activity, POLICY, this_morning)


@pytest.mark.parametrize("hours", [range(24), range(8, 23), range(9, 10)])
def test_an_account_that_went_down_is_found_whenever_it_should_talk(hours):
    activity = a_pulse(
        lambda hour: 40 if hour.hour in hours else 0, last_at=MONDAY + 20 * DAY + timedelta(hours=9, minutes=30)
    )
    assert silent_after(activity) <= DAY + 2 * HOUR


def test_a_shop_that_rests_at_the_weekend_is_not_missed_on_its_second_one():
    def on_weekdays(hour):
        return 40 if hour.weekday() < 5 else 0

    friday_night = MONDAY + 12 * DAY - MINUTE
    assert silent_after(a_pulse(on_weekdays, last_at=friday_night), step=10 * MINUTE) > 2 * DAY


def test_a_gap_of_days_is_no_example_of_itself():
    activity = a_pulse(lambda _: 40)
    share = usual_share(activity, hour_of(NOW) + HOUR)
    assert usual_share(activity, hour_of(NOW) + 9 * DAY + HOUR) == pytest.approx(share, rel=0.01)


def test_an_account_that_is_heard_no_more_for_longer_than_is_kept_is_not_reckoned_on_nothing():
    assert usual_share(a_pulse(), NOW + 60 * DAY) == 0.0


shares = st.integers(0, 60)


@given(shares, shares, st.integers(1, 600))
def test_the_more_was_heard_the_sooner_quiet_is_silence(one, other, minutes):
    less, more = sorted((one, other))
    now = NOW + minutes * MINUTE
    assert log_chance(a_pulse(lambda _: more), now) <= log_chance(a_pulse(lambda _: less), now) <= 0


@given(shares, st.integers(0, 3000), st.integers(0, 3000))
def test_what_is_silent_stays_so_until_it_talks(heard, one, other):
    sooner, later = sorted((one, other))
    activity = a_pulse(lambda _: heard)
    if is_silent(activity, POLICY, NOW + sooner * MINUTE):
        assert is_silent(activity, POLICY, NOW + later * MINUTE)


@given(shares, st.integers(1, 600))
def test_stopping_early_never_changes_the_verdict(heard, minutes):
    activity, now = a_pulse(lambda _: heard), NOW + minutes * MINUTE
    enough = math.log(POLICY.false_alarm)
    assert (log_chance(activity, now, enough=enough) <= enough) == (log_chance(activity, now) <= enough)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.7])
def test_gaps_alarm_by_chance_as_seldom_as_is_said(share):
    """A coarse chance, so that it can be counted: of a hundred thousand gaps, with learning from the same source."""
    policy = SilencePolicy(false_alarm=1e-3, least=MINUTE)
    chance = random.Random(7)
    minutes = {
        MONDAY + n * HOUR: sum(chance.random() < share for _ in range(60)) for n in range(int((NOW - MONDAY) / HOUR))
    }
    activity = Activity(first_hour=MONDAY, last_at=NOW, minutes=minutes)
    limit = int(silent_after(activity, policy) / MINUTE)
    gaps = 100_000
    alarms = sum(math.log(1.0 - chance.random()) / math.log1p(-share) >= limit for _ in range(gaps))
    assert alarms / gaps < 2 * policy.false_alarm


# --- answering --------------------------------------------------------------------------------------------------------


def seen(*answered):
    """What a sweeper saw, a minute each: True for an answer."""
    answers = Answers()
    for minute, answer in enumerate(answered):
        at = NOW + minute * MINUTE
        answers = answers.after_answer(at) if answer else answers.after_failure(at, "unreachable")
    return answers


def test_failures_on_end_are_told_when_they_last():
    assert not is_unanswering(seen(), POLICY)
    assert not is_unanswering(seen(*[False] * 15), POLICY)
    assert is_unanswering(seen(*[False] * 16), POLICY)
    assert not is_unanswering(seen(*[False] * 16, True), POLICY)


def test_one_failure_is_none_however_long_ago_it_was():
    alone = Answers(failing_since=NOW, failed_at=NOW, reason="busy")
    assert not is_unanswering(alone, POLICY)


def test_failures_count_from_the_answer_that_another_sweeper_got_in_between():
    both = together(seen(*[False] * 20), Answers(answered_at=NOW + 10 * MINUTE))
    assert (both.failing_since, both.failed_at) == (NOW + 10 * MINUTE, NOW + 19 * MINUTE)
    assert not is_unanswering(both, POLICY)


sights = st.lists(st.booleans(), max_size=30).map(lambda answered: seen(*answered))


@given(sights, sights, sights)
def test_what_sweepers_saw_is_the_same_in_whatever_order_it_is_told(one, other, third):
    assert together(one, other) == together(other, one)
    assert together(one, one) == one
    assert together(together(one, other), third).answered_at == together(one, together(other, third)).answered_at
