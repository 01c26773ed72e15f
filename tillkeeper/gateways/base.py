"""What every gateway is: verify, parse, acknowledge.  Total on any input: only the errors named here come out."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar, Literal, Protocol

import msgspec

from tillkeeper.domain.events import PaymentEvent


class Refused(Exception):
    """A delivery that is not taken; `reason` is for ops and never reaches the caller."""

    status: ClassVar[int] = 400

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class BadSignature(Refused):
    """The delivery does not prove that the gateway sent it."""

    status = 401


class BadPayload(Refused):
    """The delivery is authentic or unsigned, but cannot be read."""

    status = 400


class Request(msgspec.Struct, frozen=True):
    """One HTTP request as received: header names in lower case with every value in order, and the body's raw bytes."""

    headers: Mapping[str, Sequence[str]]
    body: bytes

    def header(self, name: str) -> str:
        """The one value of a header; raises BadSignature if it is absent or repeated."""
        values = self.headers.get(name, ())
        if len(values) != 1:
            raise BadSignature(f"header {name} must stand exactly once, it stands {len(values)} times")
        return values[0]


class Verified(msgspec.Struct, frozen=True):
    """An authentic delivery: which key fitted, and what the signature covered, decoded once if at all."""

    key: str
    content: object


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """What a delivery that proved nothing says it is about.  Fit to look an order up by, and for nothing else."""

    order_ref: str | None = None
    payment_ref: str | None = None


class Reply(msgspec.Struct, frozen=True):
    """What a gateway wants to read in answer."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain"


class CannotAsk(Exception):
    """Nobody can ask that here: a credential is not configured, or the gateway has no such question."""


class AskAgain(Exception):
    """The gateway could not say: busy, broken, or limiting our calls.  Nothing is known; the same question may be put
    again."""


class Denied(Exception):
    """The gateway refuses our questions as such: wrong credentials, no permission.  Only a person can mend that."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One payment or one refund that a gateway is asked about, by all the references that are known of it.

    A payment that no event has named yet is asked about by `order_ref` alone.
    """

    about: Literal["payment", "refund"]
    order_ref: str
    payment_ref: str | None = None
    refund_ref: str | None = None


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request to a gateway's API, signed and ready to be sent."""

    method: Literal["GET", "POST"]
    url: str
    headers: Mapping[str, str]
    body: bytes = b""


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """The API's HTTP response: header names in lower case with every value in order, and the body's raw bytes."""

    status: int
    headers: Mapping[str, Sequence[str]]
    body: bytes


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the gateway knows.  `found` is False where it knows of no such payment or refund, which is not a failure.

    Events have evidence `query`.  Their ids are made of what they say, so that the same answer twice is one event.
    """

    found: bool
    events: tuple[PaymentEvent, ...] = ()


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a gateway's own list of events.  `after` is where the next begins; None behind the last.

    `unread` counts those that could not be read, as their webhooks could not.
    """

    events: tuple[PaymentEvent, ...]
    after: str | None = None
    unread: int = 0


class Gateway(Protocol):
    """One account at one gateway.  The object holds parsed keys; it does no I/O and reads no clock."""

    name: ClassVar[str]
    kept_headers: ClassVar[frozenset[str]]
    account: str

    def verify(self, request: Request, now: datetime) -> Verified:
        """Raises BadSignature, or BadPayload where the signature can only be found by decoding the body."""
        ...

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:
        """The canonical events, none where the delivery is of no interest.  Raises BadPayload."""
        ...

    def named(self, request: Request) -> Named | None:
        """What an unproven delivery says it is about; None where nothing can be read.  Never raises."""
        ...

    def acknowledge(self) -> Reply:
        """The gateway's own success answer."""
        ...

    def refuse(self, status: int) -> Reply:
        """The gateway's own error answer, without detail."""
        ...

    def ask(self, question: Question, *, now: datetime, nonce: str) -> Call:
        """The signed request that puts the question.  Raises CannotAsk."""
        ...

    def hear(self, question: Question, heard: Heard, *, now: datetime) -> Answer:
        """What the response says.  Raises AskAgain, Denied, BadSignature (it is not the gateway's), or BadPayload."""
        ...

    def ask_events(self, *, since: datetime, until: datetime, after: str | None) -> Call:
        """Asks for a page of the gateway's own list of what happened, `after` the last one.  Raises CannotAsk."""
        ...

    def hear_events(self, heard: Heard) -> Page:
        """The page in the response: events as their webhooks would have brought them, same ids.  Raises as `hear`."""
        ...
