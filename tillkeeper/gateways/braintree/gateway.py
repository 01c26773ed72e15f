"""Implements Braintree: base64 XML in a form, signed with HMAC-SHA1; a challenge by GET; and what its API says of a
transaction.

Sources: the package `braintree` (`webhook_notification_gateway.py`, `webhook_testing_gateway.py`, `util/crypto.py`).
"""

import hashlib
import hmac
import re
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Final
from urllib.parse import parse_qsl, quote

import msgspec

from tillkeeper.domain.events import PaymentEvent
from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel
from tillkeeper.gateways.base import Gateway, Queryable
from tillkeeper.gateways.braintree import api, objects
from tillkeeper.gateways.braintree.settings import ABOUT, BraintreeSettings
from tillkeeper.gateways.braintree.webhook import (
    form_of,
    notification_in,
    signatures_in,
    transaction_in,
    unsigned_notification,
)
from tillkeeper.gateways.errors import BadPayload, BadSignature
from tillkeeper.gateways.kit.answers import answered_at
from tillkeeper.gateways.kit.fact import Fact, query_event, webhook_event
from tillkeeper.gateways.kit.fields import at, moment_from_rfc3339, reference_or_none, text, text_or_none
from tillkeeper.gateways.kit.hmacs import HmacKeys
from tillkeeper.gateways.messages import Answer, Call, ClaimedReferences, Query, Reply, Request, Response, Verified

CHALLENGE: Final = "bt_challenge"
LIVE_BY_BASE: Final[Mapping[str, bool]] = {
    "https://api.braintreegateway.com": True,
    "https://api.sandbox.braintreegateway.com": False,
}

_CHALLENGE: Final = re.compile(r"[a-f0-9]{20,32}", re.ASCII)


class Braintree(Gateway):
    """One key pair of one merchant."""

    name: ClassVar[str] = "braintree"
    settings: ClassVar[type[AccountModel]] = BraintreeSettings
    about: ClassVar[About] = ABOUT
    queryable: ClassVar[frozenset[Queryable]] = frozenset({"payment", "refund"})
    kept_headers: ClassVar[frozenset[str]] = frozenset({"content-type", "user-agent"})

    def __init__(self, account: str, settings: BraintreeSettings) -> None:
        self.account = account
        self.live = LIVE_BY_BASE.get(settings.api_base)
        self._merchant = settings
        key = hashlib.sha1(settings.private_key.encode(), usedforsecurity=False).digest()  # the scheme's, not ours
        self._keys = HmacKeys("private_key", [key], digest="sha1")
        self._key = key

    def verify(self, request: Request, now: datetime) -> Verified:  # noqa: ARG002 - no time is checked
        """Checks the signature over the payload as it stands in the form, or with a line end that the form lost."""
        payload, pairs = form_of(request)
        signatures = signatures_in(pairs, self._merchant.public_key)
        try:
            label = self._keys.label_of(payload.encode(), *signatures)
        except BadSignature:
            label = self._keys.label_of(payload.encode() + b"\n", *signatures)
        return Verified(key=label, content=notification_in(payload))

    def key_labels(self) -> tuple[str, ...]:
        """Returns the label of the one private key."""
        return self._keys.labels

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:
        """Returns one event for a kind that concerns money, none for others."""
        notification = verified.content
        kind = text(notification, "kind")
        if not self._is_ours(notification):
            return ()
        written = text(notification, "timestamp")
        reported_at = moment_from_rfc3339(written)
        fact = _fact_in(kind, notification)
        if fact is None:
            return ()
        event_id = f"{kind}:{fact.refund_ref or fact.dispute_ref or fact.payment_ref}:{written}"
        return (webhook_event(fact, account=self.account, event_id=event_id, reported_at=reported_at),)

    def queries_for(self, verified: Verified) -> tuple[Query, ...]:
        """Queries the transaction of which a notification tells too little, or whose history counts."""
        notification = verified.content
        kind = text(notification, "kind")
        transaction = transaction_in(kind, notification)
        if transaction is None or not self._is_ours(notification) or not objects.needs_query(transaction):
            return ()
        ref = reference_or_none(text(transaction, "id"))
        if ref is None:
            raise BadPayload("id of the transaction has characters that no query is made with")
        if kind == "refund_failed":
            return (Query(about="refund", refund_ref=ref),)
        return (Query(about="payment", payment_ref=ref),)

    def claimed_references(self, request: Request) -> ClaimedReferences | None:
        """Returns the transaction in the payload, and its order."""
        try:
            notification = unsigned_notification(request)
            transaction = transaction_in(text(notification, "kind"), notification)
            order_ref, payment_ref = (reference_or_none(at(transaction, [name])) for name in ("order-id", "id"))
        except BadPayload:
            return None
        return ClaimedReferences.of(order_ref=order_ref, payment_ref=payment_ref)

    def answer_challenge(self, request: Request) -> Reply | None:
        """Proves that the address is the merchant's.  What can be signed here is narrower than any payload."""
        challenges = [value for name, value in parse_qsl(request.query) if name == CHALLENGE]
        if len(challenges) != 1 or not _CHALLENGE.fullmatch(challenges[0]):
            return None
        digest = hmac.digest(self._key, challenges[0].encode(), "sha1").hex()
        return Reply(status=200, body=f"{self._merchant.public_key}|{digest}".encode())

    def query_request(self, query: Query, *, now: datetime, nonce: str) -> Call:  # noqa: ARG002 - nothing is signed
        """Fetches a transaction by its id; a refund is one as well."""
        path = f"/merchants/{quote(self._merchant.merchant_id, safe='')}{api.path_of(query)}"
        credentials = f"{self._merchant.public_key}:{self._merchant.private_key}"
        headers = {
            "Accept": "application/xml",
            "Authorization": f"Basic {b64encode(credentials.encode()).decode()}",
            "X-ApiVersion": api.API_VERSION,
        }
        return Call(method="GET", url=f"{self._merchant.api_base}{path}", headers=headers)

    def read_response(self, query: Query, response: Response, *, now: datetime) -> Answer:
        """Reads the transaction, and the disputes that it holds."""
        transaction = api.transaction_in(query, response)
        if transaction is None:
            return Answer(found=False)
        if query.about == "refund" and not objects.is_refund(transaction):
            raise BadPayload("the transaction is no refund")
        reported_at = answered_at(response, now)
        facts = [
            msgspec.structs.replace(fact, order_ref=fact.order_ref or query.order_ref)
            for fact in (*objects.transaction_facts(transaction), *objects.disputes_in(transaction))
        ]
        events = tuple(query_event(fact, account=self.account, reported_at=reported_at) for fact in facts)
        return Answer(found=True, events=events)

    def _is_ours(self, notification: object) -> bool:
        """Tells whether a notification is the merchant's: partners get those of the merchants connected to them."""
        merchant = text_or_none(notification, "source-merchant-id")
        return merchant in {None, self._merchant.merchant_id}


def _fact_in(kind: str, notification: object) -> Fact | None:
    if kind in objects.LOCAL_PAYMENT_ENDS:
        name, failure = objects.LOCAL_PAYMENT_ENDS[kind]
        return objects.local_payment_fact(at(notification, ["subject", name]), failure)
    if kind in objects.DISPUTES:
        return objects.dispute_fact(at(notification, ["subject", "dispute"]))
    transaction = transaction_in(kind, notification)
    if transaction is None or not objects.is_complete(transaction):
        return None
    return objects.transaction_fact(transaction)
