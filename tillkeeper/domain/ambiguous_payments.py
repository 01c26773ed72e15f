"""Places payments that events name with more than one order: all that is known of them is assigned anew.

order/ownership.py decides which order each event belongs to, from all events of the objects concerned, this batch
included.  Their facts are removed from all orders and built again where they belong, so that neither the order of
arrival nor the moment of a registration makes a difference.  Their cases move with them.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from tillkeeper.domain.batch import BatchItem, EventKey
from tillkeeper.domain.events import PaymentEvent
from tillkeeper.domain.order.case_kinds import CaseKind
from tillkeeper.domain.order.case_reasons import CaseReason
from tillkeeper.domain.order.cases import CaseKey, KnownCase
from tillkeeper.domain.order.facts import ObjectKey, OrderFacts, PaymentFacts, apply
from tillkeeper.domain.order.mismatch import mismatch_of
from tillkeeper.domain.order.ownership import Placed, Placement, place
from tillkeeper.domain.order.receiving import Outcome
from tillkeeper.domain.order.state import OrderState
from tillkeeper.domain.references import Reference

NAMED_ELSEWHERE: Final = "named_elsewhere"  # why an event waits although its object is known


class KeptEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event of the inbox."""

    event: PaymentEvent
    order_id: int | None
    outcome: str
    reason: str | None


class MovedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event of the inbox that belongs to another order now."""

    event: PaymentEvent
    order_id: int | None
    outcome: Outcome
    reason: str | None
    status_after: str | None


class AmbiguousPayments(msgspec.Struct, kw_only=True):
    """All that is known of some payments that several orders claim."""

    objects: set[Reference]
    kept: dict[EventKey, KeptEvent]
    items: list[BatchItem]
    order_ids: dict[str, int]  # by reference, of the orders concerned
    claims: dict[ObjectKey, str]
    bound: frozenset[ObjectKey] = frozenset()  # the claims that a person made

    @property
    def events(self) -> dict[EventKey, PaymentEvent]:
        """Returns each event once, as it was first received, as of the latest moment for which it was."""
        told = {key: row.event for key, row in self.kept.items()}
        for item in self.items:
            before = told.setdefault(item.key, item.event)
            if before.known_at < item.event.known_at:
                told[item.key] = msgspec.structs.replace(before, as_of=item.event.known_at)
        return told


class SettledPayments(msgspec.Struct, kw_only=True):
    """Where everything belongs."""

    facts: dict[int, OrderFacts] = msgspec.field(default_factory=dict)  # of the orders concerned, after placing anew
    moved: list[MovedEvent] = msgspec.field(default_factory=list)
    found: list[tuple[int | None, CaseReason]] = msgspec.field(default_factory=list)
    agreed: list[str] = msgspec.field(default_factory=list)  # the objects without a conflict by now
    names: list[tuple[str, str, str]] = msgspec.field(default_factory=list)  # (order reference, account, payment)


def place_ambiguous(ambiguous: AmbiguousPayments, orders: dict[int, OrderState]) -> SettledPayments:
    """Places all events anew, and marks the items.  Cases of the objects move to their present orders."""
    events = ambiguous.events
    placement = place(events.values(), registered=ambiguous.order_ids, claims=ambiguous.claims, bound=ambiguous.bound)
    facts = _facts_placed_anew(ambiguous, events, orders, placement)
    placed = {order_id: orders[order_id].with_facts(told) for order_id, told in facts.items()}
    settled = SettledPayments(facts=facts)
    for key, event in events.items():
        _settle_event(ambiguous, event, placement.events[key], orders | placed, settled)
    settled.found = [
        _conflict(ambiguous, events, subject, refs, placement) for subject, refs in placement.conflicts.items()
    ]
    subjects = {f"{kind}:{account}/{ref}" for kind, account, ref in ambiguous.objects}
    settled.agreed = sorted(subjects - placement.conflicts.keys())
    settled.names = [(ref, *key) for key, refs in placement.names.items() for ref in refs]
    _move_cases(orders, settled)
    return settled


def _facts_placed_anew(
    ambiguous: AmbiguousPayments,
    events: Mapping[EventKey, PaymentEvent],
    orders: Mapping[int, OrderState],
    placement: Placement,
) -> dict[int, OrderFacts]:
    """Removes the objects' facts from every order, and builds them again where they belong."""
    of_payments = {reference[1:] for reference in ambiguous.objects if reference[0] == "payment"}
    of_refunds = {reference[1:] for reference in ambiguous.objects if reference[0] == "refund"}
    of_disputes = {reference[1:] for reference in ambiguous.objects if reference[0] == "dispute"}
    made = {}
    for order_id in ambiguous.order_ids.values():
        facts = orders[order_id].facts
        made[order_id] = OrderFacts(
            payments={key: payment for key, payment in facts.payments.items() if key not in of_payments},
            refunds={key: refund for key, refund in facts.refunds.items() if key not in of_refunds},
            disputes={key: dispute for key, dispute in facts.disputes.items() if key not in of_disputes},
        )
    for key, order_ref in ambiguous.claims.items():
        order_id = ambiguous.order_ids[order_ref]
        payments = {**made[order_id].payments, key: PaymentFacts()}
        made[order_id] = msgspec.structs.replace(made[order_id], payments=payments)
    for event_key, event in events.items():
        placed = placement.events[event_key]
        if placed.order_ref is not None and not placed.contradicts:
            order_id = ambiguous.order_ids[placed.order_ref]
            made[order_id] = apply(made[order_id], event)
    return made


def _settle_event(
    ambiguous: AmbiguousPayments,
    event: PaymentEvent,
    placed: Placed,
    orders: Mapping[int, OrderState],
    settled: SettledPayments,
) -> None:
    key = (event.account, event.event_id)
    order_id = None if placed.order_ref is None else ambiguous.order_ids[placed.order_ref]
    outcome, reason = _outcome(event, order_id, orders, contradicts=placed.contradicts)
    kept, items = ambiguous.kept.get(key), [item for item in ambiguous.items if item.key == key]
    for item in items:
        item.placed, item.order_id, item.outcome, item.reason = True, order_id, outcome, reason
    if kept is not None and not any(item.waited for item in items) and _is_elsewhere(kept, order_id, reason):
        status = None if order_id is None else orders[order_id].summary.status
        settled.moved.append(
            MovedEvent(event=kept.event, order_id=order_id, outcome=outcome, reason=reason, status_after=status)
        )


def _outcome(
    event: PaymentEvent, order_id: int | None, orders: Mapping[int, OrderState], *, contradicts: bool
) -> tuple[Outcome, str | None]:
    if order_id is None:
        return Outcome.WAITING, NAMED_ELSEWHERE
    if contradicts:
        return Outcome.MISMATCHED, CaseKind.REFERENCE_CONFLICT
    mismatch = mismatch_of(orders[order_id].order, event)
    return (Outcome.APPLIED, None) if mismatch is None else (Outcome.MISMATCHED, mismatch)


def _is_elsewhere(kept: KeptEvent, order_id: int | None, reason: str | None) -> bool:
    told = {CaseKind.REFERENCE_CONFLICT, NAMED_ELSEWHERE}
    return kept.order_id != order_id or (kept.reason != reason and not told.isdisjoint({kept.reason, reason}))


def _conflict(
    ambiguous: AmbiguousPayments,
    events: Mapping[EventKey, PaymentEvent],
    subject: str,
    refs: tuple[str, ...],
    placement: Placement,
) -> tuple[int | None, CaseReason]:
    """Makes the case of a payment, at the order that it belongs to."""
    name, _, ref = subject.partition(":")
    homes = {
        placement.events[key].order_ref
        for key, event in events.items()
        if f"{event.account}/{getattr(event, name + '_ref')}" == ref
    }
    order_id = min((ambiguous.order_ids[home] for home in homes if home is not None), default=None)
    details: dict[str, object] = {"names_orders": list(refs), "counts_for": sorted(home for home in homes if home)}
    account, state = ref.partition("/")[0], " ".join(refs)
    return order_id, CaseReason(
        kind=CaseKind.REFERENCE_CONFLICT, subject=subject, state=state, account=account, details=details
    )


def _move_cases(orders: dict[int, OrderState], settled: SettledPayments) -> None:
    """Moves cases to the orders that have their objects now; in `orders`, for nothing is written yet."""
    homes = {reason.key: order_id for order_id, reason in settled.found if order_id is not None}
    objects = {subject: order_id for order_id, facts in settled.facts.items() for subject in _subjects_in(facts)}
    moving: dict[int, dict[CaseKey, KnownCase]] = {}
    for order_id, order in list(orders.items()):
        leaving = {
            key: case
            for key, case in order.cases.items()
            if homes.get(key, objects.get(case.subject, order_id)) != order_id
        }
        if leaving:
            staying = {key: case for key, case in order.cases.items() if key not in leaving}
            orders[order_id] = msgspec.structs.replace(order, cases=staying)
        for key, case in leaving.items():
            moving.setdefault(homes.get(key, objects.get(case.subject, order_id)), {})[key] = case
    for order_id, arriving in moving.items():
        order = orders[order_id]
        orders[order_id] = msgspec.structs.replace(order, cases={**order.cases, **arriving})


def _subjects_in(facts: OrderFacts) -> list[str]:
    named = (("payment", facts.payments), ("refund", facts.refunds), ("dispute", facts.disputes))
    return [f"{name}:{account}/{ref}" for name, objects in named for account, ref in objects]
