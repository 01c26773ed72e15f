"""Implements Square: HMAC over our own URL and the body; one event type for every outcome, told apart by the object's
status.

Sources: the package `squareup` (`utils/webhooks_helper.py`) for the signature, its types for statuses and error codes;
developer.squareup.com, "Square Webhooks" and the pages of the events.
"""

from datetime import datetime
from typing import ClassVar, Final

import msgspec

from tillkeeper.domain.events import Kind, PaymentEvent
from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel
from tillkeeper.gateways.base import Gateway, Queryable
from tillkeeper.gateways.errors import BadPayload, CannotQuery
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.answers import answered_at, payments_of_refunds
from tillkeeper.gateways.kit.fact import Fact, query_event, webhook_event
from tillkeeper.gateways.kit.fields import at, moment_from_rfc3339, reference_or_none, text, text_or_none
from tillkeeper.gateways.kit.hmacs import HmacKeys
from tillkeeper.gateways.messages import Answer, Call, ClaimedReferences, Query, Request, Response, Verified
from tillkeeper.gateways.square import api
from tillkeeper.gateways.square.objects import IGNORED, READERS, TYPES
from tillkeeper.gateways.square.settings import ABOUT, SquareSettings

SIGNATURE_HEADER: Final = "x-square-hmacsha256-signature"


class Square(Gateway):
    """One webhook subscription of one application."""

    name: ClassVar[str] = "square"
    settings: ClassVar[type[AccountModel]] = SquareSettings
    about: ClassVar[About] = ABOUT
    queryable: ClassVar[frozenset[Queryable]] = frozenset({"payment", "refund"})
    own_url: ClassVar[str | None] = "notification_url"
    kept_headers: ClassVar[frozenset[str]] = frozenset(
        {SIGNATURE_HEADER, "content-type", "square-environment", "square-retry-number", "square-retry-reason"}
    )

    def __init__(self, account: str, settings: SquareSettings) -> None:
        self.account = account
        self._keys = HmacKeys("signature_keys", settings.signature_keys, encoding="base64")
        self._url = settings.notification_url.encode()
        self._merchant_id = settings.merchant_id
        self._access_token = settings.access_token
        self._api_base = settings.api_base

    def verify(self, request: Request, now: datetime) -> Verified:  # noqa: ARG002 - no time is signed
        """Checks the signature over the registered URL, for behind a proxy the receiver sees another."""
        key = self._keys.label_in(request, SIGNATURE_HEADER, self._url + request.body)
        return Verified(key=key, content=request.body)

    def key_labels(self) -> tuple[str, ...]:
        """Returns one label for each key."""
        return self._keys.labels

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:
        """Returns the events of the object in a delivery; none for types that TYPES does not know."""
        event = strictjson.json_of(verified)
        if self._merchant_id not in {None, text_or_none(event, "merchant_id")}:
            return ()
        event_type = text(event, "type")
        name = TYPES.get(event_type)
        if name is None:
            IGNORED.note(event_type)
            return ()
        subject = at(event, ["data", "object", name])
        updated_at = moment_from_rfc3339(text(subject, "updated_at"))  # which of two deliveries of a type is newer
        event_id = text(event, "event_id")
        return tuple(
            webhook_event(fact, account=self.account, event_id=event_id, reported_at=updated_at)
            for fact in READERS[name](subject)
        )

    def claimed_references(self, request: Request) -> ClaimedReferences | None:
        """Returns the payment of an event's object, and the merchant's reference in it."""
        try:
            subject = at(strictjson.loads_unsigned(request.body), ["data", "object"])
            payment_ref = reference_or_none(at(subject, ["payment", "id"]) or at(subject, ["refund", "payment_id"]))
            order_ref = reference_or_none(at(subject, ["payment", "reference_id"]))
        except BadPayload:
            return None
        return ClaimedReferences.of(order_ref=order_ref, payment_ref=payment_ref)

    def query_request(self, query: Query, *, now: datetime, nonce: str) -> Call:  # noqa: ARG002 - nothing is signed
        """Fetches one object by its id."""
        path = api.path_of(query)
        if self._access_token is None:
            raise CannotQuery("access_token is not set")
        headers = {"Authorization": f"Bearer {self._access_token}", "Square-Version": api.API_VERSION}
        return Call(method="GET", url=f"{self._api_base}{path}", headers=headers)

    def read_response(self, query: Query, response: Response, *, now: datetime) -> Answer:
        """Reads the state of the object."""
        subject = api.subject_in(query, response)
        if subject is None:
            return Answer(found=False)
        written = text_or_none(subject, "updated_at")
        updated_at = answered_at(response, now) if written is None else moment_from_rfc3339(written)
        facts = (_as_queried(fact, query, subject) for fact in READERS[query.about](subject))
        events = tuple(query_event(fact, account=self.account, reported_at=updated_at) for fact in facts)
        return Answer(found=True, events=events, also=payments_of_refunds(query, events))


def _as_queried(fact: Fact, query: Query, subject: object) -> Fact:
    """Gives a fact the order of the query, and a refund the time when it began; it fails when last updated."""
    created = text_or_none(subject, "created_at") if query.about == "refund" else None
    began_at = None if created is None else moment_from_rfc3339(created)
    occurred_at = None if fact.kind is Kind.REFUND_FAILED else began_at
    return msgspec.structs.replace(fact, order_ref=fact.order_ref or query.order_ref, occurred_at=occurred_at)
