"""Tells types of events that are of no interest from those that nobody here has heard of.

Both are answered with success and change nothing; the unknown ones are noted, for a gateway may have begun to say
something about money in them.
"""

import msgspec

from tillkeeper.gateways.kit.unknown_words import unknown_word


class IgnoredTypes(msgspec.Struct, frozen=True, kw_only=True):
    """The documented types that move no order's money: whole names, and beginnings of names."""

    field: str  # which holds the type, as it is shown to people
    names: frozenset[str] = frozenset()
    families: tuple[str, ...] = ()

    def note(self, event_type: str) -> None:
        """Notes a type that is not documented as of no interest."""
        if event_type not in self.names and not event_type.startswith(self.families):
            unknown_word(self.field, event_type)
