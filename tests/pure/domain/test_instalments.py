"""Instalment plans: what is due next."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tillkeeper.domain.order.registration import Instalment, next_instalment

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def a_plan(*amounts):
    return [Instalment(amount=amount, due_at=NOON + timedelta(days=day)) for day, amount in enumerate(amounts)]


def test_the_first_that_is_not_covered_is_next_with_what_is_missing_of_it():
    first, second, third = a_plan(40, 60, 50)
    assert next_instalment([third, first, second], 0) == first
    assert next_instalment([third, first, second], 40) == second
    assert next_instalment([third, first, second], 70) == Instalment(amount=30, due_at=second.due_at)


def test_without_a_plan_or_with_all_covered_none_is_next():
    assert next_instalment([], 0) is None
    assert next_instalment(a_plan(40, 60), 100) is None


@given(amounts=st.lists(st.integers(1, 1000), max_size=12), captured=st.integers(0, 20_000))
def test_what_is_missing_of_the_next_and_all_after_it_is_what_the_plan_lacks(amounts, captured):
    plan = a_plan(*amounts)
    following = next_instalment(plan, captured)
    after = sum(each.amount for each in plan if following and each.due_at > following.due_at)
    assert (following.amount if following else 0) + after == max(0, sum(amounts) - captured)
