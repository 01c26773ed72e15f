"""Keeps what was made of what is shown live, so that all who look at it in one language and role share it."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Made = TypeVar("Made")


class Rendered(Generic[Made]):
    """What was made of one state, by what it depends on besides; of the state before nothing is kept."""

    def __init__(self) -> None:
        self._state: Hashable = None
        self._made: dict[Hashable, Made] = {}

    def once(self, state: Hashable, reader: Hashable, make: Callable[[], Made]) -> Made:
        """Returns what was made of this state for such a reader, and makes it where it was not yet."""
        if state != self._state:
            self._state, self._made = state, {}
        if reader not in self._made:
            self._made[reader] = make()
        return self._made[reader]
