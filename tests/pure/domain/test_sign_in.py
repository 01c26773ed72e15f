"""How guessing is slowed down."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tillkeeper.domain.sign_in import (
    FORGOTTEN_IN,
    FREE_TRIES,
    LEVEL_MAX,
    TOTAL_FORGOTTEN_IN,
    TOTAL_MAX,
    WAIT_MAX,
    Tries,
    opens_at,
    total_opens_at,
    total_tried,
    tried,
)

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
NONE = Tries(level=0, last_at=NOON)
SPANS = st.integers(0, 30 * 86_400).map(lambda seconds: timedelta(seconds=seconds))


def after(number, *, now=NOON):
    tries = NONE
    for _ in range(number):
        tries = tried(tries, now=now)
    return tries


def test_whoever_mistypes_a_few_times_waits_for_nothing():
    assert [opens_at(after(number)) for number in range(FREE_TRIES)] == [NOON] * FREE_TRIES


def test_then_each_wait_is_twice_the_last_up_to_a_quarter_of_an_hour():
    waits = [(opens_at(after(number)) - NOON).total_seconds() for number in range(FREE_TRIES, FREE_TRIES + 12)]
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]


@given(st.lists(SPANS, max_size=200))
def test_nobody_is_locked_out_for_longer_whatever_was_tried(pauses):
    tries, now = NONE, NOON
    for pause in pauses:
        now += pause
        tries = tried(tries, now=now)
        assert 0 <= tries.level <= LEVEL_MAX
        assert opens_at(tries) <= now + WAIT_MAX


def test_whoever_takes_every_chance_guesses_some_hundred_times_a_day():
    tries, now, guesses = NONE, NOON, 0
    while now < NOON + timedelta(days=1):
        tries = tried(tries, now=now)
        guesses += 1
        now = max(opens_at(tries), now)
    assert guesses < 120


def test_a_wrong_password_is_forgotten_in_an_hour():
    later = tried(after(FREE_TRIES), now=NOON + 2 * FORGOTTEN_IN)
    assert later.level == FREE_TRIES - 1
    assert tried(after(FREE_TRIES), now=NOON + 100 * FORGOTTEN_IN).level == 1


def test_a_clock_that_was_set_back_forgets_nothing():
    assert tried(after(3), now=NOON - timedelta(hours=9)).level == 4


def test_all_names_together_are_guessed_no_quicker_than_one():
    total = NONE
    for number in range(int(TOTAL_MAX)):
        assert total_opens_at(total) == NOON, number
        total = total_tried(total, now=NOON)
    assert total_opens_at(total) == NOON + TOTAL_FORGOTTEN_IN
    later = NOON + TOTAL_FORGOTTEN_IN
    assert total_opens_at(total_tried(total, now=later)) == later + TOTAL_FORGOTTEN_IN


def test_in_total_too_everything_is_open_again_in_time():
    total = NONE
    for _ in range(500):
        total = total_tried(total, now=NOON)
    assert total_opens_at(total) <= NOON + 500 * TOTAL_FORGOTTEN_IN
