"""What every gateway's API is: a pure answer to a request, sealed with the gateway's signature in a step of its own."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec


class Put(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request as received: header names in lower case, the query decoded, in order."""

    method: str
    path: str  # raw, without the query
    target: str  # raw, as it stood in the request line
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes

    def first(self, name: str) -> str | None:
        """The first value of a query field."""
        return next((value for field, value in self.query if field == name), None)


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One answer, not yet sealed.  The last three are for the log: what was asked about, and what was said of it."""

    status: int = 200
    headers: Mapping[str, str] = {}
    body: bytes
    about: str  # payment, refund, charge, session, events, or nothing
    ref: str = ""
    order_ref: str = ""
    said: str


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """An answer as it goes out."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Api(Protocol):
    """One gateway's API for one account."""

    @property
    def account(self) -> str:
        """The account's name in the configuration."""
        ...

    def answer(self, put: Put, *, now: datetime, knows_at: datetime) -> Told:
        """The gateway's answer at `now`, from books that were last written at `knows_at`."""
        ...

    def broken(self, status: int, put: Put) -> Told:
        """What the gateway says when it is broken (5xx) or limits our calls (429)."""
        ...

    def sealed(self, told: Told, *, now: datetime, forged: bool = False) -> Sealed:
        """The answer with its signature; by a key that is not the gateway's if `forged`."""
        ...
