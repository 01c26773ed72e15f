"""What notices and acts say: key, audience, topic, version and payload of each, whole."""

from datetime import timedelta
from functools import partial

import pytest

from tests.pure.domain.factories import MINUTE, NOON, POLICY, an_event, an_order
from tests.pure.domain.test_decisions import ladder, policy_for, with_facts
from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.domain.ladder import Action, ActionSteps, Anchor, Ladder, Step, StepTime
from tillkeeper.domain.order import acts
from tillkeeper.domain.order.advancing import advance, next_look
from tillkeeper.domain.order.changes import Act
from tillkeeper.domain.order.notices import Notice
from tillkeeper.domain.order.progress import CANNOT_ASK, NEVER, Progress, Retry, StepTaken
from tillkeeper.domain.order.receiving import Arrival, receive
from tillkeeper.domain.order.registration import Instalment, Registration, first_look
from tillkeeper.domain.policy import Policy
from tillkeeper.domain.statuses import Status

HOUR = timedelta(hours=1)
LEASE = MINUTE
ASKED = Progress(answered_at=NOON + HOUR)


def view(**fields):
    shown = {"order_ref": "A1", "status": "paid", "status_zh": "已支付", "amount": 100, "currency": "CNY"}
    sums = {"paid": 100, "refunding": 0, "refunded": 0, "discount": 0, "charged_back": 0}
    return {**shown, **sums, **fields}


def to_payer(topic, key, *, version, **payload):
    rest = {"remaining": 0, "failure": None, "pay_url": None, "expires_at": None}
    return Notice(
        key=key, audience="payer", topic=topic, order_id=1, version=version, payload={**view(), **rest, **payload}
    )


UNPAID = {"status": "unpaid", "status_zh": "未支付", "paid": 0, "remaining": 100}
FAILED = {"status": "failed", "status_zh": "支付失败", "paid": 0, "remaining": 100, "failure": "insufficient_funds"}


def test_a_payment_is_told_whole_to_merchant_and_payer():
    order = an_order(version=4, pay_url="https://shop/pay", expires_at=NOON + HOUR)
    changes = receive(order, [Arrival(event=an_event())], policy=POLICY, now=NOON)
    merchant, payer = changes.notices
    assert merchant == Notice(
        key="order/1/5/order.status_changed",
        audience="merchant",
        topic="order.status_changed",
        order_id=1,
        version=5,
        payload={**view(), "version": 5, "previous_status": "unpaid", "closed": False},
    )
    assert payer == to_payer(
        "payer.paid", "payer/1/payer.paid/100/0/0", version=5, pay_url="https://shop/pay", expires_at=NOON + HOUR
    )


def test_a_payer_without_an_address_is_told_nothing():
    changes = receive(an_order(has_mail=False), [Arrival(event=an_event())], policy=POLICY, now=NOON)
    assert [notice.audience for notice in changes.notices] == ["merchant"]


@pytest.mark.parametrize(
    ("order", "action", "notice"),
    [
        (
            an_order(phase=3, progress=ASKED),
            Action.REMIND,
            to_payer("payer.reminder", "payer/1/payer.reminder/0/0/0/phase 3 no 2", version=2, **UNPAID),
        ),
        (
            with_facts(an_event(Kind.PAYMENT_FAILED, failure=FailureClass.INSUFFICIENT_FUNDS), phase=3, progress=ASKED),
            Action.GRACE,
            to_payer("payer.failed", "payer/1/payer.failed/0/0/0/phase 3", version=2, **FAILED),
        ),
        (
            an_order(phase=3, progress=ASKED, instalments=(Instalment(amount=40, due_at=NOON + 2 * MINUTE),)),
            Action.REMIND,
            to_payer(
                "payer.instalment_due",
                "payer/1/payer.instalment_due/0/0/0/phase 3 no 2",
                version=2,
                due_at=NOON + 2 * MINUTE,
                due_amount=40,
                **UNPAID,
            ),
        ),
        (
            with_facts(an_event(Kind.PAYMENT_PENDING), phase=3),
            Action.REMIND,
            to_payer(
                "payer.processing",
                "payer/1/payer.processing/0/0/0/phase 3 no 2",
                version=2,
                **{**UNPAID, "status": "processing", "status_zh": "支付处理中"},
            ),
        ),
        # A part came in, and more is on its way: the payer reads that it is.
        (
            with_facts(an_event(amount=40), an_event(Kind.PAYMENT_PENDING, payment_ref="p2"), phase=3),
            Action.REMIND,
            to_payer(
                "payer.processing",
                "payer/1/payer.processing/40/0/0/phase 3 no 2",
                version=2,
                **{**UNPAID, "status": "partially_paid", "status_zh": "部分支付", "paid": 40, "remaining": 60},
            ),
        ),
        (with_facts(an_event(), phase=3), Action.REMIND, None),
    ],
)
def test_a_step_is_told_whole_to_the_payer(order, action, notice):
    status = order.summary.status
    policy = policy_for(status, ladder(action, MINUTE, 2 * MINUTE))
    changes = advance(order, policy=policy, lease=LEASE, now=NOON + 3 * MINUTE)
    assert list(changes.notices) == ([] if notice is None else [notice])


def test_a_refund_that_failed_is_told_to_the_payer_once():
    refunding = with_facts(an_event(), an_event(Kind.REFUND_PENDING, second=2, refund_ref="r1", amount=30))
    failed = an_event(Kind.REFUND_FAILED, second=9, refund_ref="r1", amount=30)
    changes = receive(refunding, [Arrival(event=failed)], policy=POLICY, now=NOON)
    told = [notice for notice in changes.notices if notice.topic == "payer.refund_failed"]
    assert told == [
        to_payer(
            "payer.refund_failed",
            "payer/1/payer.refund_failed/100/0/0/refund:stripe-main/r1",
            version=2,
            refund_amount=30,
        )
    ]
    again = receive(changes.after, [Arrival(event=an_event(second=60, method="card"))], policy=POLICY, now=NOON)
    assert again.has_new_facts
    assert "payer.refund_failed" not in {notice.topic for notice in again.notices}


def test_each_act_is_written_with_who_when_and_why():
    told = {"by": "mei", "note": "called", "now": NOON}
    order = an_order(held_until=NOON + HOUR, due_at=NOON + HOUR)
    until = NOON + 2 * HOUR
    held = acts.hold(order, until=until, **told)
    assert held.acts == (Act(what="hold", by="mei", note="until 2026-11-22 14:00:00Z: called", at=NOON),)
    assert (held.after.held_until, held.after.due_at) == (until, until)
    released = acts.release(order, **told)
    assert released.acts == (Act(what="release", by="mei", note="called", at=NOON),)
    assert (released.after.held_until, released.after.due_at) == (None, NOON)
    asked = acts.ask(an_order(), **told)
    assert asked.acts == (Act(what="ask", by="mei", note="called", at=NOON),)
    assert (asked.after.ask_at, asked.after.due_at) == (NOON, NOON)
    assert acts.ask(an_order(closed_at=NOON), **told).after.ask_at == NOON
    closed = acts.close(an_order(), nearby=(), force=False, **told)
    assert closed.acts == (Act(what="close", by="mei", note="called", at=NOON),)


@pytest.mark.parametrize(
    ("act", "order", "why"),
    [
        (partial(acts.hold, until=NOON), an_order(closed_at=NOON), "it is closed since 2026-11-22 12:00:00Z"),
        (acts.release, an_order(closed_at=NOON), "it is closed since 2026-11-22 12:00:00Z"),
        (acts.release, an_order(), "it is not held"),
        (acts.release, an_order(held_until=NOON), "it is not held"),
        (acts.ask, an_order(held_until=NOON + HOUR), "it is held until 2026-11-22 13:00:00Z; release it first"),
    ],
)
def test_an_act_is_refused_in_these_words(act, order, why):
    with pytest.raises(acts.ActRefused) as refused:
        act(order, by="mei", note="", now=NOON)
    assert str(refused.value) == why


def test_the_policy_opens_an_order_again_by_an_act_of_its_own():
    changes = receive(
        an_order(closed_at=NOON), [Arrival(event=an_event())], policy=Policy(after_close="reopen"), now=NOON + HOUR
    )
    note = "a payment came in after it was closed"
    assert changes.acts == (Act(what="reopen", by="policy", note=note, at=NOON + HOUR),)


# --- when it is looked at next ----------------------------------------------------------------------------------------


def test_a_phase_is_first_looked_at_by_its_ladder_its_dates_and_what_was_asked_for():
    query = policy_for(Status.UNPAID, ladder(Action.QUERY, 2 * HOUR))
    assert an_order().first_due_of_phase(query, now=NOON) == NOON + 2 * HOUR
    assert an_order(ask_at=NOON + HOUR).first_due_of_phase(query, now=NOON) == NOON + HOUR
    assert an_order(ask_at=NOON + HOUR).first_due_of_phase(POLICY, now=NOON) == NOON + HOUR
    assert an_order().first_due_of_phase(POLICY, now=NOON) is None
    assert an_order(held_until=NOON + 3 * HOUR).first_due_of_phase(query, now=NOON) == NOON + 3 * HOUR
    assert an_order(held_until=NOON + HOUR).first_due_of_phase(query, now=NOON) == NOON + 2 * HOUR


def test_the_next_look_is_now_where_a_step_is_due_else_at_the_next_one():
    policy = policy_for(Status.UNPAID, ladder(Action.QUERY, MINUTE, HOUR))
    assert next_look(an_order(), policy, NOON) == NOON + MINUTE
    assert next_look(an_order(), policy, NOON + 2 * MINUTE) == NOON + 2 * MINUTE
    taken = Progress(last_steps={Action.QUERY: NOON + MINUTE})
    assert next_look(an_order(progress=taken), policy, NOON + 2 * MINUTE) == NOON + HOUR


def test_a_query_counts_its_tries():
    policy = policy_for(Status.UNPAID, ladder(Action.QUERY, MINUTE))
    first = advance(an_order(), policy=policy, lease=LEASE, now=NOON + MINUTE)
    assert (first.query.tries, first.steps[0].tries) == (1, 1)
    waits = Retry(step=first.query.step, tries=3, at=NOON + 5 * MINUTE)
    progress = Progress(last_steps={Action.QUERY: NOON + MINUTE}, unanswered={Action.QUERY: waits})
    again = advance(an_order(progress=progress), policy=policy, lease=LEASE, now=NOON + 5 * MINUTE)
    assert (again.query.tries, again.steps[0].tries) == (4, 4)
    case = policy_for(Status.UNPAID, ladder(Action.CASE, MINUTE))
    [taken] = advance(an_order(), policy=case, lease=LEASE, now=NOON + MINUTE).steps
    assert (taken.tries, taken.result) == (1, "done")


@pytest.mark.parametrize(
    ("action", "fields", "answered"),
    [
        (Action.QUERY, {"result": "answered"}, True),
        (Action.CLOSE, {"result": "answered"}, True),
        (Action.QUERY, {"result": "no answer", "retry_at": NOON + HOUR}, False),
        (Action.QUERY, {"result": CANNOT_ASK}, False),
        (Action.QUERY, {}, False),
        (Action.REMIND, {"result": "done"}, False),
    ],
)
def test_a_query_is_answered_by_an_answer_alone(action, fields, answered):
    taken = StepTaken(phase=1, step=Step(action=action, at=NOON), taken_at=NOON, **fields)
    progress = Progress().with_taken(taken)
    assert progress.answered_at == (NOON if answered else NEVER)
    assert progress.refused_at == (NOON if fields.get("result") == CANNOT_ASK else NEVER)
    assert progress.retry_at == fields.get("retry_at")
    repeated = progress.with_taken(StepTaken(phase=1, step=taken.step, taken_at=NOON, result="answered"))
    assert repeated.retry is None


def test_a_registered_plan_is_looked_at_by_its_first_date():
    registration = Registration(
        order_ref="A1",
        amount=100,
        currency="CNY",
        accounts=("stripe-main",),
        instalments=(Instalment(amount=100, due_at=NOON + HOUR),),
    )
    at_date = ActionSteps(action=Action.QUERY, times=(StepTime(offset=MINUTE, anchor=Anchor.DUE),))
    policy = Policy(ladders={Status.UNPAID: Ladder(actions=(at_date,))})
    assert first_look(registration, policy=policy, now=NOON) == NOON + HOUR + MINUTE
    order = an_order(instalments=registration.instalments, expires_at=NOON + 2 * HOUR)
    assert order.first_due_of_phase(policy, now=NOON) == NOON + HOUR + MINUTE
    at_expiry = ActionSteps(action=Action.QUERY, times=(StepTime(offset=MINUTE, anchor=Anchor.EXPIRY),))
    policy = Policy(ladders={Status.UNPAID: Ladder(actions=(at_expiry,))})
    assert order.first_due_of_phase(policy, now=NOON) == NOON + 2 * HOUR + MINUTE
