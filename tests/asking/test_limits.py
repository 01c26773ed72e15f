"""How often, and when not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillkeeper.api_client.throttle import Breaker, Bucket


def test_a_quiet_account_may_burst_and_then_goes_by_its_rate():
    bucket = Bucket(per_s=2, burst=3)
    assert [bucket.take(100.0, wait_s_max=10) for _ in range(6)] == [0, 0, 0, 0.5, 1.0, 1.5]
    assert bucket.take(101.5, wait_s_max=10) == 0.5
    assert [bucket.take(200.0, wait_s_max=10) for _ in range(4)] == [0, 0, 0, 0.5]


def test_a_wait_that_is_too_long_takes_nothing():
    bucket = Bucket(per_s=1, burst=1)
    assert bucket.take(0.0, wait_s_max=0) == 0
    assert bucket.take(0.0, wait_s_max=0.9) is None
    assert bucket.take(0.0, wait_s_max=1) == 1


def test_no_rate_is_no_limit():
    bucket = Bucket(per_s=0, burst=1)
    assert {bucket.take(0.0, wait_s_max=0) for _ in range(1000)} == {0}


@given(
    per_s=st.integers(1, 50),
    burst=st.integers(1, 20),
    pauses_s=st.lists(st.floats(0, 2, allow_nan=False), min_size=1, max_size=60),
)
def test_no_stretch_of_time_sees_more_calls_than_its_rate_and_one_burst(per_s, burst, pauses_s):
    bucket, now_s, calls = Bucket(per_s=per_s, burst=burst), 0.0, []
    for pause_s in pauses_s:
        now_s += pause_s
        calls.append(now_s + bucket.take(now_s, wait_s_max=1e9))
    assert calls == sorted(calls)
    for first, begin_s in enumerate(calls):
        for last in range(first, len(calls)):
            assert last - first + 1 <= burst + (calls[last] - begin_s) * per_s + 1e-6


def failing(breaker, times, *, at=0.0):
    opened = []
    for _ in range(times):
        assert breaker.enter(at)
        opened.append(breaker.failed(at, open_s=30))
    return opened


def test_failures_on_end_open_it_and_a_success_between_does_not_count_them():
    breaker = Breaker(failures_max=3)
    assert failing(breaker, 2) == [False, False]
    assert breaker.enter(0.0)
    assert breaker.succeeded() is False
    assert failing(breaker, 3) == [False, False, True]
    assert breaker.is_open(0.0)
    assert not breaker.enter(29.9)


def test_when_its_time_is_over_one_call_is_let_through_and_decides():
    breaker = Breaker(failures_max=1)
    failing(breaker, 1)
    assert breaker.enter(30.0)
    assert not breaker.enter(30.0)
    assert breaker.failed(31.0, open_s=30) is False
    assert not breaker.enter(60.9)
    assert breaker.enter(61.0)
    assert breaker.succeeded() is True
    assert breaker.enter(61.0)
    assert breaker.enter(61.0)


def test_a_try_that_was_given_up_lets_another_one_through():
    breaker = Breaker(failures_max=1)
    failing(breaker, 1)
    assert breaker.enter(30.0)
    breaker.left()
    assert breaker.enter(30.0)


def test_a_call_that_began_before_it_opened_does_not_keep_it_open_for_longer():
    breaker = Breaker(failures_max=1)
    assert breaker.enter(0.0)
    failing(breaker, 1)
    assert breaker.failed(20.0, open_s=30) is False
    assert breaker.enter(30.0)


@pytest.mark.parametrize("failures_max", [1, 5])
def test_a_closed_one_lets_all_through(failures_max):
    breaker = Breaker(failures_max=failures_max)
    assert all(breaker.enter(0.0) for _ in range(10))
