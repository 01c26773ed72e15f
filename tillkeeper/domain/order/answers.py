"""Settles a step after its queries, once the answers' events are applied.

    an answer, whatever it says ──────────> the step is done; an expired order without known money closes
    no answer ────────────────────────────> the query is repeated, with growing pauses
    no account can be queried ────────────> the step is done; an expired order is due again after a pause
    an answer that the database refuses ──> a case, and the query is repeated

An order that moved meanwhile is in another phase, and one whose lease expired belongs to another sweeper: of those only
the step's result is written, and that a requested query is done.
"""

from datetime import datetime, timedelta
from typing import Final

import msgspec

from tillkeeper.domain.backoff import ORDER_QUERY
from tillkeeper.domain.ladder import Action
from tillkeeper.domain.order.advancing import next_look
from tillkeeper.domain.order.case_kinds import CaseKind
from tillkeeper.domain.order.case_reasons import CaseReason
from tillkeeper.domain.order.changes import Changes, DueQuery
from tillkeeper.domain.order.closing import close_or_doubt, may_close_by_itself
from tillkeeper.domain.order.progress import CANNOT_ASK, StepTaken
from tillkeeper.domain.order.state import OrderState
from tillkeeper.domain.policy import Policy

PAUSED: Final = "no answer: account_paused"
UNASKABLE_REST: Final = timedelta(hours=24)  # then an expired order is due again: credentials may have been added


class QueryOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a step's queries."""

    query: DueQuery
    result: str
    answered: bool  # every query had an answer that could be applied
    unapplied: tuple[str, ...] = ()  # kinds of events that could not be applied applied
    unaskable: frozenset[str] = frozenset()  # accounts

    def retry_at(self, now: datetime) -> datetime | None:
        """Returns when it is put again."""
        if self.answered:
            return None
        if self.result == CANNOT_ASK:
            return now + UNASKABLE_REST if self.query.step.action is Action.CLOSE else None
        return now + ORDER_QUERY.pause(self.query.tries)


def settle(order: OrderState, outcome: QueryOutcome, *, policy: Policy, now: datetime) -> Changes:
    """Settles a step with the outcome of its queries.

    One that ends while an account of the order is paused has no answer: nothing is concluded from it.
    """
    if order.is_paused:
        outcome = msgspec.structs.replace(outcome, result=PAUSED, answered=False, unapplied=(), unaskable=frozenset())
    changes, query = Changes.of(order), outcome.query
    is_ours = order.due_at == query.leased_until
    was_wanted = order.ask_at == query.leased_until
    is_its_phase = order.phase == query.order.phase
    _write_result(changes, outcome, is_its_phase=is_its_phase, now=now)
    _update_unapplied_case(changes, outcome)
    if was_wanted:
        changes.set(ask_at=None if outcome.result == CANNOT_ASK else outcome.retry_at(now))
    is_closing = query.step.action is Action.CLOSE and may_close_by_itself(order) and not order.is_paused
    if is_ours and is_its_phase and is_closing:
        close_or_doubt(changes, outcome.result, answered=outcome.answered, unaskable=outcome.unaskable, now=now)
    if not changes.has_closed and ((is_ours and is_its_phase) or was_wanted):
        changes.set(due_at=next_look(changes.after, policy, now) if is_ours else order.due_at)
    return changes


def _write_result(changes: Changes, outcome: QueryOutcome, *, is_its_phase: bool, now: datetime) -> None:
    query = outcome.query
    taken = StepTaken(
        phase=query.order.phase,
        step=query.step,
        taken_at=query.taken_at,
        tries=query.tries,
        retry_at=outcome.retry_at(now),
        result=outcome.result,
    )
    changes.results += (taken,)
    if is_its_phase:
        changes.set(progress=changes.after.progress.with_taken(taken))


def _update_unapplied_case(changes: Changes, outcome: QueryOutcome) -> None:
    """Opens a case for an answer that the database refuses, and closes it once an answer can be applied."""
    if outcome.unapplied:
        # The answer itself may hold what the database refuses; the kinds of its events do not.
        details: dict[str, object] = {"answers": list(outcome.unapplied)}
        state = " ".join(sorted(set(outcome.unapplied)))
        subject = f"order:{changes.before.order.order_ref}"
        changes.open_cases(CaseReason(kind=CaseKind.ANSWER_NOT_APPLIED, subject=subject, state=state, details=details))
    if outcome.answered and CaseKind.ANSWER_NOT_APPLIED in changes.before.open_case_kinds:
        changes.cases.close(changes.before.cases, (), kinds=(CaseKind.ANSWER_NOT_APPLIED,))
