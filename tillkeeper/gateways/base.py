"""What every gateway is: verify, parse, acknowledge.  Total on any input: only the errors named here come out.

A gateway subclasses the protocol, and so has the plain answer to whatever its provider does not have: no query that
can be put, no list of events, no token to fetch first.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Literal, Protocol

import msgspec

from tillkeeper.domain.events import PaymentEvent
from tillkeeper.domain.masking import plain_text
from tillkeeper.domain.query import QUERYABLE_ALL as QUERYABLE_ALL  # noqa: PLC0414 - gateways have these from here
from tillkeeper.domain.query import Abilities
from tillkeeper.domain.query import Query as Query  # noqa: PLC0414
from tillkeeper.domain.query import Queryable as Queryable  # noqa: PLC0414
from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel


class Step(StrEnum):
    """At which step of taking a delivery it was refused."""

    HEADER = "header"  # what the scheme needs is missing, repeated, or cannot be read
    TIME = "time"  # signed too long ago, or in the future
    KEY = "key"  # it names a key that is not configured, or not at hand
    SIGNATURE = "signature"  # it is signed, and by none of the configured keys
    MODE = "mode"  # test money at a live account, or the other way round
    CONTENT = "content"  # it is authentic, or needs no proof, and cannot be read


class Refused(Exception):
    """A delivery that is not taken; `reason` is for ops and never reaches the caller."""

    status: ClassVar[int] = 400
    step: Step = Step.CONTENT

    def __init__(self, reason: str, step: Step | None = None) -> None:
        self.reason = plain_text(reason)  # it may repeat what was sent
        super().__init__(self.reason)
        if step is not None:
            self.step = step


class BadSignature(Refused):
    """The delivery does not prove that the gateway sent it."""

    status = 401
    step = Step.SIGNATURE


class Stale(BadSignature):
    """The time that is signed is too far from now; nothing was said yet of the signature itself."""

    step = Step.TIME

    def __init__(self, reason: str, signed_at: datetime) -> None:
        super().__init__(reason)
        self.signed_at = signed_at


class BadPayload(Refused):
    """The delivery is authentic or unsigned, but cannot be read."""

    status = 400


class Request(msgspec.Struct, frozen=True):
    """One HTTP request as received: header names in lower case with every value in order, and the body's raw bytes.

    `query` is what stood behind the query mark of the URL, raw.
    """

    headers: Mapping[str, Sequence[str]]
    body: bytes
    query: str = ""

    def header(self, name: str) -> str:
        """The one value of a header; raises BadSignature if it is absent or repeated."""
        values = self.headers.get(name, ())
        if len(values) != 1:
            stands = f"it stands {len(values)} times" if values else "it is missing"
            raise BadSignature(f"header {name} must stand exactly once, and {stands}", Step.HEADER)
        return values[0]

    def lines(self, name: str) -> Sequence[str]:
        """Every value of a header that may stand several times; raises BadSignature if it is absent."""
        lines = self.headers.get(name, ())
        if not lines:
            raise BadSignature(f"header {name} is missing", Step.HEADER)
        return lines


class Verified(msgspec.Struct, frozen=True):
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


class Reply(msgspec.Struct, frozen=True):
    """What a gateway wants to read in answer."""

    status: int
    body: bytes = b""
    content_type: str = "text/plain"


class CannotQuery(Exception):
    """Nobody can ask that here: a credential is not configured, or the gateway has no such query."""


class Unavailable(Exception):
    """The gateway could not say: busy, broken, or limiting our calls.  Nothing is known; the same query may be put
    again."""


class AccessDenied(Exception):
    """The gateway refuses our queries as such: wrong credentials, no permission.  Only a person can mend that."""


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


class Gateway(Protocol):
    """One account at one gateway.  The object holds parsed keys; it does no I/O and reads no clock."""

    name: ClassVar[str]
    settings: ClassVar[type[AccountModel]]
    about: ClassVar[About]
    kept_headers: ClassVar[frozenset[str]]  # never one that is itself a secret
    asks: ClassVar[frozenset[Queryable]] = frozenset()  # a payment by its own reference, by its order's, a refund
    own_url: ClassVar[str | None] = None  # the setting that holds our own URL, where the gateway signs that
    single_payment: ClassVar[bool] = False  # an order reference names one payment at most: who asks of it asked of both
    refunds_in_payments: ClassVar[bool] = False  # a refund is only found by its payment's reference
    keeps_keys: ClassVar[bool] = False  # whether `read_key` can take in again what it took in before a restart
    account: str
    live: bool | None = None  # whether the account moves real money, where the settings tell

    def verify(self, request: Request, now: datetime) -> Verified:
        """Raises BadSignature, or BadPayload where the signature can only be found by decoding the body."""
        ...

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:
        """The canonical events, none where the delivery is of no interest.  Raises BadPayload."""
        ...

    def queries_for(self, verified: Verified) -> tuple[Query, ...]:  # noqa: ARG002
        """What the gateway must be asked because the delivery says only that it changed.  Raises BadPayload."""
        return ()

    def claimed_references(self, request: Request) -> ClaimedReferences | None:  # noqa: ARG002
        """What an unproven delivery says it is about; None where nothing can be read.  Never raises."""
        return None

    @property
    def abilities(self) -> Abilities:
        """What can be asked about orders here."""
        return Abilities(
            asks=self.asks, single_payment=self.single_payment, refunds_in_payments=self.refunds_in_payments
        )

    def key_labels(self) -> tuple[str, ...]:
        """The labels of the keys that deliveries may be signed with, as `Verified.key` names them."""
        return ()

    def acknowledge(self) -> Reply:
        """The gateway's own success answer."""
        return Reply(status=200)

    def refuse(self, status: int) -> Reply:
        """The gateway's own error answer, without detail."""
        return Reply(status=status, body=b"refused")

    def remarks(self, verified: Verified) -> tuple[str, ...]:  # noqa: ARG002
        """What `inspect` says of a delivery that looks as if the configuration does not fit it."""
        return ()

    def answer_challenge(self, request: Request) -> Reply | None:  # noqa: ARG002
        """The answer to a GET by which the gateway tests the address; None where it is no such thing."""
        return None

    def missing_key_request(self, request: Request, *, now: datetime, nonce: str) -> Call | None:  # noqa: ARG002
        """Fetches a key that the delivery names and that is not at hand; None nearly always.  Raises BadSignature.

        Whoever can post can name a key: the caller limits how often it is fetched.
        """
        return None

    def key_refresh_request(self, *, now: datetime, nonce: str) -> Call | None:  # noqa: ARG002
        """Fetches keys from time to time, so that a new one is here before a delivery names it; `read_key` hears."""
        return None

    def read_key(self, call: Call, response: Response, *, now: datetime) -> None:  # noqa: ARG002
        """Takes in what `missing_key_request` or `key_refresh_request` asked for.

        Raises Unavailable, AccessDenied, BadSignature, or BadPayload.
        """
        raise BadPayload("there is nothing to learn")

    def token_request(self, *, now: datetime) -> Call | None:  # noqa: ARG002
        """Asks for the token that other calls need; None where they need none.  Raises CannotQuery."""
        return None

    def read_token(self, response: Response, *, now: datetime) -> Token:  # noqa: ARG002
        """The token in the response.  Raises Unavailable, AccessDenied, or BadPayload."""
        raise BadPayload("there is no token")

    def query_request(self, query: Query, *, now: datetime, nonce: str) -> Call:  # noqa: ARG002
        """The signed request that puts the query.  Raises CannotQuery."""
        raise CannotQuery(f"{self.about.title} has no such question")

    def read_response(self, query: Query, response: Response, *, now: datetime) -> Answer:  # noqa: ARG002
        """What the response says.

        Raises Unavailable, AccessDenied, BadSignature (the response is not the gateway's), or BadPayload.
        """
        raise BadPayload("nothing was asked")

    def events_request(self, *, since: datetime, until: datetime, after: str | None) -> Call:  # noqa: ARG002
        """Asks for a page of the gateway's own list of what happened, `after` the last one.  Raises CannotQuery."""
        raise CannotQuery(f"{self.about.title} has no list of events; it is asked payment by payment")

    def read_events(self, response: Response) -> Page:  # noqa: ARG002
        """The page in the response: events as their webhooks would have brought them, with the same ids.

        Raises as `read_response` does.
        """
        raise BadPayload("no list was asked for")
