"""Defines a line of what `tillkeeper check` found."""

from enum import StrEnum

import msgspec


class State(StrEnum):
    """How something stands."""

    OK = "ok"
    OFF = "off"  # not configured, or not looked at: a choice, and no fault
    TO_DO = "to do"  # something is left to do
    WRONG = "wrong"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """How one thing stands, and what to do about it."""

    what: str
    state: State
    says: str
    do: str = ""

    @property
    def is_ready(self) -> bool:
        """Returns True if nothing is left to do about it."""
        return self.state in {State.OK, State.OFF}


def ok(what: str, says: str) -> Finding:
    """Returns a line that all is well."""
    return Finding(what=what, state=State.OK, says=says)


def off(what: str, says: str, do: str = "") -> Finding:
    """Returns a line about what is not configured, or was not looked at."""
    return Finding(what=what, state=State.OFF, says=says, do=do)


def to_do(what: str, says: str, do: str) -> Finding:
    """Returns a line about what is left to do."""
    return Finding(what=what, state=State.TO_DO, says=says, do=do)


def wrong(what: str, says: str, do: str) -> Finding:
    """Returns a line about what is wrong."""
    return Finding(what=what, state=State.WRONG, says=says, do=do)
