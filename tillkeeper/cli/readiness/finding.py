"""Defines a line of what `tillkeeper check` found."""

from enum import StrEnum

import msgspec


class Readiness(StrEnum):
    """How something stands."""

    OK = "ok"
    OFF = "off"  # not configured, or not looked at: a choice, and no fault
    TO_DO = "to do"  # something is left to do
    WRONG = "wrong"


class ReadinessFinding(msgspec.Struct, frozen=True, kw_only=True):
    """How one thing stands, and what to do about it."""

    what: str
    state: Readiness
    says: str
    do: str = ""

    @property
    def is_ready(self) -> bool:
        """Returns True if nothing is left to do about it."""
        return self.state in {Readiness.OK, Readiness.OFF}


def ok(what: str, says: str) -> ReadinessFinding:
    """Returns a line that all is well."""
    return ReadinessFinding(what=what, state=Readiness.OK, says=says)


def off(what: str, says: str, do: str = "") -> ReadinessFinding:
    """Returns a line about what is not configured, or was not looked at."""
    return ReadinessFinding(what=what, state=Readiness.OFF, says=says, do=do)


def to_do(what: str, says: str, do: str) -> ReadinessFinding:
    """Returns a line about what is left to do."""
    return ReadinessFinding(what=what, state=Readiness.TO_DO, says=says, do=do)


def wrong(what: str, says: str, do: str) -> ReadinessFinding:
    """Returns a line about what is wrong."""
    return ReadinessFinding(what=what, state=Readiness.WRONG, says=says, do=do)
