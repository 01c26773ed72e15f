"""Remembers orders that another transaction has locked, so that other orders' events need not wait with theirs."""

from collections.abc import Callable, Iterable
from typing import Final

from tillkeeper.domain.delivery import Delivery
from tillkeeper.domain.references import Reference, references_of

REST_S: Final = 20.0  # then they are tried again, as often as it takes: every lock is released some day


class LockedOrders:
    """The references whose orders were locked lately.  Bounded by what a batch names, for each is kept briefly."""

    def __init__(self, monotonic_s: Callable[[], float]) -> None:
        self._monotonic_s = monotonic_s
        self._until_s: dict[Reference, float] = {}

    def add(self, delivery: Delivery) -> None:
        """Notes that the delivery's orders are locked."""
        now_s = self._monotonic_s()
        self._until_s = {reference: until_s for reference, until_s in self._until_s.items() if until_s > now_s}
        self._until_s |= dict.fromkeys(_references(delivery), now_s + REST_S / 2)

    def contains(self, delivery: Delivery) -> bool:
        """Returns whether one of the delivery's orders was locked a moment ago: another try would only wait again."""
        if not self._until_s:
            return False
        now_s = self._monotonic_s()
        return any(self._until_s.get(reference, now_s) > now_s for reference in _references(delivery))


def _references(delivery: Delivery) -> Iterable[Reference]:
    return (reference for event in delivery.events for reference in references_of(event))
