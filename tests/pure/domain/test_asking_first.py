"""Who might pay is told so only on the gateway's word; and when a query without an answer is put again."""

from datetime import timedelta

import msgspec
import pytest

from tests.pure.domain.factories import MINUTE, NOON, POLICY, an_order
from tillkeeper.domain.backoff import ORDER_QUERY
from tillkeeper.domain.ladder import Action, Step
from tillkeeper.domain.order.advancing import PAUSED_REST, advance
from tillkeeper.domain.order.answers import UNASKABLE_REST, QueryOutcome, settle
from tillkeeper.domain.order.changes import DueQuery
from tillkeeper.domain.order.progress import CANNOT_ASK, Progress, Retry
from tillkeeper.domain.order.reminders import needed_first

SOONER = NOON - timedelta(seconds=1)
RETRY = {Action.QUERY: Retry(step=Step(action=Action.QUERY, at=NOON), tries=1, at=NOON + MINUTE)}


@pytest.mark.parametrize(
    ("progress", "reminder", "failure"),
    [
        (Progress(), "ask", "ask"),
        (Progress(answered_at=SOONER), "ask", "ask"),
        (Progress(answered_at=NOON), None, None),
        (Progress(unanswered=RETRY), "wait", "wait"),
        (Progress(refused_at=SOONER), "ask", "ask"),
        (Progress(refused_at=NOON), "wait", None),
        (Progress(refused_at=NOON, answered_at=NOON), None, None),
    ],
)
def test_a_payer_is_told_only_what_the_gateway_could_deny(progress, reminder, failure):
    order = an_order(progress=progress)
    assert needed_first(order, Step(action=Action.REMIND, at=NOON)) == reminder
    assert needed_first(order, Step(action=Action.GRACE, at=NOON)) == failure
    assert needed_first(order, Step(action=Action.ESCALATE, at=NOON)) is None
    unclear = msgspec.structs.replace(order, has_parked=True)
    assert needed_first(unclear, Step(action=Action.REMIND, at=NOON)) == "wait"


def an_outcome(action=Action.QUERY, *, result="no answer: busy", answered=False, tries=1):
    step = Step(action=action, at=NOON)
    order = an_order(due_at=NOON + MINUTE, expires_at=NOON)
    query = DueQuery(order=order, step=step, tries=tries, taken_at=NOON, leased_until=NOON + MINUTE)
    return QueryOutcome(query=query, result=result, answered=answered)


@pytest.mark.parametrize(
    ("outcome", "at"),
    [
        (an_outcome(), NOON + ORDER_QUERY.pause(1)),
        (an_outcome(tries=3), NOON + ORDER_QUERY.pause(3)),
        (an_outcome(result="answered", answered=True), None),
        (an_outcome(result=CANNOT_ASK), None),
        (an_outcome(Action.CLOSE, result=CANNOT_ASK), NOON + UNASKABLE_REST),
    ],
)
def test_a_query_is_put_again_when_it_had_no_answer(outcome, at):
    assert outcome.retry_at(NOON) == at


def test_only_the_sweeper_whose_lease_stands_closes_the_order():
    outcome = an_outcome(Action.CLOSE, result="answered", answered=True)
    order = outcome.query.order
    assert settle(order, outcome, policy=POLICY, now=NOON).has_closed
    for later in ({"due_at": NOON + 2 * MINUTE}, {"phase": 2}, {"closed_at": SOONER}):
        others = msgspec.structs.replace(order, **later)
        changes = settle(others, outcome, policy=POLICY, now=NOON)
        assert not changes.has_closed
        assert changes.after.closed_at == others.closed_at


def test_nothing_is_asked_or_concluded_while_an_account_of_the_order_is_paused():
    outcome = an_outcome(Action.CLOSE, result="answered", answered=True)
    paused = msgspec.structs.replace(outcome.query.order, is_paused=True)
    looked_at = advance(paused, policy=POLICY, lease=MINUTE, now=NOON + MINUTE)
    assert (looked_at.query, looked_at.after.due_at) == (None, NOON + MINUTE + PAUSED_REST)
    settled = settle(paused, outcome, policy=POLICY, now=NOON)
    assert not settled.has_closed
    assert settled.after.progress.answered_at == paused.progress.answered_at
