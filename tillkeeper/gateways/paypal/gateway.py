"""PayPal: RSA over the transmission, our webhook's id and the body's CRC-32; what tells of money is asked for again.

Sources: PayPal's pages "Integrate webhooks", "Webhook event names"; the package `paypalrestsdk`, `notifications.py`;
paypal/PayPal-node-SDK, `test/mocks/notification.js`.  Certificates are in `paypal_certificates`, objects in
`paypal_objects`, queries in `paypal_asking`.

Only a CRC-32 of the body is signed, and four bytes anywhere give any text the CRC that is wanted: whoever gets hold of
one delivery could send another text under its signature.  So a delivery that tells of a success, of money given back,
or of a dispute that was won, is only the reason to ask PayPal (`confirm_by_query`); and none tells of a time to come,
which would stand against whatever PayPal says until then.
"""

import re
import zlib
from base64 import b64decode
from binascii import Error as BadBase64
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, ClassVar, Final, Literal, Self, cast

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from pydantic import Field, field_validator, model_validator

from tillkeeper.domain.events import Kind, PaymentEvent, problem_with
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.about import About
from tillkeeper.gateways.account import AccountModel, ApiBase, OptionalSecret
from tillkeeper.gateways.base import Gateway, Queryable
from tillkeeper.gateways.errors import BadPayload, BadSignature, CannotQuery, Unavailable, VerificationStep
from tillkeeper.gateways.kit import strictjson, units
from tillkeeper.gateways.kit.answers import answered_at, queried
from tillkeeper.gateways.kit.fields import at, moment_from_rfc3339, reference_or_none, text
from tillkeeper.gateways.kit.http_status import OK, is_retry_status
from tillkeeper.gateways.kit.unknown_words import unknown_word
from tillkeeper.gateways.messages import Answer, Call, ClaimedReferences, Query, Request, Response, Token, Verified
from tillkeeper.gateways.paypal import api as asking
from tillkeeper.gateways.paypal import objects
from tillkeeper.gateways.paypal.certificates import Certificates, certificate_in, live_of, trust_in
from tillkeeper.gateways.paypal.objects import AUTHORIZATION, DISPUTE, SALE, Reader, Said, payment

ID_HEADER: Final = "paypal-transmission-id"
TIME_HEADER: Final = "paypal-transmission-time"
SIGNATURE_HEADER: Final = "paypal-transmission-sig"
CERTIFICATE_HEADER: Final = "paypal-cert-url"
ALGORITHM_HEADER: Final = "paypal-auth-algo"
ALGORITHM: Final = "SHA256withRSA"
AHEAD_MAX: Final = timedelta(days=1)  # what lies further in the future did not happen
SIGNATURE_CHARS_MAX: Final = 1024  # a key of 4096 bits makes 684

LIVE_BY_BASE: Final[Mapping[str, bool]] = {
    "https://api-m.paypal.com": True,
    "https://api.paypal.com": True,
    "https://api-m.sandbox.paypal.com": False,
    "https://api.sandbox.paypal.com": False,
}

_TRANSMISSION_ID: Final = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
_TRANSMISSION_TIME: Final = re.compile(r"[0-9TZ:.+-]{1,40}", re.ASCII)
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]+={0,2}", re.ASCII)


class PayPalSettings(AccountModel):
    """`[accounts.NAME]` with `gateway = "paypal"`."""

    gateway: Literal["paypal"]
    webhook_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")] = Field(
        description="The id that PayPal gave your webhook.  It is signed: a delivery for another webhook is refused."
    )
    merchant_id: Annotated[str, Field(min_length=1)] | None = Field(
        default=None,
        description="Your merchant id, where the app also acts for others: what names another payee changes nothing.",
    )
    client_id: str | None = Field(default=None, min_length=1, description="The REST app's client id, to ask PayPal.")
    client_secret: OptionalSecret = Field(default=None, description="The REST app's secret, beside its client id.")
    confirm_by_query: bool = Field(
        default=True,
        description="Ask PayPal about each payment, refund and won dispute that a delivery tells of, for only a "
        "checksum of it is signed.  Without client_id and client_secret nobody can ask, and they count as they are.",
    )
    certs: Mapping[str, str] = Field(
        default_factory=dict,
        max_length=8,
        description="Certificates by their URLs, as PEM with their intermediates, where this host may not fetch them.",
    )
    trusted_ca: str | None = Field(
        default=None,
        description="Authorities as PEM that PayPal's certificates must be issued under; else those that browsers "
        "trust.",
    )
    api_base: ApiBase = "https://api-m.paypal.com"

    @field_validator("certs")
    @classmethod
    def _certs_can_be_read(cls, certs: Mapping[str, str]) -> Mapping[str, str]:
        if any(live_of(url) is None for url in certs):
            raise ValueError("certs stand by URLs such as https://api.paypal.com/v1/notifications/certs/CERT-...")
        for pem in certs.values():
            certificate_in(pem)
        return certs

    @field_validator("trusted_ca")
    @classmethod
    def _trust_can_be_read(cls, bundle: str | None) -> str | None:
        if bundle is not None:
            trust_in(bundle)
        return bundle

    @model_validator(mode="after")
    def _client_is_whole(self) -> Self:
        if (self.client_id is None) != (self.client_secret is None):
            raise ValueError("give both client_id and client_secret, or neither")
        return self


ABOUT: Final = About(
    title="PayPal",
    verifies="RSA with SHA-256 over the transmission's id and time, your webhook's id and the CRC-32 of the body, by a "
    "certificate of PayPal's own name that a public authority issued",
    uncovered="The body itself is signed by its CRC-32 alone, which can be forged: whoever gets hold of a delivery can "
    "send another text under its signature. So successes, refunds and won disputes are asked for at PayPal before they "
    "count, unless `confirm_by_query` is off or no client is configured",
    dedupes_by="the event's `id`, which PayPal keeps when it sends again",
    acknowledges="200 without a body",
    queries="captures by their ids, orders as `order-ID` (with captures, authorizations, refunds), authorizations as "
    "`authorization-ID`, sales of the first API as `sale-ID`; refunds by their ids; not by the order reference; that "
    "PayPal took a payment back is told by webhook alone",
    refunds_seen="each refund where the order is asked about, that all went back where the capture is",
    checked="the text to be signed is made by the package `paypalrestsdk`; all else by documents",
    sources=(
        'PayPal\'s pages "Integrate webhooks" and "Webhook event names"; its references of Orders, Payments, Disputes',
        "the package `paypalrestsdk`",
        "PayPal-Python-SDK issue 91: a refund made on the website names no sale",
        "not confirmed: whether PAYMENT.CAPTURE.REVERSED shows a capture or a refund (both are read); card codes",
        "not confirmed: whether a capture that was taken back says so when it is asked about",
    ),
)


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """A body, and when it was received: no time in it is proven."""

    body: bytes
    at: datetime


class PayPal(Gateway):
    """One webhook of one REST app."""

    name: ClassVar[str] = "paypal"
    settings: ClassVar[type[AccountModel]] = PayPalSettings
    about: ClassVar[About] = ABOUT
    asks: ClassVar[frozenset[Queryable]] = frozenset({"payment", "refund"})
    keeps_keys: ClassVar[bool] = True
    kept_headers: ClassVar[frozenset[str]] = frozenset(
        {
            ID_HEADER,
            TIME_HEADER,
            SIGNATURE_HEADER,
            CERTIFICATE_HEADER,
            ALGORITHM_HEADER,
            "paypal-auth-version",
            "content-type",
            "user-agent",
        }
    )

    def __init__(self, account: str, settings: PayPalSettings) -> None:
        self.account = account
        self.live = LIVE_BY_BASE.get(settings.api_base)
        self._app = settings
        self._confirms = settings.confirm_by_query and settings.client_id is not None
        self._certificates = Certificates(settings.certs, trust_in(settings.trusted_ca))

    def verify(self, request: Request, now: datetime) -> Verified:
        """By the certificate that the delivery names, if it is at hand and PayPal's."""
        url, signature = self._url_in(request), _signature_in(request)
        certificate = self._certificates.at_hand(url, now)
        if certificate is None:
            raise BadSignature("the certificate that the delivery names is not at hand", VerificationStep.KEY)
        try:
            self._certificates.check(url, certificate, now)
        except ValueError as error:
            raise BadSignature(f"the certificate is not PayPal's: {error}", VerificationStep.KEY) from None
        try:
            certificate.key.verify(signature, self._signed_text(request), PKCS1v15(), SHA256())
        except InvalidSignature:
            raise BadSignature("the signature is not PayPal's for this webhook and body") from None
        self._certificates.used(url)
        return Verified(key=certificate.label, content=Delivered(body=request.body, at=now))

    def key_labels(self) -> tuple[str, ...]:
        """One for each certificate at hand."""
        return self._certificates.labels

    def missing_key_request(self, request: Request, *, now: datetime, nonce: str) -> Call | None:  # noqa: ARG002 - nothing is signed
        """Fetches the certificate, without credentials."""
        url = self._url_in(request)
        _signature_in(request)
        self._signed_text(request)
        if self._certificates.at_hand(url, now) is not None:
            return None
        if self._certificates.is_refused(url, now):
            raise BadSignature("PayPal had no such certificate a short time ago", VerificationStep.KEY)
        return _fetching(url)

    def key_refresh_request(self, *, now: datetime, nonce: str) -> Call | None:  # noqa: ARG002 - nothing is signed
        """The certificate in use, so that it does not lapse while PayPal goes on to sign with it."""
        url = self._certificates.in_use
        return None if url is None else _fetching(url)

    def read_key(self, call: Call, response: Response, *, now: datetime) -> None:
        """Takes the certificate in if it is PayPal's."""
        if is_retry_status(response.status, asking.RETRY_STATUSES):
            raise Unavailable(f"status {response.status}")
        if response.status != OK:
            self._certificates.refuse(call.url, now)
            raise BadSignature(f"PayPal has no such certificate: status {response.status}", VerificationStep.KEY)
        try:
            self._certificates.read_key(call.url, response.body.decode("ascii"), now)
        except ValueError as error:
            self._certificates.refuse(call.url, now)
            raise BadSignature(
                f"what was fetched is no certificate of PayPal's: {error}", VerificationStep.KEY
            ) from None

    def parse(self, verified: Verified) -> tuple[PaymentEvent, ...]:
        """The events for a type that TYPES knows, none for others, nor for what is asked about instead."""
        read = self._read(verified)
        if read is None:
            return ()
        event, event_type, said = read
        if not self._is_ours(at(event, ["resource"])):
            return ()
        if self._confirms and _must_be_asked(event_type, said):
            return ()
        since = said.since or moment_from_rfc3339(text(event, "create_time"))
        if since > cast("Delivered", verified.content).at + AHEAD_MAX:
            raise BadPayload("the time at which it happened is still to come")
        told = [(ending, it) for ending, it in objects.all_of(said) if not (self._confirms and ending in SUCCESSES)]
        return tuple(self._named(event, ending, it, it.since or since) for ending, it in told)

    def _named(self, event: object, ending: str, said: Said, when: datetime) -> PaymentEvent:
        event_id = text(event, "id")
        made = msgspec.structs.replace(self._event(said, when), event_id=f"{event_id}:{ending}" if ending else event_id)
        if problem := problem_with(made):
            raise BadPayload(problem)
        return made

    def queries_for(self, verified: Verified) -> tuple[Query, ...]:
        """The payment that succeeded, the refund, or the dispute that was won; and a refund that names no payment."""
        read = None if self._app.client_id is None else self._read(verified)
        if read is None or not self._is_ours(at(read[0], ["resource"])):
            return ()
        _, event_type, said = read
        is_of_nothing = said.refund_ref is not None and said.payment_ref is None
        if not is_of_nothing and not (self._confirms and _must_be_asked(event_type, said)):
            return ()
        if said.dispute_ref is not None:
            return (_asked(Query(about="payment", payment_ref=f"{DISPUTE}{said.dispute_ref}")),)
        payment_ref, refund_ref = (reference_or_none(ref) for ref in (said.payment_ref, said.refund_ref))
        if (payment_ref is None) is not (said.payment_ref is None) or (refund_ref is None) is not (
            said.refund_ref is None
        ):
            raise BadPayload("id of the payment or refund has characters that we do not ask with")
        about: Literal["payment", "refund"] = "payment" if refund_ref is None else "refund"
        asked = _asked(Query(about=about, payment_ref=payment_ref, refund_ref=refund_ref))
        if said.order is None or said.order_ref is not None:
            return (asked,)
        # Nothing in it names an order of ours, but PayPal's order may be registered with one.
        return (asked, _asked(Query(about="payment", payment_ref=said.order)))

    def claimed_references(self, request: Request) -> ClaimedReferences | None:
        """The payment that an event is about, and the merchant's reference of it."""
        try:
            event = strictjson.loads_unsigned(request.body)
            reader = TYPES.get(text(event, "event_type"))
            said = None if reader is None else reader(at(event, ["resource"]))
        except BadPayload:
            return None
        refs = [reference_or_none(ref) for ref in (said.order_ref, said.payment_ref)] if said else [None, None]
        return ClaimedReferences(order_ref=refs[0], payment_ref=refs[1]) if any(refs) else None

    def token_request(self, *, now: datetime) -> Call | None:  # noqa: ARG002 - nothing is signed
        """A token by the client's own name."""
        if self._app.client_id is None or self._app.client_secret is None:
            raise CannotQuery("client_id and client_secret are not set")
        return asking.signing_in(self._app.api_base, self._app.client_id, self._app.client_secret)

    def read_token(self, response: Response, *, now: datetime) -> Token:
        """The token, for some hours."""
        return asking.token_in(response, now)

    def query_request(self, query: Query, *, now: datetime, nonce: str) -> Call:  # noqa: ARG002 - nothing is signed
        """By the object's own id.  The token is added by whoever signed in."""
        if self._app.client_id is None:
            raise CannotQuery("client_id and client_secret are not set")
        return Call(
            method="GET",
            url=f"{self._app.api_base}{asking.path_of(query)}",
            headers={"Accept": "application/json"},
        )

    def read_response(self, query: Query, response: Response, *, now: datetime) -> Answer:
        """What the object, or each payment within the order, says of itself."""
        content = asking.content_of(response)
        if content is None:
            return Answer(found=False)
        try:
            return self._answer(query, content, answered_at(response, now))
        except units.UnknownCurrency:
            return Answer(found=True)

    def _answer(self, query: Query, content: object, told_at: datetime) -> Answer:
        told = asking.states(query, content, self._is_ours) if self._is_ours(content) else ()
        events = (self._event(said, said.since or told_at) for said in told)
        named = (msgspec.structs.replace(it, order_ref=it.order_ref or query.order_ref) for it in events)
        also = asking.asked_besides(query, content) if self._is_ours(content) else ()
        return Answer(found=True, events=tuple(queried(it) for it in named), also=also)

    def _is_ours(self, content: object) -> bool:
        """False where it names payees and we are none of them; refunds and sales name none."""
        payees = objects.payees_of(content) if self._app.merchant_id is not None else ()
        return not payees or self._app.merchant_id in payees

    def _url_in(self, request: Request) -> str:
        url = request.header(CERTIFICATE_HEADER)
        live = live_of(url)
        if live is None:
            raise BadSignature("the certificate's URL is none of PayPal's", VerificationStep.KEY)
        if self.live not in (None, live):
            told = "live" if live else "the sandbox"
            raise BadSignature(f"the delivery is of {told}, and api_base is not", VerificationStep.MODE)
        return url

    def _signed_text(self, request: Request) -> bytes:
        """Neither id nor time can hold the bar that stands between them."""
        transmission_id, time = request.header(ID_HEADER), request.header(TIME_HEADER)
        if not _TRANSMISSION_ID.fullmatch(transmission_id) or not _TRANSMISSION_TIME.fullmatch(time):
            raise BadSignature("the transmission's id or time is none", VerificationStep.HEADER)
        return f"{transmission_id}|{time}|{self._app.webhook_id}|{zlib.crc32(request.body)}".encode()

    def _read(self, verified: Verified) -> tuple[object, str, Said] | None:
        event = strictjson.loads(cast("Delivered", verified.content).body)
        event_type = text(event, "event_type")
        reader = TYPES.get(event_type)
        if reader is None:
            if event_type.startswith(FAMILIES):
                unknown_word("event_type", event_type)
            return None
        try:
            said = reader(at(event, ["resource"]))
        except units.UnknownCurrency:
            return None
        return None if said is None else (event, event_type, said)

    def _event(self, said: Said, when: datetime) -> PaymentEvent:
        return PaymentEvent(
            event_id="",
            kind=said.kind,
            account=self.account,
            occurred_at=when,
            order_ref=said.order_ref,
            payment_ref=said.payment_ref,
            refund_ref=said.refund_ref,
            dispute_ref=said.dispute_ref,
            amount=said.amount,
            total=said.total,
            currency=said.currency,
            failure=said.failure,
            failure_code=said.failure_code,
        )


def _must_be_asked(event_type: str, said: Said) -> bool:
    return event_type in CONFIRMED or said.kind is Kind.DISPUTE_WON


def _asked(query: Query) -> Query:
    """The query, if it can be put."""
    try:
        asking.path_of(query)
    except CannotQuery as error:
        raise BadPayload(str(error)) from None
    return query


def _fetching(url: str) -> Call:
    return Call(method="GET", url=url, headers={"Accept": "application/x-pem-file, text/plain, */*"})


def _signature_in(request: Request) -> bytes:
    if request.header(ALGORITHM_HEADER) != ALGORITHM:
        raise BadSignature(f"{ALGORITHM_HEADER} is not {ALGORITHM}", VerificationStep.HEADER)
    signature = request.header(SIGNATURE_HEADER)
    if len(signature) > SIGNATURE_CHARS_MAX or not _BASE64.fullmatch(signature):
        raise BadSignature("the signature is not base64", VerificationStep.HEADER)
    try:
        return b64decode(signature, validate=True)
    except BadBase64:
        raise BadSignature("the signature is not base64", VerificationStep.HEADER) from None


# Every type that changes what we know; all others are answered with success and change nothing.
TYPES: Final[Mapping[str, Reader]] = {
    "CHECKOUT.ORDER.APPROVED": objects.approved,
    "CHECKOUT.ORDER.COMPLETED": objects.completed,
    "CHECKOUT.ORDER.VOIDED": objects.voided,
    "CHECKOUT.PAYMENT-APPROVAL.REVERSED": objects.approval_reversed,
    "PAYMENT.AUTHORIZATION.CREATED": payment(Kind.PAYMENT_AUTHORIZED, AUTHORIZATION),
    "PAYMENT.AUTHORIZATION.DENIED": payment(Kind.PAYMENT_FAILED, AUTHORIZATION),
    "PAYMENT.AUTHORIZATION.VOIDED": payment(Kind.PAYMENT_CANCELLED, AUTHORIZATION, FailureClass.USER_CANCELLED),
    "PAYMENT.AUTHORIZATION.EXPIRED": payment(Kind.PAYMENT_CANCELLED, AUTHORIZATION, FailureClass.EXPIRED_UNPAID),
    "PAYMENT.CAPTURE.PENDING": payment(Kind.PAYMENT_PENDING),
    "PAYMENT.CAPTURE.COMPLETED": payment(Kind.PAYMENT_SUCCEEDED),
    "PAYMENT.CAPTURE.DENIED": payment(Kind.PAYMENT_FAILED, undoes=True),
    "PAYMENT.CAPTURE.DECLINED": payment(Kind.PAYMENT_FAILED),
    "PAYMENT.CAPTURE.REFUNDED": objects.refund,
    "PAYMENT.CAPTURE.REVERSED": objects.reversal,
    "PAYMENT.REFUND.PENDING": objects.refund,
    "PAYMENT.REFUND.FAILED": objects.refund,
    "PAYMENT.SALE.PENDING": payment(Kind.PAYMENT_PENDING, SALE),
    "PAYMENT.SALE.COMPLETED": payment(Kind.PAYMENT_SUCCEEDED, SALE),
    "PAYMENT.SALE.DENIED": payment(Kind.PAYMENT_FAILED, SALE, undoes=True),
    "PAYMENT.SALE.REFUNDED": objects.sale_refund,
    "PAYMENT.SALE.REVERSED": objects.sale_reversal,
    "CUSTOMER.DISPUTE.CREATED": objects.dispute,
    "CUSTOMER.DISPUTE.UPDATED": objects.dispute,
    "CUSTOMER.DISPUTE.RESOLVED": objects.dispute,
}
# Of these families every type is known, or its name is noted; others are of no order's money.
FAMILIES: Final = (
    "CHECKOUT.ORDER.",
    "CHECKOUT.PAYMENT-APPROVAL.",
    "CUSTOMER.DISPUTE.",
    "PAYMENT.AUTHORIZATION.",
    "PAYMENT.CAPTURE.",
    "PAYMENT.REFUND.",
    "PAYMENT.SALE.",
)
SUCCESSES: Final = frozenset({"order", "authorization"})  # of others that a payment stands for
# Those by whose forging somebody would get goods, or hide that money is still due.
CONFIRMED: Final = frozenset(
    {
        "CHECKOUT.ORDER.COMPLETED",
        "PAYMENT.CAPTURE.COMPLETED",
        "PAYMENT.CAPTURE.REFUNDED",
        "PAYMENT.REFUND.PENDING",
        "PAYMENT.REFUND.FAILED",
        "PAYMENT.SALE.COMPLETED",
        "PAYMENT.SALE.REFUNDED",
    }
)
