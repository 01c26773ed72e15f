"""Pauses after failures: they grow to a longest one, and chance moves them within the policy's spread."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillkeeper.domain import backoff
from tillkeeper.domain.backoff import Backoff

POLICIES = {name: policy for name, policy in vars(backoff).items() if isinstance(policy, Backoff)}


def test_pauses_double_up_to_the_longest_which_then_stays():
    policy = backoff.doubling(1, 5)
    assert [policy.pause_s(failures) for failures in range(1, 6)] == [1, 2, 4, 5, 5]


def test_chance_has_the_policys_share_of_each_pause():
    policy = backoff.doubling(1, 4, spread=backoff.HALF_OR_MORE)
    assert [policy.pause_s(2, jitter) for jitter in (min, max)] == [1.0, 2.0]


@pytest.mark.parametrize("name", POLICIES)
@given(failures=st.integers(1, 10_000), chance=st.floats(0, 1))
def test_no_schedule_shrinks_or_passes_its_longest_pause(name, failures, chance):
    policy = POLICIES[name]
    least, most = policy.spread
    drawn = policy.pause(failures, lambda low, high: low + chance * (high - low))
    whole = policy.pause(failures)
    assert whole <= policy.pause(failures + 1) <= policy.pauses[-1]
    assert least * whole - timedelta(microseconds=1) <= drawn <= most * whole + timedelta(microseconds=1)
