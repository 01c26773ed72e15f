"""What every gateway is: verify, parse, acknowledge.  Total on any input: only the errors named here come out."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar, Protocol

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


class Reply(msgspec.Struct, frozen=True):
    """What a gateway wants to read in answer."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain"


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

    def acknowledge(self) -> Reply:
        """The gateway's own success answer."""
        ...

    def refuse(self, status: int) -> Reply:
        """The gateway's own error answer, without detail."""
        ...
