"""Implements PayPal: RSA over the transmission, our webhook's id and the body's CRC-32; what tells of money is asked
for again.

Only a CRC-32 of the body is signed, and four bytes anywhere give any text the CRC that is wanted: whoever gets hold of
one delivery could send another text under its signature.  So a delivery that tells of a success, of money given back,
or of a dispute that was won, is only the reason to ask PayPal (`confirm_by_query`); and none tells of a time to come,
which would stand against whatever PayPal says until then.

`signature` and `certificates` are how deliveries are verified, `webhook` reads them, `api` puts queries and reads
responses, `tokens` signs in, and `objects` says what PayPal's objects mean.

Sources: PayPal's pages "Integrate webhooks", "Webhook event names"; the package `paypalrestsdk`, `notifications.py`;
paypal/PayPal-node-SDK, `test/mocks/notification.js`.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Final, cast

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from tillkeeper.domain.events import PaymentEvent
from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel
from tillkeeper.gateways.base import Gateway, Queryable
from tillkeeper.gateways.errors import BadSignature, CannotQuery, Unavailable, VerificationStep
from tillkeeper.gateways.kit import units
from tillkeeper.gateways.kit.answers import answered_at
from tillkeeper.gateways.kit.fact import query_event
from tillkeeper.gateways.kit.http_status import OK, is_retry_status
from tillkeeper.gateways.messages import Answer, Call, ClaimedReferences, Query, Request, Response, Token, Verified
from tillkeeper.gateways.paypal import api, tokens, webhook
from tillkeeper.gateways.paypal.certificates import Certificate, Certificates, trust_in
from tillkeeper.gateways.paypal.objects import payees_of
from tillkeeper.gateways.paypal.settings import ABOUT, PayPalSettings
from tillkeeper.gateways.paypal.signature import HEADERS, certificate_url, signature_in, signed_text

LIVE_BY_BASE: Final[Mapping[str, bool]] = {
    "https://api-m.paypal.com": True,
    "https://api.paypal.com": True,
    "https://api-m.sandbox.paypal.com": False,
    "https://api.sandbox.paypal.com": False,
}


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """A body, and when it was received: no time in it is proven."""

    body: bytes
    at: datetime


class PayPal(Gateway):
    """One webhook of one REST app."""

    name: ClassVar[str] = "paypal"
    settings: ClassVar[type[AccountModel]] = PayPalSettings
    about: ClassVar[About] = ABOUT
    queryable: ClassVar[frozenset[Queryable]] = frozenset({"payment", "refund"})
    keeps_keys: ClassVar[bool] = True
    kept_headers: ClassVar[frozenset[str]] = HEADERS | {"content-type", "user-agent"}

    def __init__(self, account: str, settings: PayPalSettings) -> None:
        self.account = account
        self.live = LIVE_BY_BASE.get(settings.api_base)
        self._app = settings
        self._confirms = settings.confirm_by_query and settings.client_id is not None
        self._certificates = Certificates(settings.certs, trust_in(settings.trusted_ca))

    def verify(self, request: Request, now: datetime) -> Verified:
        """Verifies by the certificate that the delivery names, if it is at hand and PayPal's."""
        url, signature = certificate_url(request, live=self.live), signature_in(request)
        certificate = self._certificate_at(url, now)
        try:
            certificate.key.verify(signature, signed_text(request, self._app.webhook_id), PKCS1v15(), SHA256())
        except InvalidSignature:
            raise BadSignature("the signature is not PayPal's for this webhook and body") from None
        self._certificates.used(url)
        return Verified(key=certificate.label, content=Delivered(body=request.body, at=now))

    def _certificate_at(self, url: str, now: datetime) -> Certificate:
        certificate = self._certificates.at_hand(url, now)
        if certificate is None:
            raise BadSignature("the certificate that the delivery names is not at hand", VerificationStep.KEY)
        try:
            self._certificates.check(url, certificate, now)
        except ValueError as error:
            raise BadSignature(f"the certificate is not PayPal's: {error}", VerificationStep.KEY) from None
        return certificate

    def key_labels(self) -> tuple[str, ...]:
        """There is one label for each certificate at hand."""
        return self._certificates.labels

    def keys_valid_until(self) -> datetime | None:
        """What is fetched, PayPal renews by itself; of configured certificates somebody must think."""
        return self._certificates.configured_until

    def missing_key_request(self, request: Request, *, now: datetime, nonce: str) -> Call | None:  # noqa: ARG002 - nothing is signed
        """Fetches the certificate, without credentials."""
        url = certificate_url(request, live=self.live)
        signature_in(request)
        signed_text(request, self._app.webhook_id)
        if self._certificates.at_hand(url, now) is not None:
            return None
        if self._certificates.is_refused(url, now):
            raise BadSignature("PayPal had no such certificate a short time ago", VerificationStep.KEY)
        return _certificate_request(url)

    def key_refresh_request(self, *, now: datetime, nonce: str) -> Call | None:  # noqa: ARG002 - nothing is signed
        """Fetches the certificate in use, so that it does not lapse while PayPal goes on to sign with it."""
        url = self._certificates.in_use
        return None if url is None else _certificate_request(url)

    def read_key(self, call: Call, response: Response, *, now: datetime) -> None:
        """Takes the certificate in if it is PayPal's."""
        if is_retry_status(response.status, api.RETRY_STATUSES):
            raise Unavailable(f"status {response.status}")
        if response.status != OK:
            self._certificates.refuse(call.url, now)
            raise BadSignature(f"PayPal has no such certificate: status {response.status}", VerificationStep.KEY)
        try:
            self._certificates.add(call.url, response.body.decode("ascii"), now)
        except ValueError as error:
            self._certificates.refuse(call.url, now)
            raise BadSignature(
                f"what was fetched is no certificate of PayPal's: {error}", VerificationStep.KEY
            ) from None

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:
        """Makes the events of a known type, but for what is asked about instead."""
        notice = self._notice_in(verified)
        if notice is None or (self._confirms and notice.must_be_confirmed):
            return ()
        received_at = cast("Delivered", verified.content).at
        return webhook.events_of(notice, self.account, received_at, confirms=self._confirms)

    def queries_for(self, verified: Verified) -> tuple[Query, ...]:
        """PayPal is asked about successes, refunds and won disputes, and about a refund that names no payment."""
        notice = None if self._app.client_id is None else self._notice_in(verified)
        return () if notice is None else webhook.queries_for(notice, confirms=self._confirms)

    def _notice_in(self, verified: Verified) -> webhook.Notice | None:
        notice = webhook.notice_in(cast("Delivered", verified.content).body)
        return notice if notice is not None and self._is_ours(notice.resource) else None

    def claimed_references(self, request: Request) -> ClaimedReferences | None:
        """Names the payment that an event is about, and the merchant's reference of it."""
        return webhook.claimed_references(request.body)

    def token_request(self, *, now: datetime) -> Call | None:  # noqa: ARG002 - nothing is signed
        """Asks for a token by the client's own name."""
        if self._app.client_id is None or self._app.client_secret is None:
            raise CannotQuery("client_id and client_secret are not set")
        return tokens.token_request(self._app.api_base, self._app.client_id, self._app.client_secret)

    def read_token(self, response: Response, *, now: datetime) -> Token:
        """Reads the token, which lives for some hours."""
        return tokens.token_in(response, now)

    def query_request(self, query: Query, *, now: datetime, nonce: str) -> Call:  # noqa: ARG002 - nothing is signed
        """Asks by the object's own id.  The token is added by whoever signed in."""
        if self._app.client_id is None:
            raise CannotQuery("client_id and client_secret are not set")
        url = f"{self._app.api_base}{api.path_of(query)}"
        return Call(method="GET", url=url, headers={"Accept": "application/json"})

    def read_response(self, query: Query, response: Response, *, now: datetime) -> Answer:
        """Reads what the object, or each payment within the order, says of itself."""
        content = api.content_of(response)
        if content is None:
            return Answer(found=False)
        if not self._is_ours(content):
            return Answer(found=True)
        try:
            return self._answer(query, content, answered_at(response, now))
        except units.UnknownCurrency:
            return Answer(found=True)

    def _answer(self, query: Query, content: object, reported_at: datetime) -> Answer:
        facts = (
            msgspec.structs.replace(fact, order_ref=fact.order_ref or query.order_ref)
            for fact in api.facts_of(query, content, self._is_ours)
        )
        events = tuple(query_event(fact, account=self.account, reported_at=reported_at) for fact in facts)
        return Answer(found=True, events=events, also=api.further_queries(query, content))

    def _is_ours(self, content: object) -> bool:
        """Returns False where it names payees and we are none of them; refunds and sales name none."""
        payees = payees_of(content) if self._app.merchant_id is not None else ()
        return not payees or self._app.merchant_id in payees


def _certificate_request(url: str) -> Call:
    return Call(method="GET", url=url, headers={"Accept": "application/x-pem-file, text/plain, */*"})
