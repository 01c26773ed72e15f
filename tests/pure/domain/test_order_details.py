"""Details of an order's facts, ladder and answers that no larger test notices by itself."""

from datetime import timedelta

import msgspec
import pytest

from tests.pure.domain.factories import MINUTE, NOON, POLICY, an_event, an_order
from tests.pure.domain.histories_of_one import facts_after
from tests.pure.domain.test_decisions import ladder, policy_for
from tillkeeper.domain.events import Evidence, Kind
from tillkeeper.domain.ladder import Action, Step
from tillkeeper.domain.order.answers import QueryOutcome, settle
from tillkeeper.domain.order.case_kinds import CaseKind
from tillkeeper.domain.order.cases import KnownCase
from tillkeeper.domain.order.changes import DueQuery
from tillkeeper.domain.order.progress import CANNOT_ASK, Progress, Retry
from tillkeeper.domain.order.queries import first_queries
from tillkeeper.domain.order.registration import ClaimedPayment, Registration, refuse_difference
from tillkeeper.domain.order.sums import captured_of
from tillkeeper.domain.query import Query
from tillkeeper.domain.statuses import Status

HOUR = timedelta(hours=1)
ORDER = an_order().order
REFUND = {"refund_ref": "r1", "amount": 30}
BY_ANSWER = {"evidence": Evidence.QUERY, "as_of": NOON + HOUR}


@pytest.mark.parametrize("moments", [(9, 3), (3, 9)])
def test_the_latest_of_several_reversals_counts(moments):
    reversals = [an_event(Kind.PAYMENT_REVERSED, second, amount=None, currency=None) for second in moments]
    payment = facts_after([an_event(second=5, capture_ref="c1"), *reversals]).payments["stripe-main", "p1"]
    assert payment.kept_captures == []


def test_only_a_failure_is_dated_as_one():
    succeeded = an_event(Kind.REFUND_SUCCEEDED, 5, **REFUND, **BY_ANSWER)
    refund = facts_after([succeeded]).refunds["stripe-main", "r1"]
    assert (refund.failure_dated_at, refund.failed_at) == (None, None)
    assert refund.began_at == refund.succeeded_at == succeeded.occurred_at
    failed = an_event(Kind.REFUND_FAILED, 9, **REFUND, **BY_ANSWER)
    refund = facts_after([succeeded, failed]).refunds["stripe-main", "r1"]
    assert (refund.failure_dated_at, refund.failed_at) == (failed.occurred_at, None)


def test_what_was_paid_on_top_without_a_known_amount_leaves_the_capture_as_it_is():
    facts = facts_after([an_event(Kind.PAYMENT_PENDING, on_top=5), an_event(second=2, amount=105)])
    assert captured_of(ORDER, "stripe-main", facts.payments["stripe-main", "p1"]) == 105


def test_a_query_says_what_is_due_and_what_pends_is_asked_about_first():
    history = [
        an_event(has_refunds=True),
        an_event(Kind.REFUND_FAILED, 5, refund_ref="r0", amount=10),
        an_event(Kind.REFUND_PENDING, 6, **REFUND),
    ]
    asked = first_queries(ORDER, facts_after(history), age=timedelta(days=9))
    refunds = [query.refund_ref for _, query in asked if query.about == "refund"]
    assert refunds == ["r1", "r0"]
    waits = first_queries(ORDER, facts_after([an_event(Kind.PAYMENT_PENDING)]))
    assert waits[0] == ("stripe-main", Query(about="payment", order_ref="A1", payment_ref="p1", amount_due=100))


@pytest.mark.parametrize(("cannot_be_put", "closes"), [(False, True), (True, False)])
def test_only_a_closing_that_cannot_be_asked_for_leaves_the_ladder(cannot_be_put, closes):
    waits = Retry(step=Step(action=Action.CLOSE, at=NOON), tries=1, at=NOON + HOUR, cannot_be_put=cannot_be_put)
    order = an_order(progress=Progress(unanswered={Action.CLOSE: waits}))
    actions = order.ladder(policy_for(Status.UNPAID, ladder(Action.CLOSE, MINUTE))).actions
    assert bool(actions) is closes


def test_a_closed_order_with_money_on_its_way_is_still_in_the_phase_of_that_money():
    closed = {"closed_at": NOON + HOUR, "expires_at": NOON + 2 * HOUR}
    moving = an_order(facts=facts_after([an_event(Kind.PAYMENT_PENDING)]), **closed).present_phase()
    assert (moving.began_at, moving.expires_at) == (NOON, NOON + 2 * HOUR)
    over = an_order(**closed).present_phase()
    assert (over.began_at, over.expires_at) == (NOON + HOUR, None)


@pytest.mark.parametrize(
    ("fields", "result", "due_at", "ask_at"),
    [
        # as it was left by whoever asked: the next step of the ladder
        ({"due_at": NOON + MINUTE}, "answered", NOON + 2 * HOUR, None),
        ({"due_at": NOON + MINUTE, "ask_at": NOON + MINUTE}, "answered", NOON + 2 * HOUR, None),
        ({"due_at": NOON + MINUTE, "ask_at": NOON + MINUTE}, CANNOT_ASK, NOON + 2 * HOUR, None),
        # another's by now: its moment stands, and a request that was answered is done
        ({"due_at": NOON + 5 * MINUTE}, "answered", NOON + 5 * MINUTE, None),
        ({"due_at": NOON + 5 * MINUTE, "ask_at": NOON + MINUTE}, "answered", NOON + 5 * MINUTE, None),
        ({"due_at": NOON + 5 * MINUTE, "ask_at": NOON + HOUR}, "answered", NOON + 5 * MINUTE, NOON + HOUR),
        ({"due_at": NOON + MINUTE, "phase": 2}, "answered", NOON + MINUTE, None),
    ],
)
def test_after_an_answer_the_order_is_due_with_its_next_step_where_it_still_is_the_askers(
    fields, result, due_at, ask_at
):
    policy = policy_for(Status.UNPAID, ladder(Action.QUERY, MINUTE, 2 * HOUR))
    taken = Progress(last_steps={Action.QUERY: NOON + MINUTE})
    order = an_order(progress=taken, **fields)
    query = DueQuery(
        order=an_order(),
        step=Step(action=Action.QUERY, at=NOON + MINUTE),
        tries=1,
        taken_at=NOON,
        leased_until=NOON + MINUTE,
    )
    outcome = QueryOutcome(query=query, result=result, answered=result == "answered")
    changes = settle(order, outcome, policy=policy, now=NOON + 2 * MINUTE)
    assert (changes.after.due_at, changes.after.ask_at) == (due_at, ask_at)


def test_the_same_registration_may_list_its_payments_in_any_order():
    payments = (ClaimedPayment(account="a", payment_ref="p1"), ClaimedPayment(account="a", payment_ref="p2"))
    one = Registration(order_ref="A1", amount=1, currency="CNY", accounts=("a",), payments=payments)
    refuse_difference(one, msgspec.structs.replace(one, payments=payments[::-1]))


def test_a_case_of_an_answer_that_was_refused_closes_with_one_that_is_taken():
    key = (CaseKind.ANSWER_NOT_APPLIED, "order:A1")
    order = an_order(
        cases={key: KnownCase(kind=CaseKind.ANSWER_NOT_APPLIED, subject="order:A1", order_id=1, state="payment.failed")}
    )
    query = DueQuery(
        order=order, step=Step(action=Action.QUERY, at=NOON), tries=1, taken_at=NOON, leased_until=NOON + MINUTE
    )
    for answered in (True, False):
        outcome = QueryOutcome(query=query, result="answered" if answered else "no answer", answered=answered)
        assert settle(order, outcome, policy=POLICY, now=NOON).cases.closed == ([key] if answered else [])
