"""A stuck order's ladder, climbed under a clock that steps as it likes."""

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pure.domain.factories import an_event, an_order
from tests.pure.domain.strategies import NOON
from tillkeeper.domain.events import Kind
from tillkeeper.domain.ladder import (
    RANK,
    Action,
    ActionSteps,
    Anchor,
    Done,
    Due,
    Ladder,
    Phase,
    Step,
    StepTime,
    Wait,
    first_due,
    next_step,
)
from tillkeeper.domain.order.facts import OrderFacts, apply
from tillkeeper.domain.policy import AccountPolicy, Policy
from tillkeeper.domain.statuses import Status

MINUTE = timedelta(minutes=1)
HORIZON = 300  # minutes; the last moment that can be made up is at 240

# --- what hypothesis makes up: whole minutes, few enough that moments of several actions and anchors meet -------------


def minutes(least: int, most: int):
    return st.integers(least, most).map(lambda count: count * MINUTE)


after_the_beginning = st.builds(StepTime, offset=minutes(0, 120))
about_a_date = st.builds(StepTime, offset=minutes(-120, 120), anchor=st.sampled_from([Anchor.EXPIRY, Anchor.DUE]))
steps = st.lists(after_the_beginning | about_a_date, max_size=5).map(tuple)
ladders = st.lists(
    st.builds(ActionSteps, action=st.sampled_from(Action), times=steps, every=st.none() | minutes(1, 40)),
    max_size=len(Action),
    unique_by=lambda steps: steps.action,
).map(lambda actions: Ladder(actions=tuple(actions)))
dates = st.none() | minutes(-60, 120).map(lambda after: NOON + after)
spells = st.builds(Phase, began_at=st.just(NOON), expires_at=dates, next_due_at=dates)
# Looks a minute apart, hours apart, and several at one moment.
clocks = st.lists(minutes(0, 3) | minutes(0, 90), min_size=1, max_size=40)


class Taken(msgspec.Struct, frozen=True):
    """A step, and when it was taken."""

    step: Step
    now: datetime


def looks_of(gaps: Iterable[timedelta]) -> list[datetime]:
    now, looks = NOON, []
    for gap in gaps:
        now += gap
        looks.append(now)
    return looks


EACH_MINUTE = looks_of([timedelta(), *[MINUTE] * HORIZON])


def climb_at(ladder: Ladder, phase: Phase, looks: Iterable[datetime]) -> list[Taken]:
    """What a sweep takes that looks at these moments, and at each goes on until nothing is due."""
    taken: list[Taken] = []
    for now in looks:
        while isinstance(decision := next_step(ladder, phase, now), Due):
            taken.append(Taken(decision.step, now))
            phase = having_climbed(phase, decision.step)
    return taken


def having_climbed(phase: Phase, step: Step) -> Phase:
    return msgspec.structs.replace(phase, last_steps={**phase.last_steps, step.action: step.at})


def moments_by_definition(steps: ActionSteps, phase: Phase) -> list[datetime]:
    """All moments of an action until the horizon, earliest first, out of what the policy's page says of them."""
    origins = {Anchor.START: phase.began_at, Anchor.EXPIRY: phase.expires_at, Anchor.DUE: phase.next_due_at}
    told = [(step, origins[step.anchor] + step.offset) for step in steps.times if origins[step.anchor]]
    if steps.action is Action.REMIND:  # of a date: not before the wait began, nor in its first ten minutes
        told = [(step, at) for step, at in told if step.anchor is Anchor.START or at >= phase.began_at + 10 * MINUTE]
    moments = sorted({at for _, at in told})
    if steps.every and moments:
        while moments[-1] < EACH_MINUTE[-1]:
            moments.append(moments[-1] + steps.every)
    return [at for at in moments if at <= EACH_MINUTE[-1]]


def of_action(taken: list[Taken], action: Action) -> list[Taken]:
    return [each for each in taken if each.step.action is action]


# --- climbing ---------------------------------------------------------------------------------------------------------


@given(ladders, spells, clocks)
def test_each_step_is_taken_once_at_most_and_never_after_a_later_one(ladder, phase, gaps):
    taken = climb_at(ladder, phase, looks_of(gaps))
    for action in Action:
        moments = [each.step.at for each in of_action(taken, action)]
        assert moments == sorted(set(moments))


@given(ladders, spells, clocks)
def test_no_step_is_taken_before_its_moment_or_at_one_that_the_ladder_does_not_have(ladder, phase, gaps):
    by_action = {steps.action: moments_by_definition(steps, phase) for steps in ladder.actions}
    for each in climb_at(ladder, phase, [at for at in looks_of(gaps) if at <= EACH_MINUTE[-1]]):
        assert each.step.at <= each.now
        assert each.step.at in by_action[each.step.action]


@given(ladders, spells, clocks)
def test_of_each_action_only_the_latest_missed_step_is_taken(ladder, phase, gaps):
    by_action = {steps.action: moments_by_definition(steps, phase) for steps in ladder.actions}
    for each in climb_at(ladder, phase, [at for at in looks_of(gaps) if at <= EACH_MINUTE[-1]]):
        assert each.step.at == max(at for at in by_action[each.step.action] if at <= each.now)


@given(ladders, spells, clocks)
def test_at_one_look_asking_comes_first_and_closing_last(ladder, phase, gaps):
    taken = climb_at(ladder, phase, looks_of(gaps))
    for now in {each.now for each in taken}:
        # A gap of nothing looks twice at one moment; the second finds nothing more.
        ranks = [RANK[each.step.action] for each in taken if each.now == now]
        assert ranks == sorted(set(ranks))


@given(ladders, spells)
def test_a_sweep_that_never_rests_takes_every_step_at_its_moment(ladder, phase):
    taken = climb_at(ladder, phase, EACH_MINUTE)
    for steps in ladder.actions:
        moments = moments_by_definition(steps, phase)
        already = [at for at in moments if at <= phase.began_at][-1:]
        expected = [(at, NOON) for at in already] + [(at, at) for at in moments if at > phase.began_at]
        assert [(each.step.at, each.now) for each in of_action(taken, steps.action)] == expected


@given(ladders, spells, clocks)
def test_a_sweep_that_looks_when_it_is_told_to_takes_what_one_that_never_rests_takes(ladder, phase, gaps):
    looks, now = [], NOON
    last_steps = phase
    while now is not None and now <= EACH_MINUTE[-1]:
        looks.append(now)
        while isinstance(decision := next_step(ladder, last_steps, now), Due):
            last_steps = having_climbed(last_steps, decision.step)
        now = first_due(ladder, last_steps, now)
    assert climb_at(ladder, phase, looks) == climb_at(ladder, phase, EACH_MINUTE)


@given(ladders, spells, clocks)
def test_waiting_ends_exactly_when_something_becomes_due(ladder, phase, gaps):
    for now in looks_of(gaps):
        while isinstance(decision := next_step(ladder, phase, now), Due):
            phase = having_climbed(phase, decision.step)
        if isinstance(decision, Wait):
            assert decision.until > now
            assert next_step(ladder, phase, decision.until - timedelta(microseconds=1)) == decision
            assert isinstance(next_step(ladder, phase, decision.until), Due)


@given(ladders, spells, clocks, st.integers(0, 10**5))
def test_done_is_done_for_good(ladder, phase, gaps, later):
    for now in looks_of(gaps):
        while isinstance(decision := next_step(ladder, phase, now), Due):
            phase = having_climbed(phase, decision.step)
        if isinstance(decision, Done):
            assert next_step(ladder, phase, now + later * MINUTE) == Done()


@given(ladders, spells, clocks)
def test_the_first_due_moment_is_now_or_the_end_of_waiting_or_never(ladder, phase, gaps):
    for now in looks_of(gaps):
        match next_step(ladder, phase, now):
            case Due():
                assert first_due(ladder, phase, now) == now
            case Wait(until=until):
                assert first_due(ladder, phase, now) == until
            case Done():
                assert first_due(ladder, phase, now) is None


@given(ladders, spells, st.lists(minutes(-60, 90), max_size=40))
def test_a_clock_that_is_set_back_repeats_nothing(ladder, phase, gaps):
    taken = climb_at(ladder, phase, looks_of(gaps))
    for action in Action:
        moments = [each.step.at for each in of_action(taken, action)]
        assert moments == sorted(set(moments))


@given(st.sets(st.integers(0, 120), min_size=1, max_size=5), st.integers(1, 40), st.integers(0, 10**6))
def test_every_goes_on_without_an_end(firsts, every, later):
    steps = ActionSteps(
        action=Action.QUERY,
        times=tuple(StepTime(offset=first * MINUTE) for first in sorted(firsts)),
        every=every * MINUTE,
    )
    phase, now = Phase(began_at=NOON), NOON + max(firsts) * MINUTE + later * MINUTE
    decision = next_step(Ladder(actions=(steps,)), phase, now)
    assert isinstance(decision, Due)
    assert decision.step.at == NOON + (max(firsts) + later // every * every) * MINUTE
    resting = next_step(Ladder(actions=(steps,)), having_climbed(phase, decision.step), now)
    assert resting == Wait(until=decision.step.at + every * MINUTE)


# --- what a moment counts from ----------------------------------------------------------------------------------------


def a_ladder(**texts: list[tuple[int, Anchor]]) -> Ladder:
    return Ladder(
        actions=tuple(
            ActionSteps(
                action=Action(name),
                times=tuple(StepTime(offset=offset * MINUTE, anchor=anchor) for offset, anchor in moments),
            )
            for name, moments in texts.items()
        )
    )


def test_moments_about_a_date_that_an_order_does_not_have_do_not_come():
    ladder = a_ladder(close=[(10, Anchor.EXPIRY)], remind=[(0, Anchor.DUE)])
    assert next_step(ladder, Phase(began_at=NOON), NOON + timedelta(days=400)) == Done()


def test_a_reminder_from_before_the_wait_is_left_out_for_the_payer_is_at_the_checkout():
    ladder = a_ladder(remind=[(-60, Anchor.EXPIRY), (-10, Anchor.EXPIRY)])
    phase = Phase(began_at=NOON, expires_at=NOON + 30 * MINUTE)
    assert next_step(ladder, phase, NOON) == Wait(until=NOON + 20 * MINUTE)


@pytest.mark.parametrize(("lives", "reminded"), [(60, False), (69, False), (70, True)])
def test_who_came_just_now_is_not_reminded_of_a_date(lives, reminded):
    ladder = a_ladder(remind=[(-60, Anchor.EXPIRY)])
    phase = Phase(began_at=NOON - timedelta(seconds=1), expires_at=NOON + lives * MINUTE)
    assert [each.step.at for each in climb_at(ladder, phase, EACH_MINUTE)] == [NOON + (lives - 60) * MINUTE] * reminded


def test_a_reminder_that_counts_from_the_beginning_comes_when_the_policy_says():
    ladder = a_ladder(remind=[(2, Anchor.START)])
    assert [each.step.at for each in climb_at(ladder, Phase(began_at=NOON), EACH_MINUTE)] == [NOON + 2 * MINUTE]


@pytest.mark.parametrize("action", [each for each in Action if each is not Action.REMIND])
def test_whatever_else_was_due_before_the_wait_began_is_made_good_at_once(action):
    """An order that fails after it expired must still be closed, one that is overdue already still be looked at."""
    ladder = a_ladder(**{action: [(10, Anchor.EXPIRY)]})
    decision = next_step(ladder, Phase(began_at=NOON, expires_at=NOON - 60 * MINUTE), NOON)
    assert decision == Due(step=Step(action=action, at=NOON - 50 * MINUTE))


def test_escalations_are_numbered_by_their_moments_even_if_some_were_missed():
    ladder = a_ladder(escalate=[(10, Anchor.START), (20, Anchor.START), (30, Anchor.START)])
    levels = [each.step.level for each in climb_at(ladder, Phase(began_at=NOON), EACH_MINUTE)]
    assert levels == [1, 2, 3]
    one_moment = a_ladder(escalate=[(10, Anchor.EXPIRY), (10, Anchor.DUE)])
    [taken] = climb_at(one_moment, Phase(began_at=NOON, expires_at=NOON, next_due_at=NOON), EACH_MINUTE)
    assert taken.step.level == 1
    decision = next_step(ladder, Phase(began_at=NOON), NOON + 25 * MINUTE)
    assert decision == Due(step=Step(action=Action.ESCALATE, at=NOON + 20 * MINUTE, level=2))


# --- whose ladder it is -----------------------------------------------------------------------------------------------

GENERAL, AT_ACCOUNT, BY_METHOD = (a_ladder(query=[(each, Anchor.START)]) for each in (1, 2, 3))
POLICY = Policy(
    ladders={Status.PROCESSING: GENERAL, Status.FAILED: GENERAL},
    accounts={
        "stripe-main": AccountPolicy(
            ladders={Status.PROCESSING: AT_ACCOUNT}, methods={"sepa_debit": {Status.PROCESSING: BY_METHOD}}
        ),
    },
)


@pytest.mark.parametrize(
    ("status", "account", "method", "ladder"),
    [
        (Status.PROCESSING, None, None, GENERAL),
        (Status.PROCESSING, "alipay-main", "sepa_debit", GENERAL),
        (Status.PROCESSING, "stripe-main", None, AT_ACCOUNT),
        (Status.PROCESSING, "stripe-main", "card", AT_ACCOUNT),
        (Status.PROCESSING, "stripe-main", "sepa_debit", BY_METHOD),
        (Status.FAILED, "stripe-main", "sepa_debit", GENERAL),
        (Status.PAID, "stripe-main", "sepa_debit", Ladder()),
    ],
)
def test_the_nearest_ladder_counts(status, account, method, ladder):
    assert POLICY.ladder(status, account, method) == ladder


def test_an_order_has_the_ladder_of_the_account_that_it_is_paid_through():
    pending = an_event(Kind.PAYMENT_PENDING, account="stripe-main", order_ref="A1", amount=100, currency="CNY")
    assert an_order(facts=apply(OrderFacts(), pending)).ladder(POLICY) == AT_ACCOUNT
