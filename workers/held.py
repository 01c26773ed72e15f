"""Orders that somebody holds: their events rest for a while, so that their neighbours' need not wait with them."""

from collections.abc import Callable, Iterable
from typing import Final

from tillkeeper.domain.delivery import Delivery
from tillkeeper.domain.references import Reference, references_of

REST_S: Final = 20.0  # then they are tried again, again and again: whoever holds an order lets go of it some day


class Held:
    """What could not be had of late, by reference.  Bounded by what one batch names, for each rests briefly."""

    def __init__(self, monotonic_s: Callable[[], float]) -> None:
        self._monotonic_s = monotonic_s
        self._until_s: dict[Reference, float] = {}

    def add(self, delivery: Delivery) -> None:
        """Its orders are held by another."""
        now_s = self._monotonic_s()
        self._until_s = {it: until_s for it, until_s in self._until_s.items() if until_s > now_s}
        self._until_s |= dict.fromkeys(_references(delivery), now_s + REST_S / 2)

    def holds(self, delivery: Delivery) -> bool:
        """Whether one of its orders was held a moment ago: another try would only wait for it once more."""
        if not self._until_s:
            return False
        now_s = self._monotonic_s()
        return any(self._until_s.get(it, now_s) > now_s for it in _references(delivery))


def _references(delivery: Delivery) -> Iterable[Reference]:
    return (reference for event in delivery.events for reference in references_of(event))
