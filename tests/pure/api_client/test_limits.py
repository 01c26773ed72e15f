"""How often an account may be called."""

from hypothesis import given
from hypothesis import strategies as st

from tillkeeper.api_client.throttle import Bucket


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
