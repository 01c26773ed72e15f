"""Applies events to an order: the outcome of each, and what follows from new facts.

events ─ in turn ─> facts ──┬─ nothing new ──> no change
                            ├─ new facts ───────> a new version; cases; queries about implied money
                            └─ status or a sum moved ──> a new phase with its own ladder; notices
"""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from tillkeeper.domain.events import PaymentEvent
from tillkeeper.domain.order.case_kinds import CaseKind
from tillkeeper.domain.order.case_reasons import CaseReason
from tillkeeper.domain.order.cases import SHOWN_BY_FACTS, SHOWN_WITHIN_A_PHASE
from tillkeeper.domain.order.changes import Act, ActKind, Changes
from tillkeeper.domain.order.closing import kept_after_closing
from tillkeeper.domain.order.facts import OrderFacts, apply
from tillkeeper.domain.order.implied_money import implied_money
from tillkeeper.domain.order.mismatch import Mismatch, mismatch_of
from tillkeeper.domain.order.notices import change_notices, failed_refund_notices, merchant_notice
from tillkeeper.domain.order.progress import Progress
from tillkeeper.domain.order.state import OrderState, earliest
from tillkeeper.domain.policy import Policy
from tillkeeper.domain.statuses import Status
from tillkeeper.domain.topics import MerchantTopic

MISMATCHES: Final = frozenset(map(str, Mismatch))


class Outcome(StrEnum):
    """The outcome of an event."""

    APPLIED = "applied"
    NO_CHANGE = "no_change"
    WAITING = "waiting"
    MISMATCHED = "mismatched"


class Arrival(msgspec.Struct, kw_only=True, gc=False):
    """An event at its order, with its outcome."""

    event: PaymentEvent
    placed: bool = False  # its outcome and its order's facts are settled already (ambiguous_payments.py)
    repeats: bool = False  # it repeats a known event, which is valid for this later moment
    outcome: Outcome | None = None
    reason: str | None = None
    status_after: Status | None = None


def receive(
    order: OrderState,
    arrivals: Iterable[Arrival],
    *,
    policy: Policy,
    now: datetime,
    placed_facts: OrderFacts | None = None,
    found: Iterable[CaseReason] = (),
) -> Changes:
    """Applies events to an order, and settles the outcome of each.

    `placed_facts` are its facts after payments of several orders were placed anew, and `found` are further reasons for
    cases that the batch found.
    """
    changes = Changes.of(order)
    if placed_facts is not None and placed_facts != order.facts:
        changes.after, changes.are_placed_anew = order.with_facts(placed_facts), True
    mismatched = [reason for arrival in arrivals if (reason := _settle(changes, arrival)) is not None]
    reasons = _follow(changes, policy, now) if changes.has_new_facts else []
    _update_cases(changes, [*found, *mismatched], reasons)
    return changes


def _settle(changes: Changes, arrival: Arrival) -> CaseReason | None:
    """Settles the arrival's outcome, and returns a reason for a case where it counts for nothing."""
    if not arrival.placed:
        facts = apply(changes.after.facts, arrival.event)
        is_new = facts is not changes.after.facts
        changes.after = changes.after.with_facts(facts)
        if arrival.repeats:
            return None
        mismatch = mismatch_of(changes.after.order, arrival.event)
        arrival.outcome, arrival.reason = Outcome.APPLIED if is_new else Outcome.NO_CHANGE, None
        if mismatch is not None:
            arrival.outcome, arrival.reason = Outcome.MISMATCHED, mismatch
    elif arrival.repeats:
        return None
    arrival.status_after = changes.after.summary.status
    return _mismatched(arrival.event, Mismatch(arrival.reason)) if arrival.reason in MISMATCHES else None


def _mismatched(event: PaymentEvent, mismatch: Mismatch) -> CaseReason:
    """Makes its case under the name that its object's facts would have.  A late event leaves no fact behind."""
    name, ref = ("dispute", event.dispute_ref) if event.kind.is_dispute else ("refund", event.refund_ref)
    if event.kind.is_payment or ref is None:
        name, ref = "payment", event.payment_ref
    return CaseReason(
        kind=CaseKind(mismatch),
        subject=f"{name}:{event.account}/{ref}",
        account=event.account,
        details={} if event.currency is None else {"currencies": [event.currency]},
    )


def _follow(changes: Changes, policy: Policy, now: datetime) -> list[CaseReason]:
    """Does what follows from new facts, and returns the reasons for cases that they are."""
    reasons = [*changes.after.case_reasons()]
    has_moved = changes.has_moved
    if has_moved:
        reasons += _after_closing(changes, policy, now)
        _begin_phase(changes, policy, now)
        changes.notices += (*change_notices(changes.before, changes.after),)
    elif changes.after.charged_back != changes.before.charged_back:
        changes.notices += (merchant_notice(changes.before, changes.after, MerchantTopic.AMOUNTS_CHANGED),)
    _ask_for_implied(changes, now)
    changes.notices += (*failed_refund_notices(changes.before, changes.after, reasons),)
    if not has_moved:
        changes.set(version=changes.before.version + 1)
    return reasons


def _begin_phase(changes: Changes, policy: Policy, now: datetime) -> None:
    """Starts the ladder of the present status."""
    version, order = changes.before.version + 1, changes.after
    changes.set(
        version=version,
        phase=version,
        phase_since=now,
        progress=Progress(),
        due_at=order.first_due_of_phase(policy, now=now),
    )


def _ask_for_implied(changes: Changes, now: datetime) -> None:
    """Requests queries at once about money that the facts newly imply."""
    order, before = changes.after, changes.before
    implies = implied_money(order.order, order.facts)
    if implies and not set(implies) <= set(implied_money(before.order, before.facts)):
        changes.set(ask_at=earliest(order.ask_at, now), due_at=earliest(order.due_at, now))


def _after_closing(changes: Changes, policy: Policy, now: datetime) -> list[CaseReason]:
    """Reopens an order that was paid after it was closed, or returns the reason for a case, as the policy says."""
    order = changes.after
    if order.closed_at is None or order.summary.captured <= changes.before.stored.captured:
        return []
    if policy.after_close == "case":
        return kept_after_closing(order)
    changes.set(closed_at=None)
    note = "a payment came in after it was closed"
    changes.acts += (Act(what=ActKind.REOPEN, by="policy", note=note, at=now),)
    changes.notices += (merchant_notice(changes.before, changes.after, MerchantTopic.REOPENED),)
    return []


def _update_cases(changes: Changes, found: list[CaseReason], reasons: list[CaseReason]) -> None:
    """Opens and closes cases by the present reasons."""
    order, cases = changes.after, changes.before.cases
    has_moved_here = bool(cases) and any(case.order_id != order.id for case in cases.values())
    if not (found or reasons or (cases and (changes.has_new_facts or has_moved_here))):
        return
    still = [*(reasons if changes.has_new_facts else order.case_reasons()), *kept_after_closing(order)]
    shown = {reason.key for reason in still} if changes.has_new_facts else set()
    passing = [reason for reason in found if reason.kind in MISMATCHES and reason.key not in shown]
    changes.open_cases(*passing, again=False)
    changes.open_cases(*(reason for reason in found if reason not in passing), *reasons)
    if passing or changes.has_new_facts or has_moved_here:
        changes.cases.close(cases, still, SHOWN_BY_FACTS if changes.has_moved else SHOWN_WITHIN_A_PHASE)
    if order.summary.status is Status.PAID and CaseKind.CLAIMED_PAID in order.open_case_kinds:
        changes.cases.close(cases, (), kinds=(CaseKind.CLAIMED_PAID,))  # what the customer said is so
