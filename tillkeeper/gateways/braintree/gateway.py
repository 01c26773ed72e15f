"""Braintree: base64 XML in a form, signed with HMAC-SHA1; a challenge by GET; and what its API says of a transaction.

Sources: the package `braintree` (`webhook_notification_gateway.py`, `webhook_testing_gateway.py`, `util/crypto.py`,
`util/http.py`, `transaction_gateway.py`); Braintree's page "Webhooks: Parse".  What the XML says is in
`braintree_objects`.
"""

import hashlib
import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, ClassVar, Final, Literal
from urllib.parse import parse_qsl, quote

import msgspec
from pydantic import Field

from tillkeeper.domain.events import PaymentEvent, problem_with
from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel, ApiBase, OneSecret
from tillkeeper.gateways.base import Gateway, Queryable
from tillkeeper.gateways.braintree import objects
from tillkeeper.gateways.errors import (
    BadPayload,
    BadSignature,
    CannotQuery,
    VerificationStep,
)
from tillkeeper.gateways.kit import form, strictxml
from tillkeeper.gateways.kit.answers import answered_at, queried
from tillkeeper.gateways.kit.fields import at, moment_from_rfc3339, reference_or_none, text, text_or_none
from tillkeeper.gateways.kit.hmacs import HmacKeys
from tillkeeper.gateways.kit.http_status import (
    DENIED_STATUSES,
    NOT_FOUND,
    OK,
    OK_OR_NOT_FOUND,
    TOO_MANY_REQUESTS,
    check_status,
)
from tillkeeper.gateways.messages import Answer, Call, ClaimedReferences, Query, Reply, Request, Response, Verified

SIGNATURE: Final = "bt_signature"
PAYLOAD: Final = "bt_payload"
CHALLENGE: Final = "bt_challenge"
SIGNATURES_CHARS_MAX: Final = 4096  # one pair of a public key and a digest has about 60
PAIRS_MAX: Final = 20
API_VERSION: Final = "6"  # of the package `braintree`, which decides what a transaction looks like
LIVE_BY_BASE: Final[Mapping[str, bool]] = {
    "https://api.braintreegateway.com": True,
    "https://api.sandbox.braintreegateway.com": False,
}
TRANSACTION: Final = "transaction"
RETRY_STATUSES: Final = frozenset({408, TOO_MANY_REQUESTS})
VERSION_DENIED_STATUSES: Final = DENIED_STATUSES | {426}  # this version of the API is no more

_PAYLOAD: Final = re.compile(r"[A-Za-z0-9+/=\n]+", re.ASCII)
_CHALLENGE: Final = re.compile(r"[a-f0-9]{20,32}", re.ASCII)
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


class BraintreeSettings(AccountModel):
    """`[accounts.NAME]` with `gateway = "braintree"`."""

    gateway: Literal["braintree"]
    merchant_id: Annotated[str, Field(min_length=1)] = Field(
        description="The merchant's id (Settings > Business).  Notifications for another count for nothing."
    )
    public_key: Annotated[str, Field(min_length=1)] = Field(
        description="The public key (Settings > API).  It picks one of the signatures, and is no secret."
    )
    private_key: OneSecret = Field(
        description="The private key beside it, which signs notifications and proves our questions."
    )
    api_base: ApiBase = "https://api.braintreegateway.com"


ABOUT: Final = About(
    title="Braintree",
    verifies="HMAC-SHA1 over the payload, keyed with SHA-1 of the private key, by the signature that stands beside "
    "the account's public key",
    dedupes_by="the notification's kind, its subject's id and its time, for it has no id",
    acknowledges="200 without a body; a GET with `bt_challenge` gets the public key and the challenge's HMAC",
    queries="transactions by their ids, refunds by the ids of their transactions; not by the order reference. "
    "A notification without status, type, amount or currency has Braintree asked as well",
    refunds_seen="nothing: a refund is a transaction of its own; register it",
    checked="the package `braintree` signs samples of every kind, and parses what the sandbox signs",
    sources=("the package `braintree`", "Braintree's pages Webhooks: Parse, Transaction Statuses, and Disputes"),
)


class Braintree(Gateway):
    """One key pair of one merchant."""

    name: ClassVar[str] = "braintree"
    settings: ClassVar[type[AccountModel]] = BraintreeSettings
    about: ClassVar[About] = ABOUT
    asks: ClassVar[frozenset[Queryable]] = frozenset({"payment", "refund"})
    kept_headers: ClassVar[frozenset[str]] = frozenset({"content-type", "user-agent"})

    def __init__(self, account: str, settings: BraintreeSettings) -> None:
        self.account = account
        self.live = LIVE_BY_BASE.get(settings.api_base)
        self._merchant = settings
        key = hashlib.sha1(settings.private_key.encode(), usedforsecurity=False).digest()  # the scheme's, not ours
        self._keys = HmacKeys("private_key", [key], digest="sha1")
        self._key = key

    def verify(self, request: Request, now: datetime) -> Verified:  # noqa: ARG002 - no time is checked
        """Over the payload as it stands in the form, or with a line end that the form lost."""
        fields = form.decode(request.body).fields
        if not fields.get(SIGNATURE) or not fields.get(PAYLOAD):
            raise BadSignature("bt_signature or bt_payload is missing", VerificationStep.HEADER)
        if fields.keys() != {SIGNATURE, PAYLOAD}:
            raise BadPayload("the form holds more than bt_signature and bt_payload")
        payload = fields[PAYLOAD]
        if not _PAYLOAD.fullmatch(payload):
            raise BadSignature("bt_payload is not base64", VerificationStep.HEADER)
        signatures = self._signatures_in(fields[SIGNATURE])
        try:
            label = self._keys.label_of(payload.encode(), *signatures)
        except BadSignature:
            label = self._keys.label_of(payload.encode() + b"\n", *signatures)
        return Verified(key=label, content=_notification_in(payload))

    def key_labels(self) -> tuple[str, ...]:
        """One private key at a time."""
        return self._keys.labels

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:
        """One event for a kind that tells of money, none for others."""
        notification = verified.content
        kind = text(notification, "kind")
        if not self._is_ours(notification):
            return ()
        event = self._event_in(kind, notification)
        if event is None:
            return ()
        subject = event.refund_ref or event.dispute_ref or event.payment_ref
        event = msgspec.structs.replace(event, event_id=f"{kind}:{subject}:{text(notification, 'timestamp')}")
        if problem := problem_with(event):
            raise BadPayload(problem)
        return (event,)

    def queries_for(self, verified: Verified) -> tuple[Query, ...]:
        """The transaction of which a notification tells too little, or whose history must be looked at."""
        notification = verified.content
        kind = text(notification, "kind")
        transaction = _transaction_in(kind, notification)
        if transaction is None or not self._is_ours(notification) or not objects.must_be_asked_about(transaction):
            return ()
        ref = reference_or_none(text(transaction, "id"))
        if ref is None:
            raise BadPayload("id of the transaction has characters that we do not ask with")
        if kind == "refund_failed":
            return (Query(about="refund", refund_ref=ref),)
        return (Query(about="payment", payment_ref=ref),)

    def claimed_references(self, request: Request) -> ClaimedReferences | None:
        """The transaction that the payload holds, and its order."""
        try:
            notification = _notification_in(form.decode(request.body).fields.get(PAYLOAD, ""))
            transaction = _transaction_in(text(notification, "kind"), notification)
            refs = [reference_or_none(at(transaction, [name])) for name in ("order-id", "id")]
        except BadPayload:
            return None
        return ClaimedReferences(order_ref=refs[0], payment_ref=refs[1]) if any(refs) else None

    def answer_challenge(self, request: Request) -> Reply | None:
        """Proves that the address is the merchant's.  What can be signed here is narrower than any payload."""
        told = [value for name, value in parse_qsl(request.query) if name == CHALLENGE]
        if len(told) != 1 or not _CHALLENGE.fullmatch(told[0]):
            return None
        digest = hmac.digest(self._key, told[0].encode(), "sha1").hex()
        return Reply(status=OK, body=f"{self._merchant.public_key}|{digest}".encode())

    def query_request(self, query: Query, *, now: datetime, nonce: str) -> Call:  # noqa: ARG002 - nothing is signed
        """By the id of the transaction, which a refund is as well."""
        ref = _asked(query)
        if ref is None or not _ID.fullmatch(ref):
            raise CannotQuery("a transaction's id is missing, or not one of Braintree's")
        path = f"/merchants/{quote(self._merchant.merchant_id, safe='')}/transactions/{ref}"
        credentials = f"{self._merchant.public_key}:{self._merchant.private_key}"
        headers = {
            "Accept": "application/xml",
            "Authorization": f"Basic {b64encode(credentials.encode()).decode()}",
            "X-ApiVersion": API_VERSION,
        }
        return Call(method="GET", url=f"{self._merchant.api_base}{path}", headers=headers)

    def read_response(self, query: Query, response: Response, *, now: datetime) -> Answer:
        """What the transaction says of itself, and the disputes that it holds."""
        transaction = _transaction_of(response)
        if transaction is None:
            return Answer(found=False)
        if text(transaction, "id") != _asked(query):
            raise BadPayload("the answer is about another transaction than the question")
        told_at = answered_at(response, now)
        event = objects.transaction_event(self.account, transaction, objects.since(transaction, told_at))
        if query.about == "refund" and not objects.is_refund(transaction):
            raise BadPayload("the transaction is no refund")
        disputes = at(transaction, ["disputes"])
        told = [event, None if event is None else objects.reversal_event(event, transaction, told_at)]
        told += [
            objects.dispute_event(self.account, each, objects.since(each, told_at), transaction)
            for each in (disputes if isinstance(disputes, list) else [])
        ]
        by_question = [
            msgspec.structs.replace(it, order_ref=it.order_ref or query.order_ref) for it in told if it is not None
        ]
        return Answer(found=True, events=tuple(queried(it) for it in by_question))

    def _signatures_in(self, pairs: str) -> list[str]:
        """Those that stand beside our public key, of `public_key|digest` joined by ampersands."""
        if len(pairs) > SIGNATURES_CHARS_MAX:
            raise BadSignature("bt_signature is too long", VerificationStep.HEADER)
        cut = [pair.partition("|") for pair in pairs.split("&")[:PAIRS_MAX]]
        found = [digest for public_key, _, digest in cut if public_key == self._merchant.public_key]
        if not found:
            raise BadSignature("bt_signature holds none for the account's public_key", VerificationStep.KEY)
        return found

    def _is_ours(self, notification: object) -> bool:
        """Partners get the notifications of the merchants that are connected to them."""
        merchant = text_or_none(notification, "source-merchant-id")
        return merchant in {None, self._merchant.merchant_id}

    def _event_in(self, kind: str, notification: object) -> PaymentEvent | None:
        told_at = moment_from_rfc3339(text(notification, "timestamp"))
        if kind in objects.LOCAL_PAYMENT_ENDS:
            name, failure = objects.LOCAL_PAYMENT_ENDS[kind]
            payment = at(notification, ["subject", name])
            return objects.local_payment_event(self.account, payment, failure, told_at)
        if kind in objects.DISPUTES:
            return objects.dispute_event(self.account, at(notification, ["subject", "dispute"]), told_at)
        transaction = _transaction_in(kind, notification)
        if transaction is None or not objects.is_complete(transaction):
            return None
        return objects.transaction_event(self.account, transaction, told_at)


def _notification_in(payload: str) -> object:
    try:
        body = b64decode(payload.replace("\n", ""), validate=True)
    except ValueError:
        raise BadPayload("bt_payload is not base64") from None
    top = strictxml.loads(body)
    if top.name != "notification":
        raise BadPayload("the payload is no notification")
    return objects.content_of(top)


def _transaction_in(kind: str, notification: object) -> object | None:
    """A local payment that is completed may have none yet: then the merchant is still to make it."""
    path = objects.TRANSACTIONS.get(kind)
    if path is None:
        return None
    transaction = at(notification, ["subject", *path])
    if transaction is None and kind != objects.MAY_BE_BEFORE:
        raise BadPayload("the notification holds no transaction")
    return transaction


def _asked(query: Query) -> str | None:
    return query.refund_ref if query.about == "refund" else query.payment_ref


def _transaction_of(response: Response) -> object | None:
    """None where there is none such.  A page of some proxy's is not Braintree's word for that."""
    check_status(response, accepted=OK_OR_NOT_FOUND, retry=RETRY_STATUSES, denied=VERSION_DENIED_STATUSES)
    if response.status == NOT_FOUND:
        if response.body.strip() and strictxml.loads(response.body).name in {TRANSACTION, "html"}:
            raise BadPayload("status 404 with something in it that was found")
        return None
    top = strictxml.loads(response.body)
    if top.name != TRANSACTION:
        raise BadPayload("the answer is no transaction")
    return objects.content_of(top)
