"""What goes to and fro between a gateway's code and whoever does the I/O: requests, responses, queries, answers."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from tillkeeper.domain.events import PaymentEvent
from tillkeeper.domain.query import Query as Query  # noqa: PLC0414 - gateways have it from here
from tillkeeper.gateways.errors import BadSignature, VerificationStep


class Request(msgspec.Struct, frozen=True):
    """One HTTP request as received: header names in lower case with every value in order, and the body's raw bytes.

    `query` is what stood behind the query mark of the URL, raw.
    """

    headers: Mapping[str, Sequence[str]]
    body: bytes
    query: str = ""

    def header(self, name: str) -> str:
        """Returns the one value of a header; raises BadSignature if it is absent or repeated."""
        values = self.headers.get(name, ())
        if len(values) != 1:
            stands = f"it stands {len(values)} times" if values else "it is missing"
            raise BadSignature(f"header {name} must stand exactly once, and {stands}", VerificationStep.HEADER)
        return values[0]

    def lines(self, name: str) -> Sequence[str]:
        """Every value of a header that may stand several times; raises BadSignature if it is absent."""
        lines = self.headers.get(name, ())
        if not lines:
            raise BadSignature(f"header {name} is missing", VerificationStep.HEADER)
        return lines


class Verified(msgspec.Struct, frozen=True, dict=True):  # `dict` has room for the JSON in it (strictjson.json_of)
    """A delivery that is taken: which key fitted, and what the signature covered, decoded once if at all.

    `proven` is False where no signature is known for it: it makes no event then, and what it has the gateway asked
    about may be dropped when there is too much of it.
    """

    key: str
    content: object
    proven: bool = True


class ClaimedReferences(msgspec.Struct, frozen=True, kw_only=True):
    """What a delivery that proved nothing says it is about.  Fit to look an order up by, and for nothing else."""

    order_ref: str | None = None
    payment_ref: str | None = None

    @classmethod
    def of(cls, *, order_ref: str | None = None, payment_ref: str | None = None) -> "ClaimedReferences | None":
        """Returns None where neither can be read."""
        return cls(order_ref=order_ref, payment_ref=payment_ref) if order_ref or payment_ref else None


class Reply(msgspec.Struct, frozen=True):
    """What a gateway wants to read in answer."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain"


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request to a gateway's API, signed and ready to be sent."""

    method: Literal["GET", "POST"]
    url: str
    headers: Mapping[str, str]
    body: bytes = b""


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """The API's HTTP response: header names in lower case with every value in order, and the body's raw bytes."""

    status: int
    headers: Mapping[str, Sequence[str]]
    body: bytes


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the gateway knows.  `found` is False where it knows of no such payment or refund, which is not a failure.

    Events have evidence `query`.  Their ids are made of what they say, so that the same answer twice is one event.
    `then` are calls to make once the events are committed, such as Klarna's acknowledgement; their answers go unread.
    `also` are further queries that this answer raises: each payment that a search found, a refund's payment.
    """

    found: bool
    events: tuple[PaymentEvent, ...] = ()
    then: tuple[Call, ...] = ()
    also: tuple[Query, ...] = ()


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """What a gateway gave for our credentials: sent as Bearer with every call until then."""

    value: str
    until: datetime


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a gateway's own list of events.  `after` is where the next begins; None behind the last.

    `unread` counts those that could not be read, as their webhooks could not.
    """

    events: tuple[PaymentEvent, ...]
    after: str | None = None
    unread: int = 0
