"""Payments that a gateway took back after it had listed them: a debit that failed late, a part not captured."""

from datetime import timedelta

import pytest

from tests.pure.domain.test_matching import AS_OF, NOON, a_line, compared, facts_of, known, verdict
from tests.pure.domain.test_matching import an_event as told
from tillkeeper.domain.books.evidence import events_of
from tillkeeper.domain.books.known import known_payment
from tillkeeper.domain.events import Kind

LATER = NOON + timedelta(days=40)
CAME = a_line()
WENT = a_line(amount=-100, occurred_at=LATER, number=3)


def events(*lines):
    return events_of(compared(*lines), account="stripe-main", as_of=AS_OF)


def test_what_was_reversed_is_known_to_have_been_taken_back():
    [payment] = facts_of(told(Kind.PAYMENT_SUCCEEDED, amount=100)).payments.values()
    assert known_payment(payment).taken_back == 0
    [payment] = facts_of(
        told(Kind.PAYMENT_SUCCEEDED, amount=100), told(Kind.PAYMENT_REVERSED, 60, amount=100)
    ).payments.values()
    assert (known_payment(payment).amount, known_payment(payment).taken_back) == (100, 100)


@pytest.mark.parametrize(
    ("lines", "fields", "expected"),
    [
        ((CAME,), {}, "matched"),  # not every form lists that it was taken back
        ((CAME, WENT), {}, "matched"),
        ((CAME, WENT, CAME), {}, "matched"),  # it was collected again
        ((WENT,), {"covered": ()}, "carried_over"),  # the statement that lists how it came was never given
        ((WENT,), {}, "amount_differs"),
        ((CAME, WENT, WENT), {}, "twice"),
    ],
)
def test_lines_of_what_was_taken_back(lines, fields, expected):
    assert verdict(*lines, facts=known(100, taken_back=100), **fields) == expected


def test_that_it_was_taken_back_and_nobody_told_is_a_difference():
    assert verdict(CAME, WENT, facts=known(100)) == "amount_differs"
    assert verdict(WENT, facts=known(100), covered=()) == "amount_differs"


def test_what_came_and_went_agrees_with_what_never_came():
    capture = {"capture_ref": "c1"}
    lines = (a_line(**capture), a_line(amount=-100, occurred_at=LATER, number=3, **capture))
    assert verdict(*lines, facts=known()) == "matched"
    assert verdict(*lines, facts=None) == "at_gateway_only"


def test_a_payment_that_was_taken_back_since_is_no_success_to_apply():
    assert events(CAME, WENT) == []
    assert events(WENT) == []
    assert [each.amount for each in events(CAME)] == [100]


def test_of_a_payment_of_which_a_part_was_taken_back_the_rest_came():
    [event] = events(CAME, a_line(amount=-9, number=3), CAME)
    assert (event.kind, event.amount, event.occurred_at) == (Kind.PAYMENT_SUCCEEDED, 91, NOON)


def test_one_capture_that_was_taken_back_says_nothing_of_another():
    first, second = a_line(capture_ref="c1"), a_line(capture_ref="c2", amount=50)
    part = a_line(capture_ref="c1", amount=-30, number=4)
    told_of = {each.capture_ref: each.amount for each in events(first, second, part)}
    assert told_of == {"c1": 70, "c2": 50}
