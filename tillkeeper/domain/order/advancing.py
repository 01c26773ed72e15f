"""Advances an order as time passes: takes the due steps of its ladder, up to the first query.

    on hold ───────────> due when the hold ends
    account paused ────> due in a while: nothing is asked, told or closed until a person has looked (domain/guard.py)
    query requested ───> its gateways are queried, whatever the ladder says
    a step is due ─────> taken: a query, a notice, a case that opens, or one that goes up a level
    a query to repeat ─> it is made again
    nothing is due ────> the moment at which something will be

Each step of a phase is taken once: it is committed before its query or notice leaves, and a step that was taken is not
due any more.  So however many sweepers run and die, no notice is sent twice.
"""

from datetime import datetime, timedelta
from typing import Final

import msgspec

from tillkeeper.domain.ladder import Action, Done, Due, Step, Wait, next_step
from tillkeeper.domain.order import reminders
from tillkeeper.domain.order.case_kinds import CaseKind
from tillkeeper.domain.order.case_reasons import CaseReason
from tillkeeper.domain.order.changes import Changes, DueQuery
from tillkeeper.domain.order.progress import StepTaken
from tillkeeper.domain.order.state import OrderState, earliest
from tillkeeper.domain.policy import Policy

PAUSED_REST: Final = timedelta(minutes=10)  # a shop may have tens of thousands of them
STEPS_MAX: Final = 20  # of one order in one pass; each of the six actions is taken once at most


def advance(order: OrderState, *, policy: Policy, lease: timedelta, now: datetime) -> Changes:
    """Takes the due steps, up to the first query, and sets when the order is due next.

    Should the sweeper that makes the query die, the order is due again after `lease`.
    """
    changes = Changes.of(order)
    if order.is_held(now):
        changes.set(due_at=order.held_until)
    elif order.is_paused:
        changes.set(due_at=now + PAUSED_REST)
    elif order.ask_at is not None and order.ask_at <= now:
        _ask_as_wanted(changes, order.ask_at, lease, now)
    else:
        _take_steps(changes, policy, lease, now)
    return changes


def _take_steps(changes: Changes, policy: Policy, lease: timedelta, now: datetime) -> None:
    for _ in range(STEPS_MAX):
        order = changes.after
        match next_step(order.ladder(policy), order.present_phase(), now):
            case Due(step=step) if step.action in (Action.QUERY, Action.CLOSE):
                return _ask(changes, step, lease, now)
            case Due(step=step) if (first := reminders.needed_first(order, step)) == "ask":
                return _ask(changes, Step(action=Action.QUERY, at=step.at), lease, now)
            case Due(step=step) if first == "wait":
                changes.set(progress=order.progress.with_last(step))  # in this pass alone
            case Due(step=step):
                _take(changes, step, policy, now)
            case decision:
                retry = order.progress.retry
                if retry is not None and retry.at <= now:
                    return _ask(changes, retry.step, lease, now, tries=retry.tries + 1)
                return changes.set(due_at=_next_look(order, decision))
    raise AssertionError(f"the ladder of order {order.id} does not end")


def next_look(order: OrderState, policy: Policy, now: datetime) -> datetime | None:
    """Returns when to look at it next: now, where a step is due."""
    decision = next_step(order.ladder(policy), order.present_phase(), now)
    return now if isinstance(decision, Due) else _next_look(order, decision)


def _next_look(order: OrderState, decision: Wait | Done) -> datetime | None:
    until = decision.until if isinstance(decision, Wait) else None
    return earliest(until, order.progress.retry_at, order.ask_at)


def _ask(changes: Changes, step: Step, lease: timedelta, now: datetime, *, tries: int = 1) -> None:
    leased_until = now + lease
    _write(changes, step, now, tries=tries, retry_at=leased_until)
    changes.set(due_at=leased_until)
    changes.query = DueQuery(order=changes.after, step=step, tries=tries, taken_at=now, leased_until=leased_until)


def _ask_as_wanted(changes: Changes, at: datetime, lease: timedelta, now: datetime) -> None:
    """Makes a requested query; the request stands until it is answered, whatever moves the order meanwhile."""
    retry = changes.after.progress.retry
    changes.set(ask_at=now + lease)
    if retry is not None and retry.at <= now:
        _ask(changes, retry.step, lease, now, tries=retry.tries + 1)
    else:
        _ask(changes, Step(action=Action.QUERY, at=at), lease, now)


def _take(changes: Changes, step: Step, policy: Policy, now: datetime) -> None:
    """Takes a step without a query, with its effect."""
    _write(changes, step, now, result="done")
    order = changes.after
    match step.action:
        case Action.GRACE:
            changes.notices += (*reminders.failure_notices(order),)
        case Action.REMIND:
            changes.notices += (*reminders.reminder_notices(order, step),)
        case Action.CASE:
            changes.open_cases(stuck(order))
        case Action.ESCALATE:
            level = min(policy.cases.levels, step.level + 1)
            changes.cases.escalate(order.cases, (CaseKind.STUCK, phase_subject(order)), level=level)
        case _:
            raise AssertionError("a query is made outside of the transaction")


def _write(
    changes: Changes,
    step: Step,
    now: datetime,
    *,
    tries: int = 1,
    retry_at: datetime | None = None,
    result: str | None = None,
) -> None:
    order = changes.after
    taken = StepTaken(phase=order.phase, step=step, taken_at=now, tries=tries, retry_at=retry_at, result=result)
    changes.steps += (taken,)
    changes.after = msgspec.structs.replace(order, progress=order.progress.with_taken(taken))


def phase_subject(order: OrderState) -> str:
    """Names the case of a phase."""
    return f"order:{order.order.order_ref}/phase:{order.phase}"


def stuck(order: OrderState) -> CaseReason:
    """Makes the case that a ladder opens for it."""
    summary = order.summary
    return CaseReason(
        kind=CaseKind.STUCK,
        subject=phase_subject(order),
        details={
            "status": summary.status,
            "since": order.phase_since.isoformat(),
            "amount": order.order.amount,
            "paid": summary.captured,
            "refunding": summary.refunding,
            "currency": order.order.currency,
        },
    )


def what_comes_next(order: OrderState, *, policy: Policy, now: datetime) -> tuple[str, datetime] | None:
    """Returns what the sweep does next, and when, or None where it never looks again."""
    if order.held_until is not None and order.is_held(now):
        return "hold ends", order.held_until
    coming = [] if order.ask_at is None else [("asked for", order.ask_at)]
    if order.progress.retry is not None:
        coming.append((f"{order.progress.retry.step.action} again", order.progress.retry.at))
    ladder, phase = order.ladder(policy), order.present_phase()
    decision = next_step(ladder, phase, now)
    if isinstance(decision, Wait):
        decision = next_step(ladder, phase, decision.until)
    if isinstance(decision, Due):
        coming.append((str(decision.step.action), decision.step.at))
    return min(coming, key=lambda what: what[1], default=None)
