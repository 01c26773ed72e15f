"""When a query that a delivery caused is put again, and when it has an end."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillkeeper.domain.backoff import FETCH, FETCH_NOT_FOUND
from tillkeeper.domain.fetching import (
    Fetch,
    FetchProgress,
    Finished,
    GivenUp,
    Later,
    next_step,
    problem_with_fetch,
    unanswered,
    unaskable,
)
from tillkeeper.domain.order.case_reasons import CaseReason

NOON = datetime(2026, 10, 5, 12, 0, tzinfo=UTC)


def the_middle(least, most):
    return (least + most) / 2


def until_the_end(outcome, *, jitter=the_middle, first_at=NOON, requested_at=NOON):
    """The moments at which it is asked, and how that ends."""
    progress, now, asked = FetchProgress(requested_at=requested_at), first_at, []
    while True:
        asked.append(now)
        step = next_step(progress, outcome, now=now, jitter=jitter)
        if not isinstance(step, Later):
            return asked, step
        assert step.at > now
        progress, now = step.progress, step.at


def test_what_is_found_is_finished():
    assert next_step(FetchProgress(requested_at=NOON), "found", now=NOON, jitter=the_middle) == Finished("found")


def test_what_is_not_found_is_asked_about_a_few_times_more_and_is_no_failure():
    asked, end = until_the_end("not_found")
    assert end == Finished("not_found")
    assert [each - NOON for each in asked] == [timedelta(seconds=each) for each in (0, 30, 330, 2130)]
    assert len(asked) == len(FETCH_NOT_FOUND.pauses) + 1


def test_what_has_no_answer_is_asked_for_three_days_with_growing_pauses():
    asked, end = until_the_end("no_answer")
    assert end == GivenUp()
    assert asked[-1] == NOON + FETCH.give_up_after
    pauses = [later - sooner for sooner, later in pairwise(asked)]
    assert tuple(pauses[: len(FETCH.pauses)]) == FETCH.pauses
    assert max(pauses) == FETCH.pauses[-1]


def test_what_nobody_could_ask_for_days_has_its_tries_all_the_same():
    asked, end = until_the_end("no_answer", first_at=NOON + 2 * FETCH.give_up_after)
    assert (len(asked), end) == (len(FETCH.pauses) + 1, GivenUp())


@given(
    st.floats(*FETCH.spread),
    st.sampled_from(["not_found", "no_answer"]),
    st.timedeltas(timedelta(0), timedelta(days=9)),
)
def test_there_is_always_an_end(drawn, outcome, late):
    asked, _ = until_the_end(outcome, jitter=lambda *_: drawn, first_at=NOON + late)
    assert len(asked) < 40
    assert asked[-1] - asked[0] < FETCH.give_up_after + timedelta(hours=1)


@pytest.mark.parametrize(
    ("fetch", "is_good"),
    [
        (Fetch(about="payment", payment_ref="tr_1"), True),
        (Fetch(about="payment", order_ref="A 1"), True),
        (Fetch(about="refund", refund_ref="re_1", payment_ref="tr_1"), True),
        (Fetch(about="refund", payment_ref="tr_1"), False),
        (Fetch(about="payment", refund_ref=None), False),
        (Fetch(about="payment", payment_ref=""), False),
        (Fetch(about="payment", payment_ref="x" * 256), False),
        (Fetch(about="payment", payment_ref="\x00"), False),
        (Fetch(about="payment", payment_ref="订单"), False),
    ],
)
def test_what_no_gateway_could_be_asked_is_refused(fetch, is_good):
    assert (problem_with_fetch(fetch) is None) is is_good


def test_what_nobody_answers_and_who_cannot_be_asked_is_a_case_each_named_once():
    fetch = Fetch(about="refund", refund_ref="re_1")
    case = unanswered("a", fetch, FetchProgress(requested_at=NOON), delivery=(UUID(int=1), 2), why="no answer")
    assert case == CaseReason(
        kind="fetch_failed",
        subject="fetch:a/refund/-/re_1/-",
        state=f"since {NOON.isoformat()}",
        account="a",
        details={
            "about": "refund",
            "payment_ref": None,
            "refund_ref": "re_1",
            "order_ref": None,
            "why": "no answer",
            "since": NOON.isoformat(),
            "delivery": [str(UUID(int=1)), "2"],
        },
    )
    assert unaskable("a", why="no key") == CaseReason(
        kind="fetch_failed", subject="account:a", account="a", details={"why": "no key"}
    )
