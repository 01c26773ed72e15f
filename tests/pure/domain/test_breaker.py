"""When something that keeps failing is left alone, and when it is tried again."""

from tillkeeper.breaker import Breaker
from tillkeeper.domain.backoff import constant, doubling


def a_breaker(failures_max=1, cooldown=None):
    return Breaker(failures_max=failures_max, cooldown=cooldown or constant(30))


def failing(breaker, times, *, at=0.0):
    opened = []
    for _ in range(times):
        assert breaker.begin_call(at)
        opened.append(breaker.failed(at))
    return opened


def test_failures_in_a_row_open_it_and_a_success_between_does_not_count_them():
    breaker = a_breaker(failures_max=3)
    assert failing(breaker, 2) == [False, False]
    assert breaker.begin_call(0.0)
    assert breaker.succeeded() is False
    assert failing(breaker, 3) == [False, False, True]
    assert breaker.is_open(0.0)
    assert not breaker.begin_call(29.9)


def test_when_its_cooldown_is_over_one_trial_is_let_through_and_decides():
    breaker = a_breaker()
    failing(breaker, 1)
    assert breaker.begin_call(30.0)
    assert not breaker.begin_call(30.0)
    assert breaker.failed(31.0) is False
    assert not breaker.begin_call(60.9)
    assert breaker.begin_call(61.0)
    assert breaker.succeeded() is True
    assert breaker.begin_call(61.0)
    assert breaker.begin_call(61.0)


def test_a_trial_that_was_given_up_lets_another_one_through():
    breaker = a_breaker()
    failing(breaker, 1)
    assert breaker.begin_call(30.0)
    breaker.abandoned()
    assert breaker.begin_call(30.0)


def test_a_try_that_began_before_it_opened_does_not_keep_it_open_for_longer():
    breaker = a_breaker()
    assert breaker.begin_call(0.0)
    failing(breaker, 1)
    assert breaker.failed(20.0) is False
    assert breaker.begin_call(30.0)


def test_each_trial_that_fails_makes_the_cooldown_longer_until_one_succeeds():
    breaker = a_breaker(cooldown=doubling(10, 40))
    failing(breaker, 1)
    assert [breaker.cooldown_left_s(0.0), breaker.cooldown_left_s(10.0)] == [10.0, 0.0]
    failing(breaker, 1, at=10.0)
    assert breaker.cooldown_left_s(10.0) == 20.0
    breaker.succeeded()
    failing(breaker, 1, at=100.0)
    assert breaker.cooldown_left_s(100.0) == 10.0


def test_a_pause_that_the_other_side_asks_for_holds_however_few_failures_there_were():
    breaker = a_breaker(failures_max=5)
    assert breaker.failed(0.0, pause_s=7.0) is True
    assert not breaker.begin_call(6.9)
    assert breaker.begin_call(7.0)
    assert breaker.begin_call(7.0)


def test_a_closed_one_lets_all_through():
    breaker = a_breaker()
    assert breaker.is_closed
    assert all(breaker.begin_call(0.0) for _ in range(10))
