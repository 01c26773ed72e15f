"""Defines the messages between a gateway's code and the code that does the I/O: requests, responses, queries,
answers."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from tillkeeper.domain.events import PaymentEvent
from tillkeeper.domain.query import Query as Query  # noqa: PLC0414 - gateways have it from here
from tillkeeper.gateways.errors import BadSignature, VerificationStep


class Request(msgspec.Struct, frozen=True):
    """An HTTP request as received: header names in lower case with every value in order, and the body's raw bytes.

    `query` is the raw text after the URL's query mark.
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
        """Returns every value of a header that may be repeated; raises BadSignature if it is absent."""
        lines = self.headers.get(name, ())
        if not lines:
            raise BadSignature(f"header {name} is missing", VerificationStep.HEADER)
        return lines


class Verified(msgspec.Struct, frozen=True, dict=True):  # `dict` has room for the JSON in it (strictjson.json_of)
    """A verified delivery: the key that verified it, and the signed content, decoded once if at all.

    `proven` is False where the gateway signs nothing: then it makes no events, and its queries may be dropped when
    there are too many.
    """

    key: str
    content: object
    proven: bool = True


class ClaimedReferences(msgspec.Struct, frozen=True, kw_only=True):
    """The references that an unverified delivery claims, fit for looking an order up and for nothing else."""

    order_ref: str | None = None
    payment_ref: str | None = None

    @classmethod
    def of(cls, *, order_ref: str | None = None, payment_ref: str | None = None) -> "ClaimedReferences | None":
        """Returns None where neither can be read."""
        return cls(order_ref=order_ref, payment_ref=payment_ref) if order_ref or payment_ref else None


class Reply(msgspec.Struct, frozen=True):
    """The HTTP response that a gateway expects."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain"


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request to a gateway's API, signed and ready to be sent.

    The response to one for a file may be larger and take longer, and may be packed.
    """

    method: Literal["GET", "POST"]
    url: str
    headers: Mapping[str, str]
    body: bytes = b""
    is_for_file: bool = False


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """The API's HTTP response: header names in lower case with every value in order, and the body's raw bytes."""

    status: int
    headers: Mapping[str, Sequence[str]]
    body: bytes


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway's answer.  `found` is False where it knows no such payment or refund, which is not a failure.

    Events have evidence `query`.  Their ids are made from their content, so that the same answer twice is one event.
    `then` are calls to make once the events are committed, such as Klarna's acknowledgement; their responses are not
    read.  `also` are further queries that this answer leads to: each payment that a search found, a refund's payment.
    """

    found: bool
    events: tuple[PaymentEvent, ...] = ()
    then: tuple[Call, ...] = ()
    also: tuple[Query, ...] = ()


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """An access token, sent as Bearer with every call until it expires."""

    value: str
    until: datetime


class EventPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a gateway's own list of events.  `after` is where the next begins; None on the last page.

    `unread` counts the events that cannot be read, as their webhooks could not.
    """

    events: tuple[PaymentEvent, ...]
    after: str | None = None
    unread: int = 0
