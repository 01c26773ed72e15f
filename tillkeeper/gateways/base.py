"""Defines a gateway's interface: verify, parse, acknowledge, query.  On any input only errors of errors.py are raised.

A gateway subclasses the protocol, and so inherits the defaults for what its provider does not have: no queries, no list
of events, no token to fetch first.
"""

from datetime import date, datetime
from typing import ClassVar, Protocol

from tillkeeper.domain.books.calendar import StatementCalendar
from tillkeeper.domain.events import PaymentEvent
from tillkeeper.domain.query import QUERYABLE_ALL as QUERYABLE_ALL  # noqa: PLC0414 - gateways have both from here
from tillkeeper.domain.query import Abilities
from tillkeeper.domain.query import Queryable as Queryable  # noqa: PLC0414
from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel
from tillkeeper.gateways.errors import BadPayload, CannotQuery
from tillkeeper.gateways.messages import (
    Answer,
    Call,
    ClaimedReferences,
    EventPage,
    Query,
    Reply,
    Request,
    Response,
    Token,
    Verified,
)
from tillkeeper.gateways.statement_form import StatementForm
from tillkeeper.gateways.statement_offer import OfferedFile, StatementOffer


class Gateway(Protocol):
    """An account at a gateway.  The object holds parsed keys; it does no I/O and reads no clock."""

    name: ClassVar[str]
    settings: ClassVar[type[AccountModel]]
    about: ClassVar[About]
    kept_headers: ClassVar[frozenset[str]]  # never one that is itself a secret
    queryable: ClassVar[frozenset[Queryable]] = frozenset()  # a payment by its own reference, by its order's, a refund
    own_url: ClassVar[str | None] = None  # the setting that holds our own URL, where the gateway signs that
    single_payment: ClassVar[bool] = (
        False  # an order reference names one payment at most, so that a query by it covers the payment
    )
    refunds_in_payments: ClassVar[bool] = False  # a refund is only found by its payment's reference
    statement_forms: ClassVar[tuple[type[StatementForm], ...]] = ()
    statement_calendar: ClassVar[StatementCalendar | None] = None  # of the statements that can be fetched
    keeps_keys: ClassVar[bool] = False  # whether `read_key` can read stored content again after a restart
    account: str
    live: bool | None = None  # whether the account moves real money, where the settings say so

    def verify(self, request: Request, now: datetime) -> Verified:
        """Returns the verified content.  Raises BadSignature, or BadPayload where the body must be decoded to find the
        signature."""
        ...

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:
        """Returns the canonical events, none where the delivery is of no interest.  Raises BadPayload."""
        ...

    def queries_for(self, verified: Verified) -> tuple[Query, ...]:  # noqa: ARG002
        """Returns the queries to make because the delivery says only that something changed.  Raises BadPayload."""
        return ()

    def claimed_references(self, request: Request) -> ClaimedReferences | None:  # noqa: ARG002
        """Returns the references that an unverified delivery claims; None where nothing can be read.  Never raises."""
        return None

    @property
    def abilities(self) -> Abilities:
        """Returns what can be queried about orders here."""
        return Abilities(
            queryable=self.queryable, single_payment=self.single_payment, refunds_in_payments=self.refunds_in_payments
        )

    def key_labels(self) -> tuple[str, ...]:
        """Returns the labels of the keys that deliveries may be signed with, as `Verified.key` names them."""
        return ()

    def keys_valid_until(self) -> datetime | None:
        """Returns when the last of the certificates at hand ends, and every delivery is refused; None where none
        ends."""
        return None

    def acknowledge(self) -> Reply:
        """Returns the gateway's own success answer."""
        return Reply(status=200)

    def refuse(self, status: int) -> Reply:
        """Returns the gateway's own error answer, without detail."""
        return Reply(status=status, body=b"refused")

    def remarks(self, verified: Verified) -> tuple[str, ...]:  # noqa: ARG002
        """Returns what `inspect` says of a delivery that looks as if the configuration does not fit it."""
        return ()

    def answer_challenge(self, request: Request) -> Reply | None:  # noqa: ARG002
        """Returns the answer to a GET by which the gateway tests the address; None for any other GET."""
        return None

    def missing_key_request(self, request: Request, *, now: datetime, nonce: str) -> Call | None:  # noqa: ARG002
        """Returns the call for a key that the delivery names and that is unknown; mostly None.  Raises BadSignature.

        Anybody who can post can name a key: the caller limits the fetches.
        """
        return None

    def key_refresh_request(self, *, now: datetime, nonce: str) -> Call | None:  # noqa: ARG002
        """Returns the call that refreshes keys at intervals, so that a new one is known before a delivery names it."""
        return None

    def read_key(self, call: Call, response: Response, *, now: datetime) -> None:  # noqa: ARG002
        """Reads the response to `missing_key_request` or `key_refresh_request`, and keeps its keys.

        Raises Unavailable, AccessDenied, BadSignature, or BadPayload.
        """
        raise BadPayload("there is nothing to learn")

    def token_request(self, *, now: datetime) -> Call | None:  # noqa: ARG002
        """Returns the call for the token that other calls need; None where they need none.  Raises CannotQuery."""
        return None

    def read_token(self, response: Response, *, now: datetime) -> Token:  # noqa: ARG002
        """Returns the token in the response.  Raises Unavailable, AccessDenied, or BadPayload."""
        raise BadPayload("there is no token")

    def query_request(self, query: Query, *, now: datetime, nonce: str) -> Call:  # noqa: ARG002
        """Returns the signed call that makes the query.  Raises CannotQuery."""
        raise CannotQuery(f"{self.about.title} has no such query")

    def read_response(self, query: Query, response: Response, *, now: datetime) -> Answer:  # noqa: ARG002
        """Returns what the response says.

        Raises Unavailable, AccessDenied, BadSignature (the response is not the gateway's), or BadPayload.
        """
        raise BadPayload("nothing was asked")

    def events_request(self, *, since: datetime, until: datetime, after: str | None) -> Call:  # noqa: ARG002
        """Returns the call for a page of the gateway's own list of events, `after` the last one.  Raises
        CannotQuery."""
        raise CannotQuery(f"{self.about.title} has no list of events; it is asked payment by payment")

    def read_events(self, response: Response) -> EventPage:  # noqa: ARG002
        """Returns the page in the response, with the same events and ids as their webhooks would have.

        Raises as `read_response` does.
        """
        raise BadPayload("no list was asked for")

    def statement_request(self, day: date, *, now: datetime, nonce: str) -> Call:  # noqa: ARG002
        """Returns the call for the statement of a day.  Raises CannotQuery."""
        raise CannotQuery(f"{self.about.title}'s statements are not fetched; give their files to tillkeeper reconcile")

    def read_statement_offer(self, response: Response, *, now: datetime) -> StatementOffer:  # noqa: ARG002
        """Returns what the gateway offers of the day.  Raises as `read_response` does."""
        raise BadPayload("no statement was asked for")

    def statement_file_request(self, offer: OfferedFile, *, now: datetime, nonce: str) -> Call:  # noqa: ARG002
        """Returns the call for the file.  Raises CannotQuery."""
        raise CannotQuery(f"{self.about.title}'s statements are not fetched")

    def read_statement_file(self, offer: OfferedFile, response: Response) -> bytes:  # noqa: ARG002
        """Returns the file, which is the one that was offered.  Raises Unavailable, AccessDenied, or BadPayload."""
        raise BadPayload("no statement was asked for")
