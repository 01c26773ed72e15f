"""What an order decides, one decision at a time; whole lives are in test_lives.py."""

from datetime import timedelta

import msgspec
import pytest

from tests.pure.domain.factories import MINUTE, NOON, POLICY, an_event, an_order
from tillkeeper.domain.events import Kind
from tillkeeper.domain.ladder import Action, ActionSteps, Ladder, Step, StepTime
from tillkeeper.domain.order import acts
from tillkeeper.domain.order.advancing import advance, what_comes_next
from tillkeeper.domain.order.case_kinds import CaseKind
from tillkeeper.domain.order.case_reasons import CaseReason, unmatched
from tillkeeper.domain.order.cases import (
    FOLLOW_UP_MAX,
    BadFollowUp,
    CaseChanges,
    KnownCase,
    level_after_follow_up,
    refuse_bad_follow_up,
)
from tillkeeper.domain.order.facts import OrderFacts, apply
from tillkeeper.domain.order.notices import CaseRow, case_notice
from tillkeeper.domain.order.progress import CANNOT_ASK, Progress, Retry, StepTaken
from tillkeeper.domain.order.receiving import Arrival, Outcome, receive
from tillkeeper.domain.order.registration import Contradiction, Registration, refuse_difference
from tillkeeper.domain.policy import AccountPolicy, Policy
from tillkeeper.domain.statuses import OPEN, STATUS_ZH, TRAITS, Status
from tillkeeper.domain.topics import CaseTopic

LEASE = MINUTE
HOUR = timedelta(hours=1)
TOLD = {"by": "mei", "note": "", "now": NOON}


def ladder(action, *offsets, every=None):
    times = tuple(StepTime(offset=offset) for offset in offsets)
    return Ladder(actions=(ActionSteps(action=action, times=times, every=every),))


def policy_for(status, *of_status, **fields):
    actions = tuple(steps for each in of_status for steps in each.actions)
    return Policy(ladders={status: Ladder(actions=actions)}, **fields)


def with_facts(*events, **fields):
    facts = OrderFacts()
    for event in events:
        facts = apply(facts, event)
    order = an_order(facts=facts, **fields)
    return msgspec.structs.replace(order, stored=order.summary)


def test_every_status_has_traits_and_those_that_may_move_are_open():
    assert set(TRAITS) == set(Status) == set(STATUS_ZH)
    assert set(OPEN) == set(Status) - {Status.PAID, Status.PARTIALLY_REFUNDED, Status.REFUNDED}


def test_a_status_without_a_ladder_of_its_own_has_none_and_a_method_has_its_own():
    query = ladder(Action.QUERY, MINUTE)
    at_bank = AccountPolicy(ladders={}, methods={"sepa_debit": {Status.PROCESSING: query}})
    policy = Policy(accounts={"stripe-main": at_bank})
    assert policy.ladder(Status.PROCESSING, "stripe-main", "sepa_debit") == query
    assert policy.ladder(Status.PROCESSING, "stripe-main", "card") == Ladder()
    at_account = Policy(accounts={"stripe-main": AccountPolicy(ladders={Status.UNPAID: query})})
    assert at_account.ladder(Status.UNPAID, "stripe-main") == query


def test_what_somebody_wants_asked_puts_the_query_that_waits_again():
    waits = Retry(step=Step(action=Action.QUERY, at=NOON), tries=2, at=NOON + MINUTE)
    order = an_order(
        ask_at=NOON + MINUTE, due_at=NOON, progress=Progress(unanswered={Action.QUERY: waits}), phase_since=NOON
    )
    changes = advance(order, policy=POLICY, lease=LEASE, now=NOON + 2 * MINUTE)
    assert (changes.query.step, changes.query.tries) == (waits.step, 3)
    assert changes.after.ask_at == changes.after.due_at == changes.query.leased_until
    sooner = advance(order, policy=POLICY, lease=LEASE, now=NOON + MINUTE - timedelta(seconds=1))
    assert (sooner.query, sooner.after.due_at) == (None, NOON + MINUTE)


def test_people_read_what_comes_next():
    policy = policy_for(Status.UNPAID, ladder(Action.QUERY, HOUR))
    order = an_order(due_at=NOON + HOUR)
    assert what_comes_next(order, policy=policy, now=NOON) == ("query", NOON + HOUR)
    assert what_comes_next(order, policy=POLICY, now=NOON) is None
    wanted = msgspec.structs.replace(order, ask_at=NOON + MINUTE)
    assert what_comes_next(wanted, policy=policy, now=NOON) == ("asked for", NOON + MINUTE)
    held = msgspec.structs.replace(order, held_until=NOON + 2 * HOUR)
    assert what_comes_next(held, policy=policy, now=NOON) == ("hold ends", NOON + 2 * HOUR)
    assert what_comes_next(held, policy=policy, now=NOON + 3 * HOUR) == ("query", NOON + HOUR)
    waits = Retry(step=Step(action=Action.QUERY, at=NOON), tries=1, at=NOON + MINUTE)
    retried = msgspec.structs.replace(order, progress=Progress(unanswered={Action.QUERY: waits}))
    assert what_comes_next(retried, policy=policy, now=NOON) == ("query again", NOON + MINUTE)


def test_an_escalation_goes_up_from_where_its_case_stands_and_never_down():
    policy = policy_for(Status.UNPAID, ladder(Action.CASE, MINUTE), ladder(Action.ESCALATE, MINUTE, 2 * MINUTE))
    late = NOON + 5 * MINUTE
    changes = advance(an_order(), policy=policy, lease=LEASE, now=late)
    (key,) = changes.cases.opened
    assert changes.cases.escalated == {key: 3}
    higher = KnownCase(kind=key[0], subject=key[1], order_id=1, level=5)
    taken = Progress(last_steps={Action.CASE: late})
    changes = advance(an_order(cases={key: higher}, progress=taken), policy=policy, lease=LEASE, now=late)
    assert changes.cases.escalated == {key: 5}
    closed = msgspec.structs.replace(higher, closed_by="mei")
    changes = advance(an_order(cases={key: closed}, progress=taken), policy=policy, lease=LEASE, now=late)
    assert changes.cases.escalated == {}


def test_a_ladder_that_does_not_end_is_a_fault_of_ours(monkeypatch):
    endless = policy_for(Status.UNPAID, ladder(Action.CASE, MINUTE))
    monkeypatch.setattr(Progress, "with_taken", lambda self, _taken: self)
    with pytest.raises(AssertionError, match="does not end"):
        advance(an_order(), policy=endless, lease=LEASE, now=NOON + HOUR)


def test_a_reminder_of_what_is_merely_held_is_not_written():
    held = with_facts(
        an_event(Kind.PAYMENT_AUTHORIZED, amount=100, capture_ref="c0"),
        an_event(second=2, amount=40, capture_ref="c1"),
    )
    policy = policy_for(Status.PARTIALLY_PAID, ladder(Action.REMIND, MINUTE))
    assert held.summary.status is Status.PARTIALLY_PAID
    assert advance(held, policy=policy, lease=LEASE, now=NOON + HOUR).notices == ()
    assert "still holds" in "; ".join(_refused(acts.close, held, nearby=(), force=False, **TOLD))


def _refused(act, order, **told):
    with pytest.raises(acts.ActRefused) as refused:
        act(order, **told)
    return str(refused.value).split("; ")


def test_a_payer_is_reminded_of_an_instalment_by_its_own_words_and_of_a_failure_by_others():
    from tillkeeper.domain.order.registration import Instalment

    plan = (Instalment(amount=40, due_at=NOON + MINUTE), Instalment(amount=60, due_at=NOON + HOUR))
    asked = Progress(answered_at=NOON + 3 * HOUR)
    policy = policy_for(Status.UNPAID, ladder(Action.REMIND, 2 * MINUTE))
    changes = advance(an_order(instalments=plan, progress=asked), policy=policy, lease=LEASE, now=NOON + HOUR)
    assert [notice.topic for notice in changes.notices] == ["payer.instalment_due"]
    failed = with_facts(an_event(Kind.PAYMENT_FAILED), instalments=plan, progress=asked)
    policy = policy_for(Status.FAILED, ladder(Action.REMIND, 2 * MINUTE))
    assert [notice.topic for notice in advance(failed, policy=policy, lease=LEASE, now=NOON + HOUR).notices] == [
        "payer.reminder"
    ]


def test_money_that_comes_in_after_closing_opens_the_order_again_where_the_policy_says_so():
    closed = an_order(closed_at=NOON)
    policy = Policy(after_close="reopen")
    changes = receive(closed, [Arrival(event=an_event())], policy=policy, now=NOON)
    assert (changes.after.closed_at, [act.what for act in changes.acts]) == (None, ["reopen"])
    assert [notice.topic for notice in changes.notices] == ["order.reopened", "order.status_changed", "payer.paid"]


def test_a_dispute_that_is_lost_is_told_although_no_status_moves():
    paid = with_facts(an_event(), an_event(Kind.DISPUTE_OPENED, dispute_ref="d1", amount=100))
    lost = an_event(Kind.DISPUTE_LOST, second=9, dispute_ref="d1", amount=100)
    changes = receive(paid, [Arrival(event=lost)], policy=POLICY, now=NOON)
    assert not changes.has_moved
    assert [notice.topic for notice in changes.notices] == ["order.amounts_changed"]


def test_a_mismatch_that_leaves_no_fact_behind_opens_a_case_and_closes_it():
    paid = with_facts(an_event(second=60))
    late = an_event(Kind.PAYMENT_PENDING, second=1, currency="USD", amount=None)
    arrival = Arrival(event=late)
    changes = receive(paid, [arrival], policy=POLICY, now=NOON)
    key = ("wrong_currency", "payment:stripe-main/p1")
    assert arrival.outcome is Outcome.MISMATCHED
    assert (list(changes.cases.opened), changes.cases.closed, changes.cases.first_alone) == ([key], [key], {key})
    refund = an_event(Kind.REFUND_PENDING, refund_ref="r1", account="stranger", amount=1)
    dispute = an_event(Kind.DISPUTE_OPENED, dispute_ref="d1", account="stranger", amount=1, payment_ref=None)
    changes = receive(paid, [Arrival(event=refund), Arrival(event=dispute)], policy=POLICY, now=NOON)
    subjects = {subject for kind, subject in changes.cases.opened if kind == "unexpected_account"}
    assert {"refund:stranger/r1", "dispute:stranger/d1"} <= subjects


@pytest.mark.parametrize(
    ("case", "details", "state", "is_news"),
    [
        ({"closed_by": "mei", "state": "stands", "captured": 150}, {"captured": 150}, "stands", False),
        ({"closed_by": "mei", "state": "stands", "captured": 150}, {"captured": 200}, "stands", True),
        ({"closed_by": "mei", "state": "stands", "captured": 150}, {"captured": 120}, "stands", False),
        ({"closed_by": "mei", "state": "pending"}, {}, "succeeded", True),
        ({"closed_by": "mei", "state": "pending"}, {}, "", False),
        ({"closed_by": "mei", "state": "pending", "order_id": 2}, {}, "pending", True),
        ({"closed_by": "mei"}, {}, None, False),
        ({"closed_by": "system"}, {}, None, True),
    ],
)
def test_what_opens_a_closed_case_again(case, details, state, is_news):
    known = KnownCase(**{"kind": "overpaid", "subject": "order:A1", "order_id": 1, **case})
    changes = CaseChanges()
    changes.open({known.key: known}, 1, [CaseReason(kind="overpaid", subject="order:A1", state=state, details=details)])
    assert (known.key in changes.opened) is is_news
    alone = CaseChanges()
    alone.open({known.key: known}, 1, [CaseReason(kind="overpaid", subject="order:A1", state=state)], again=False)
    assert not alone.opened


def test_an_open_case_shows_how_things_stand_now():
    known = KnownCase(kind="overpaid", subject="order:A1", order_id=1, state="stands", captured=150)
    changes = CaseChanges()
    for details in ({"captured": 150}, {"captured": 160}):
        changes.open(
            {known.key: known}, 1, [CaseReason(kind="overpaid", subject="order:A1", state="stands", details=details)]
        )
    assert [(each.reason.details, each.is_another_state) for each in changes.noted] == [({"captured": 160}, False)]


def test_people_are_told_of_a_case_by_its_number():
    case = CaseRow(id=7, kind="stuck", subject="order:A1", order_id=1, account=None, level=2, details={})
    notice = case_notice(case, CaseTopic.ESCALATED, now=NOON)
    assert (notice.key, notice.audience, notice.payload["level"]) == (
        "case/7/case.escalated/20261122T120000.000000",
        "ops",
        2,
    )


def test_a_step_before_the_last_one_of_its_action_leaves_no_query_open():
    step = Step(action=Action.QUERY, at=NOON)
    later = Progress(last_steps={Action.QUERY: NOON + HOUR})
    taken = StepTaken(phase=1, step=step, taken_at=NOON, retry_at=NOON + MINUTE)
    assert later.with_taken(taken).retry is None
    refused = StepTaken(phase=1, step=step, taken_at=NOON, result=CANNOT_ASK)
    assert Progress().with_taken(refused).refused_at == NOON


def test_the_same_registration_says_the_same_in_any_order_of_accounts_and_payments():
    one = Registration(order_ref="A1", amount=1, currency="CNY", accounts=("a", "b"))
    refuse_difference(one, msgspec.structs.replace(one, accounts=("b", "a")))
    with pytest.raises(Contradiction) as refused:
        refuse_difference(one, msgspec.structs.replace(one, amount=2))
    assert refused.value.field == "amount"


def test_a_query_is_no_step_that_tells_anybody():
    from tillkeeper.domain.order.advancing import _take
    from tillkeeper.domain.order.changes import Changes

    with pytest.raises(AssertionError, match="outside"):
        _take(Changes.of(an_order()), Step(action=Action.QUERY, at=NOON), POLICY, NOON)


def test_a_version_tells_an_order_from_the_one_before_and_a_hold_is_no_version():
    held = acts.hold(an_order(), until=NOON + HOUR, **TOLD)
    assert not held.is_another_version
    assert acts.close(an_order(), nearby=(), force=False, **TOLD).is_another_version
    waits = advance(held.after, policy=POLICY, lease=LEASE, now=NOON)
    assert (waits.after.due_at, waits.steps) == (NOON + HOUR, ())


def test_what_is_captured_in_part_while_the_rest_is_held_is_not_told_to_the_payer():
    held = with_facts(an_event(Kind.PAYMENT_AUTHORIZED, amount=100, capture_ref="c0"))
    changes = receive(held, [Arrival(event=an_event(second=2, amount=40, capture_ref="c1"))], policy=POLICY, now=NOON)
    assert [notice.topic for notice in changes.notices] == ["order.status_changed"]


def test_a_case_that_a_person_resolved_forgets_its_state_once_its_cause_is_gone():
    resolved = KnownCase(kind="disputed", subject="dispute:a/1", closed_by="mei", state="opened", order_id=1)
    changes = CaseChanges()
    changes.close({("disputed", "dispute:a/1"): resolved}, [])
    assert (changes.gone, changes.closed) == ([("disputed", "dispute:a/1")], [])


def test_a_payer_is_told_that_money_came_after_the_order_was_closed():
    order = with_facts(closed_at=NOON)
    changes = receive(order, [Arrival(event=an_event())], policy=Policy(after_close="case"), now=NOON)
    assert "payer.paid_after_closing" in [notice.topic for notice in changes.notices]


def test_an_answer_that_repeats_what_is_known_has_no_outcome_of_its_own():
    order = with_facts(event := an_event())
    for placed in (False, True):
        repeated = Arrival(event=event, repeats=True, placed=placed)
        receive(order, [repeated], policy=POLICY, now=NOON)
        assert repeated.outcome is None


def test_a_refund_of_a_payment_that_nobody_told_of_is_asked_about_at_once():
    refund = an_event(Kind.REFUND_SUCCEEDED, refund_ref="r1", amount=30)
    changes = receive(an_order(due_at=NOON + HOUR), [Arrival(event=refund)], policy=POLICY, now=NOON)
    assert (changes.after.ask_at, changes.after.due_at) == (NOON, NOON)


def test_what_the_batch_found_opens_a_case_although_the_order_learns_nothing():
    found = CaseReason(kind="event_id_reused", subject="event:a/1")
    changes = receive(an_order(), [], policy=POLICY, now=NOON, found=[found])
    assert list(changes.cases.opened) == [found.key]


def test_money_that_finds_no_order_is_a_case_of_its_event():
    event = an_event(amount=70)
    case = unmatched(event)
    assert (case.kind, case.subject) == ("unmatched_payment", f"event:{event.account}/{event.event_id}")
    assert (case.details["amount"], case.details["says"]) == (70, Kind.PAYMENT_SUCCEEDED)


@pytest.mark.parametrize(
    ("kind", "level", "owner", "after"),
    [("overpaid", 1, None, 2), ("overpaid", 3, None, 3), ("overpaid", 1, "mei", 1), (CaseKind.STUCK, 1, None, 1)],
)
def test_a_case_that_nobody_took_goes_up_a_level_each_time(kind, level, owner, after):
    assert level_after_follow_up(kind, level, owner=owner, levels=3) == after


def test_a_case_is_followed_up_in_time_and_not_in_the_past():
    refuse_bad_follow_up(NOON + FOLLOW_UP_MAX, now=NOON)
    for at in (NOON, NOON - FOLLOW_UP_MAX, NOON + FOLLOW_UP_MAX + timedelta(seconds=1)):
        with pytest.raises(BadFollowUp, match="in the next 90 days"):
            refuse_bad_follow_up(at, now=NOON)
