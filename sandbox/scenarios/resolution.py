"""Finds when and by which evidence each order became right, from its whole history and by the pure rules."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from tillkeeper.domain.events import Evidence
from tillkeeper.domain.order.facts import OrderFacts, apply
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.status import summarize
from tillkeeper.sandbox.ledger.payments import PaymentState
from tillkeeper.sandbox.simulators.registry import simulator_of
from tillkeeper.sandbox.story import Story
from tillkeeper.store.reports.overview import OrderStanding
from tillkeeper.store.reports.recorded import PastEvent


class Resolution(msgspec.Struct, frozen=True, kw_only=True):
    """How one order came to its truth.  `by` is None where it never did, or where there was nothing to find out."""

    order_ref: str
    decided_at: datetime  # at the gateway
    found_at: datetime | None
    by: Evidence | None

    @property
    def after(self) -> timedelta | None:
        """How long the truth was known to the gateway alone; None: for good."""
        if self.found_at is None:
            return None
        return max(timedelta(0), self.found_at - self.decided_at)


class Resolutions(msgspec.Struct, frozen=True, kw_only=True):
    """Of all orders of which there was something to find out."""

    found: tuple[Resolution, ...]

    @property
    def never(self) -> int:
        """Orders that never came to their truth."""
        return sum(resolution.found_at is None for resolution in self.found)

    def by(self) -> dict[str, int]:
        """Returns how many were resolved by which evidence."""
        counts = Counter(resolution.by for resolution in self.found if resolution.by is not None)
        return {evidence.value: counts[evidence] for evidence in Evidence}

    def after_s(self, share: float) -> float | None:
        """Returns the time within which this share of the orders came to their truth, in seconds; None: it never
        did."""
        if not self.found:
            return None
        ranked = sorted(
            resolution.after.total_seconds() if resolution.after is not None else float("inf")
            for resolution in self.found
        )
        at = ranked[min(len(ranked) - 1, int(len(ranked) * share))]
        return None if at == float("inf") else at


def resolutions(stories: Iterable[Story], gateways: Mapping[str, str], histories: Sequence[PastEvent]) -> Resolutions:
    """Every order's way to its truth."""
    of_order = defaultdict[str, list[PastEvent]](list)
    for recorded in histories:
        of_order[recorded.order_ref].append(recorded)
    found = (_find(story, gateways[story.account], of_order[story.order_ref]) for story in stories)
    return Resolutions(found=tuple(resolution for resolution in found if resolution is not None))


def decided_at(story: Story, gateway: str) -> datetime | None:
    """Returns when the gateway wrote the last word into its books that changed anything for an order."""
    states, nothing = simulator_of(gateway).event_types, (None, PaymentState.CREATED)
    times = [event.at for event in story.events if states.get(event.event_type) not in nothing]
    return max(times, default=None)


def _find(story: Story, gateway: str, history: Sequence[PastEvent]) -> Resolution | None:
    at = decided_at(story, gateway)
    if at is None:
        return None
    order = Order(
        order_ref=story.order_ref,
        amount=story.amount,
        currency=story.due_currency,
        accounts=frozenset({story.due_at}),
    )
    facts, resolving = OrderFacts(), None
    for recorded in history:
        facts = apply(facts, recorded.event)
        if not is_true(story, summarize_standing(order, facts)):
            resolving = None
        elif resolving is None:
            resolving = recorded
    return Resolution(
        order_ref=story.order_ref,
        decided_at=at,
        found_at=resolving.received_at if resolving else None,
        by=resolving.event.evidence if resolving else None,
    )


def summarize_standing(order: Order, facts: OrderFacts) -> OrderStanding:
    """Returns how the order stands by these facts."""
    summary = summarize(order, facts)
    return OrderStanding(status=summary.status, paid=summary.captured, refunded=summary.refunded)


def is_true(story: Story, standing: OrderStanding | None) -> bool:
    """Returns whether an order stands as its story ends."""
    truth = story.expected
    return standing == OrderStanding(status=truth.status, paid=truth.paid, refunded=truth.refunded)
