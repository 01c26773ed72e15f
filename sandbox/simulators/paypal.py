"""A simulated PayPal: transmissions signed by a certificate under an own root, and an API with tokens."""

import json
import secrets
import zlib
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Final, cast

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from sandbox.apis.base import ApiRequest, ApiResponse, SignedResponse
from sandbox.keys import new_rsa_key
from sandbox.ledger.ledger import Ledger
from sandbox.ledger.payments import PaymentRecord, PaymentState, RefundRecord, RefundState
from sandbox.signer import Signer
from sandbox.signing import Json, Signed
from sandbox.simulators.base import Secret, Setting, Simulator
from sandbox.simulators.stripe_api import http_date
from sandbox.story import Story, StoryEvent
from sandbox.templates import ALL, AT_ONCE_S, Event, Template
from tillkeeper import clock
from tillkeeper.domain.statuses import Status

APPROVED: Final = "CHECKOUT.ORDER.APPROVED"
ORDER_COMPLETED: Final = "CHECKOUT.ORDER.COMPLETED"
LET_GO: Final = "CHECKOUT.PAYMENT-APPROVAL.REVERSED"
AUTHORIZED: Final = "PAYMENT.AUTHORIZATION.CREATED"
VOIDED: Final = "PAYMENT.AUTHORIZATION.VOIDED"
PENDING: Final = "PAYMENT.CAPTURE.PENDING"
COMPLETED: Final = "PAYMENT.CAPTURE.COMPLETED"
DENIED: Final = "PAYMENT.CAPTURE.DENIED"
DECLINED: Final = "PAYMENT.CAPTURE.DECLINED"
REFUNDED: Final = "PAYMENT.CAPTURE.REFUNDED"
REFUND_PENDING: Final = "PAYMENT.REFUND.PENDING"
REFUND_FAILED: Final = "PAYMENT.REFUND.FAILED"
REVERSED: Final = "PAYMENT.CAPTURE.REVERSED"
DISPUTED: Final = "CUSTOMER.DISPUTE.CREATED"

CAPTURE_PREFIX: Final = "7CAP"
ORDER_PREFIX: Final = "5ORD"
AUTHORIZATION_PREFIX: Final = "3AUT"
API: Final = "https://api.paypal.com"
CERTIFICATE_NAME: Final = "messageverificationcerts.paypal.com"
TOKEN_S: Final = 32_400
# PayPal writes these without decimals, whatever ISO 4217 says of the first and the last.
WITHOUT_DECIMALS: Final = frozenset({"HUF", "JPY", "TWD"})


class PayPalIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """A signing key, its certificate with the one above it, and the authority that one is issued under."""

    key: RSAPrivateKey
    chain: str
    authority: str


class PayPalSigner(msgspec.Struct, frozen=True, kw_only=True):
    """PayPal's, with a webhook and a REST app."""

    gateway: ClassVar[str] = "paypal"
    pays: ClassVar[str] = COMPLETED
    signs_time: ClassVar[bool] = False
    amount_follows: ClassVar[bytes | None] = b'"value":"'

    account: str
    webhook_id: str
    client_id: str
    client_secret: str
    token: str
    certificate_url: str
    identity: PayPalIdentity

    def query(self, story: Story, event: StoryEvent) -> str:  # noqa: ARG002
        """None."""
        return ""

    def sign(self, story: Story, event: StoryEvent, *, now: datetime, again: int) -> Signed:
        """The same event each time, in a transmission of its own."""
        body = paypal_body(event.event_type, _resource(story, event), event_id=event.event_id, at=event.at)
        transmission_id = f"{event.event_id.replace('_', '-')}-{again}"
        return paypal_signed(
            self.identity.key,
            body,
            webhook_id=self.webhook_id,
            certificate_url=self.certificate_url,
            transmission_id=transmission_id,
            at=now,
        )


def paypal_signed(
    key: RSAPrivateKey,
    body: bytes,
    *,
    webhook_id: str,
    certificate_url: str,
    at: datetime,
    transmission_id: str = "d5d54e60-c0f5-11f0-9a2d-5f3b1c7a9e42",
) -> Signed:
    """Any body with PayPal's headers."""
    time = _rfc3339(at)
    checksum = zlib.crc32(body) & 0xFFFFFFFF
    signature = key.sign("|".join([transmission_id, time, webhook_id, str(checksum)]).encode(), PKCS1v15(), SHA256())
    return {
        "Content-Type": "application/json",
        "User-Agent": "PayPal/AUHD-214.0-58843461",
        "PAYPAL-TRANSMISSION-ID": transmission_id,
        "PAYPAL-TRANSMISSION-TIME": time,
        "PAYPAL-TRANSMISSION-SIG": b64encode(signature).decode(),
        "PAYPAL-CERT-URL": certificate_url,
        "PAYPAL-AUTH-ALGO": "SHA256withRSA",
        "PAYPAL-AUTH-VERSION": "v2",
    }, body


def paypal_body(event_type: str, resource: Json, *, event_id: str, at: datetime) -> bytes:
    """The event around its resource."""
    return _json(
        {
            "id": event_id,
            "event_version": "1.0",
            "create_time": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.213Z"),
            "resource_type": event_type.split(".")[1].lower(),
            "resource_version": "2.0",
            "event_type": event_type,
            "summary": event_type.replace(".", " ").capitalize(),
            "resource": resource,
        }
    )


def paypal_money(amount: int, currency: str) -> Json:
    """An amount in minor units as PayPal writes it."""
    digits = 0 if currency == "JPY" else 2
    major = Decimal(amount).scaleb(-digits)
    return {"value": f"{major:.{0 if currency in WITHOUT_DECIMALS else 2}f}", "currency_code": currency}


def paypal_capture(
    capture_id: str, amount: int, currency: str, order_ref: str, /, *, at: datetime, **more: Any
) -> Json:
    """A capture that is completed, unless `more` says otherwise."""
    return {
        "id": capture_id,
        "amount": paypal_money(amount, currency),
        "final_capture": True,
        "seller_protection": {"status": "ELIGIBLE", "dispute_categories": ["ITEM_NOT_RECEIVED"]},
        "custom_id": order_ref,
        "status": "COMPLETED",
        "supplementary_data": {"related_ids": {"order_id": _order_id(capture_id)}},
        "create_time": _rfc3339(at),
        "update_time": _rfc3339(at),
        "links": [
            _link("self", f"/v2/payments/captures/{capture_id}"),
            _link("up", f"/v2/checkout/orders/{_order_id(capture_id)}"),
        ],
    } | more


def paypal_refund(refund_id: str, capture_id: str, amount: int, currency: str, /, *, at: datetime, **more: Any) -> Json:
    """A refund that is completed, unless `more` says otherwise.  Its capture stands among its links alone."""
    return {
        "id": refund_id,
        "amount": paypal_money(amount, currency),
        "seller_payable_breakdown": {"total_refunded_amount": paypal_money(amount, currency)},
        "status": "COMPLETED",
        "create_time": _rfc3339(at),
        "update_time": _rfc3339(at),
        "links": [
            _link("self", f"/v2/payments/refunds/{refund_id}"),
            _link("up", f"/v2/payments/captures/{capture_id}"),
        ],
    } | more


def paypal_order(order_id: str, amount: int, currency: str, order_ref: str, /, *, at: datetime, **more: Any) -> Json:
    """An order that the buyer approved, unless `more` says otherwise."""
    return {
        "id": order_id,
        "intent": "CAPTURE",
        "status": "APPROVED",
        "purchase_units": [
            {"reference_id": "default", "amount": paypal_money(amount, currency), "custom_id": order_ref}
        ],
        "create_time": _rfc3339(at),
        "links": [_link("self", f"/v2/checkout/orders/{order_id}")],
    } | more


def paypal_dispute(
    dispute_id: str, capture_id: str, amount: int, currency: str, order_ref: str, /, *, at: datetime, **more: Any
) -> Json:
    """A dispute that was opened, unless `more` says otherwise."""
    return {
        "dispute_id": dispute_id,
        "create_time": _rfc3339(at),
        "update_time": _rfc3339(at),
        "disputed_transactions": [{"seller_transaction_id": capture_id, "custom": order_ref}],
        "reason": "MERCHANDISE_OR_SERVICE_NOT_RECEIVED",
        "status": "OPEN",
        "dispute_amount": paypal_money(amount, currency),
        "dispute_life_cycle_stage": "INQUIRY",
    } | more


def paypal_identity(name: str, at: datetime) -> PayPalIdentity:
    """An authority, one below it, and a certificate of that name; all valid for a year before and after."""
    keys = [new_rsa_key() for _ in range(3)]
    root = _issued("Sandbox Root CA", keys[0], None, at)
    between = _issued("Sandbox EV Server CA", keys[1], (root, keys[0]), at)
    leaf = _issued(name, keys[2], (between, keys[1]), at, host=name)
    return PayPalIdentity(key=keys[2], chain=_pem(leaf) + _pem(between), authority=_pem(root))


def _issued(
    name: str,
    key: RSAPrivateKey,
    by: tuple[x509.Certificate, RSAPrivateKey] | None,
    at: datetime,
    host: str | None = None,
) -> x509.Certificate:
    """Signed by another or by itself; an authority unless it is a host's."""
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    issuer, issuer_key = (by[0].subject, by[1]) if by else (subject, key)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - timedelta(days=365))
        .not_valid_after(at + timedelta(days=365))
        .add_extension(x509.BasicConstraints(ca=host is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .add_extension(_key_usage(signs_certificates=host is None), critical=True)
    )
    if host is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    return builder.sign(issuer_key, SHA256())


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=not signs_certificates,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


DECLINE: Final[Json] = {"processor_response": {"response_code": "5120", "avs_code": "G", "cvv_code": "P"}}
REFUND_STATUSES: Final = {
    RefundState.PENDING: "PENDING",
    RefundState.SUCCEEDED: "COMPLETED",
    RefundState.FAILED: "FAILED",
}
CAPTURE_MORE: Final[Mapping[str, Json]] = {
    PENDING: {"status": "PENDING", "status_details": {"reason": "ECHECK"}},
    COMPLETED: {},
    DENIED: {"status": "DECLINED", "status_details": {"reason": "ECHECK"}},
    DECLINED: {"status": "DECLINED"} | DECLINE,
}


def _resource(story: Story, event: StoryEvent) -> Json:
    """What the event is about."""
    event_type = event.event_type
    if event_type in CAPTURE_MORE:
        return _paid_by(story, event, story.payment_ref, **CAPTURE_MORE[event_type])
    if event_type.startswith("PAYMENT.AUTHORIZATION."):
        own = _with_prefix(story.payment_ref, AUTHORIZATION_PREFIX)
        return _paid_by(story, event, own, status=event_type.rpartition(".")[2])
    return _not_paid_by(story, event)


def _paid_by(story: Story, event: StoryEvent, ref: str, **more: Any) -> Json:
    content = (event.amount, story.currency, story.order_ref)
    return paypal_capture(ref, *content, at=event.at, **more)


def _not_paid_by(story: Story, event: StoryEvent) -> Json:
    """An order of PayPal's, or what goes back."""
    event_type, at = event.event_type, event.at
    capture_id, content = story.payment_ref, (event.amount, story.currency)
    if event_type == LET_GO:
        units = [{"reference_id": "default", "custom_id": story.order_ref}]
        return {"order_id": _order_id(capture_id), "purchase_units": units, "payment_source": {"paypal": {}}}
    if event_type == DISPUTED:
        return paypal_dispute(f"PP-D-{capture_id}", capture_id, *content, story.order_ref, at=at)
    if event_type == REVERSED:
        return paypal_refund(_with_prefix(capture_id, "9REV"), capture_id, *content, at=at)
    status = event_type.rpartition(".")[2]
    if event_type.startswith("CHECKOUT."):
        return paypal_order(_order_id(capture_id), *content, story.order_ref, at=at, status=status)
    status = "COMPLETED" if event_type == REFUNDED else status
    return paypal_refund(event.refund_ref, capture_id, *content, at=at, status=status)


class PayPalApi:
    """One account's captures, orders and refunds, for who has a token."""

    def __init__(self, signer: PayPalSigner, ledger: Ledger) -> None:
        self._signer = signer
        self._ledger = ledger

    @property
    def account(self) -> str:
        """The account's name in the configuration."""
        return self._signer.account

    def respond(self, request: ApiRequest, *, now: datetime, as_of: datetime) -> ApiResponse:  # noqa: ARG002
        """One query, or the request of a token."""
        if request.path == "/v1/oauth2/token":
            return self._token(request)
        if request.headers.get("authorization") != f"Bearer {self._signer.token}":
            return _error(401, "AUTHENTICATION_FAILURE")
        match request.path.split("/"):
            case ["", "v2", "payments", "captures", ref] if request.method == "GET":
                record = self._ledger.payment(self.account, ref, as_of)
                if record is not None and _is_captured(record):
                    return _found(_capture_of(record), record, about="payment")
            case ["", "v2", "checkout", "orders", ref] if request.method == "GET":
                capture_id = f"{CAPTURE_PREFIX}{ref.removeprefix(ORDER_PREFIX)}"
                record = self._ledger.payment(self.account, capture_id, as_of)
                if record is not None and ref.startswith(ORDER_PREFIX):
                    return _found(_order_of(record, ref), record, about="payment")
            case ["", "v2", "payments", "refunds", ref] if request.method == "GET":
                record = self._ledger.payment_of_refund(self.account, ref, as_of)
                refund = None if record is None else record.refund(ref)
                if record is not None and refund is not None:
                    return _found(_refund_of(record, refund), record, about="refund")
        return _error(404, "RESOURCE_NOT_FOUND")

    def _token(self, request: ApiRequest) -> ApiResponse:
        credentials = b64encode(f"{self._signer.client_id}:{self._signer.client_secret}".encode()).decode()
        is_ours = request.headers.get("authorization") == f"Basic {credentials}"
        if request.method != "POST" or not is_ours or request.body != b"grant_type=client_credentials":
            content = {"error": "invalid_client", "error_description": "Client Authentication failed"}
            return ApiResponse(status=401, body=_json(content), about="nothing", summary="no token")
        token = {"access_token": self._signer.token, "token_type": "Bearer", "expires_in": TOKEN_S}
        return ApiResponse(body=_json(token), about="nothing", summary="token")

    def error_response(self, status: int, request: ApiRequest) -> ApiResponse:  # noqa: ARG002
        """PayPal's words for it."""
        return _error(status, "RATE_LIMIT_REACHED" if status == 429 else "INTERNAL_SERVER_ERROR")  # noqa: PLR2004

    def signed(self, content: ApiResponse, *, now: datetime, forged: bool = False) -> SignedResponse:
        """Nothing is signed; a forged answer is one that breaks off."""
        headers = {"Content-Type": "application/json", "Date": http_date(now), **content.headers}
        body = content.body[: len(content.body) // 2] if forged else content.body
        return SignedResponse(status=content.status, headers=headers, body=body)


def _is_captured(record: PaymentRecord) -> bool:
    """Approving and authorizing make no capture yet; one that was taken back is shown as it was."""
    return record.event_type in CAPTURE_MORE or record.event_type == REVERSED


def _capture_of(record: PaymentRecord) -> Json:
    story, more = record.story, dict(CAPTURE_MORE.get(record.event_type, {}))
    amount = record.captured or story.amount
    made_at = next(it.at for it in story.events if it.event_type in CAPTURE_MORE)
    more["create_time"] = _rfc3339(made_at)
    if record.refunded:
        more["status"] = "REFUNDED" if record.refunded == record.captured else "PARTIALLY_REFUNDED"
    return paypal_capture(story.payment_ref, amount, story.currency, story.order_ref, at=record.at, **more)


def _order_of(record: PaymentRecord, order_id: str) -> Json:
    story = record.story
    order = paypal_order(order_id, story.amount, story.currency, story.order_ref, at=record.at)
    if _is_captured(record):
        order["status"] = "COMPLETED"
        refunds = [_refund_of(record, it) for it in record.refunds]
        order["purchase_units"][0]["payments"] = {"captures": [_capture_of(record)], "refunds": refunds}
    elif record.state is not PaymentState.PENDING:
        order["status"] = "VOIDED" if record.state is PaymentState.CANCELLED else "CREATED"
    return order


def _refund_of(record: PaymentRecord, refund: RefundRecord) -> Json:
    content = (refund.refund_ref, record.story.payment_ref, refund.amount, record.story.currency)
    return paypal_refund(*content, at=refund.at, status=REFUND_STATUSES[refund.state])


def _found(content: Json, record: PaymentRecord, *, about: str) -> ApiResponse:
    story = record.story
    return ApiResponse(
        body=_json(content), about=about, ref=content["id"], order_ref=story.order_ref, summary=content["status"]
    )


def _error(status: int, name: str) -> ApiResponse:
    content = {"name": name, "message": name.replace("_", " ").capitalize(), "debug_id": "b1d1f06c7246c"}
    return ApiResponse(status=status, body=_json(content), about="nothing", summary=name)


def _order_id(capture_id: str) -> str:
    return _with_prefix(capture_id, ORDER_PREFIX)


def _with_prefix(capture_id: str, prefix: str) -> str:
    return f"{prefix}{capture_id.removeprefix(CAPTURE_PREFIX)}"


def _link(rel: str, path: str) -> Json:
    return {"href": f"{API}{path}", "rel": rel, "method": "GET"}


def _json(content: Json) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


TEMPLATES: Final = (
    Template(name="paid", weight=30, events=(Event(COMPLETED),), status=Status.PAID, paid=ALL),
    Template(
        name="approved, then paid",
        weight=15,
        events=(Event(APPROVED), Event(COMPLETED, after_s=AT_ONCE_S), Event(ORDER_COMPLETED, after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="authorized, then captured",
        weight=5,
        events=(Event(AUTHORIZED), Event(COMPLETED)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="by eCheck, which takes its time",
        weight=6,
        events=(Event(PENDING), Event(COMPLETED, after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="approved, not captured", weight=4, events=(Event(APPROVED),), status=Status.PROCESSING),
    Template(name="on its way", weight=4, events=(Event(PENDING),), status=Status.PROCESSING),
    Template(name="an eCheck that is denied", weight=4, events=(Event(PENDING), Event(DENIED)), status=Status.FAILED),
    Template(name="declined", weight=6, events=(Event(DECLINED),), status=Status.FAILED),
    Template(name="approved, and let go", weight=4, events=(Event(APPROVED), Event(LET_GO)), status=Status.FAILED),
    Template(name="authorized, and voided", weight=3, events=(Event(AUTHORIZED), Event(VOIDED)), status=Status.FAILED),
    Template(
        name="a part given back",
        weight=6,
        events=(Event(COMPLETED), Event(REFUNDED, 4, "1")),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=4,
    ),
    Template(
        name="given back in two parts",
        weight=4,
        events=(Event(COMPLETED), Event(REFUNDED, 3, "1"), Event(REFUNDED, 7, "2")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="given back at once",
        weight=4,
        events=(Event(COMPLETED), Event(REFUNDED, ALL, "1", after_s=AT_ONCE_S)),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="being given back",
        weight=3,
        events=(Event(COMPLETED), Event(REFUND_PENDING, 5, "1")),
        status=Status.REFUNDING,
        paid=ALL,
    ),
    Template(
        name="a refund that fails",
        weight=3,
        events=(Event(COMPLETED), Event(REFUND_PENDING, 5, "1"), Event(REFUND_FAILED, 5, "1", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="disputed", weight=3, events=(Event(COMPLETED), Event(DISPUTED)), status=Status.PAID, paid=ALL),
    Template(name="taken back", weight=2, events=(Event(COMPLETED), Event(REVERSED)), status=Status.FAILED),
    Template(name="paid too little", weight=2, events=(Event(COMPLETED, 8),), status=Status.PARTIALLY_PAID, paid=8),
    Template(
        name="paid in another currency",
        weight=2,
        events=(Event(COMPLETED),),
        status=Status.UNPAID,
        in_other_currency=True,
    ),
    Template(
        name="paid where nobody expects it",
        weight=2,
        events=(Event(COMPLETED),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)


def _new_signer(account: str) -> PayPalSigner:
    return PayPalSigner(
        account=account,
        webhook_id=secrets.token_hex(9).upper(),
        client_id=f"A{secrets.token_hex(20)}",
        client_secret=f"E{secrets.token_hex(20)}",
        token=f"A21AA{secrets.token_urlsafe(40)}",
        certificate_url=f"{API}/v1/notifications/certs/CERT-{secrets.token_hex(4)}-{secrets.token_hex(4)}",
        identity=paypal_identity(CERTIFICATE_NAME, clock.now()),
    )


def _impostor(signer: Signer) -> PayPalSigner:
    return msgspec.structs.replace(
        cast("PayPalSigner", signer), identity=paypal_identity(CERTIFICATE_NAME, clock.now())
    )


def _settings(signer: Signer) -> Mapping[str, Setting]:
    signer = cast("PayPalSigner", signer)
    return {
        "webhook_id": signer.webhook_id,
        "client_id": signer.client_id,
        "client_secret": Secret(signer.client_secret),
        "certs": {signer.certificate_url: signer.identity.chain},
        "trusted_ca": signer.identity.authority,
    }


SIMULATOR: Final = Simulator(
    gateway="paypal",
    event_types={
        APPROVED: PaymentState.PENDING,
        ORDER_COMPLETED: None,
        LET_GO: PaymentState.CANCELLED,
        AUTHORIZED: PaymentState.AUTHORIZED,
        VOIDED: PaymentState.CANCELLED,
        PENDING: PaymentState.PENDING,
        COMPLETED: PaymentState.SUCCEEDED,
        DENIED: PaymentState.FAILED,
        DECLINED: PaymentState.FAILED,
        REFUNDED: RefundState.SUCCEEDED,
        REFUND_PENDING: RefundState.PENDING,
        REFUND_FAILED: RefundState.FAILED,
        REVERSED: PaymentState.REVERSED,
        DISPUTED: None,
    },
    second_events={DENIED: "reversed"},
    fetched=frozenset({ORDER_COMPLETED, COMPLETED, REFUNDED, REFUND_PENDING, REFUND_FAILED}),
    templates=TEMPLATES,
    currencies=("USD", "EUR", "GBP", "JPY"),
    payment_prefix=CAPTURE_PREFIX,
    new_signer=_new_signer,
    impostor=_impostor,
    settings=_settings,
    api=lambda signer, ledger: PayPalApi(cast("PayPalSigner", signer), ledger),
)
