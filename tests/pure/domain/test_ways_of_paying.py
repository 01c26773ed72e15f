"""Which ways of paying fail now: many failures, and more than usual."""

import pytest

from tillkeeper.domain.ways_of_paying import WayOfPaying, fails_now


def a_way(hour, day):
    """A way of which so many (failed, succeeded) in the last hour, and in the day before it."""
    return WayOfPaying(
        account="a",
        method="card",
        failed_hour=hour[0],
        succeeded_hour=hour[1],
        failed_day=hour[0] + day[0],
        succeeded_day=hour[1] + day[1],
    )


@pytest.mark.parametrize(
    ("hour", "day", "fails"),
    [
        ((9, 1), (5, 95), True),
        ((5, 0), (0, 0), True),  # a new one, of which nothing else is known
        ((4, 0), (0, 100), False),  # a few are chance
        ((9, 10), (0, 100), False),  # most of them are paid
        ((9, 1), (90, 10), False),  # it is always so
        ((0, 0), (0, 0), False),
        ((0, 50), (10, 90), False),
    ],
)
def test_a_way_fails_now_if_many_of_its_payments_fail_and_more_than_usual(hour, day, fails):
    assert fails_now(a_way(hour, day)) is fails
