"""Signs as PayPal does."""

import zlib
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from tillkeeper.sandbox.formats import Json, Signed, compact_json, utc_seconds
from tillkeeper.sandbox.keys import new_rsa_key
from tillkeeper.sandbox.simulators.paypal.objects import (
    order_id,
    paypal_capture,
    paypal_dispute,
    paypal_order,
    paypal_refund,
    with_prefix,
)
from tillkeeper.sandbox.simulators.paypal.templates import (
    COMPLETED,
    DECLINED,
    DENIED,
    DISPUTED,
    LET_GO,
    PENDING,
    REFUNDED,
    REVERSED,
)
from tillkeeper.sandbox.story import Story, StoryEvent

AUTHORIZATION_PREFIX: Final = "3AUT"


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

    def sign(self, story: Story, event: StoryEvent, *, now: datetime, again: int) -> Signed:
        """Returns the same event each time, in a transmission of its own."""
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
    time = utc_seconds(at)
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
    """Returns the event around its resource."""
    return compact_json(
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


def paypal_identity(name: str, at: datetime) -> PayPalIdentity:
    """Returns an authority, one below it, and a certificate of that name; all valid for a year before and after."""
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

CAPTURE_MORE: Final[Mapping[str, Json]] = {
    PENDING: {"status": "PENDING", "status_details": {"reason": "ECHECK"}},
    COMPLETED: {},
    DENIED: {"status": "DECLINED", "status_details": {"reason": "ECHECK"}},
    DECLINED: {"status": "DECLINED"} | DECLINE,
}


def _resource(story: Story, event: StoryEvent) -> Json:
    """Returns what the event is about."""
    event_type = event.event_type
    if event_type in CAPTURE_MORE:
        return _paid_by(story, event, story.payment_ref, **CAPTURE_MORE[event_type])
    if event_type.startswith("PAYMENT.AUTHORIZATION."):
        own = with_prefix(story.payment_ref, AUTHORIZATION_PREFIX)
        return _paid_by(story, event, own, status=event_type.rpartition(".")[2])
    return _not_paid_by(story, event)


def _paid_by(story: Story, event: StoryEvent, ref: str, **more: Any) -> Json:
    content = (event.amount, story.currency, story.order_ref)
    return paypal_capture(ref, *content, at=event.at, **more)


def _not_paid_by(story: Story, event: StoryEvent) -> Json:
    """Returns an order of PayPal's, or what goes back."""
    event_type, at = event.event_type, event.at
    capture_id, content = story.payment_ref, (event.amount, story.currency)
    if event_type == LET_GO:
        units = [{"reference_id": "default", "custom_id": story.order_ref}]
        return {"order_id": order_id(capture_id), "purchase_units": units, "payment_source": {"paypal": {}}}
    if event_type == DISPUTED:
        return paypal_dispute(f"PP-D-{capture_id}", capture_id, *content, story.order_ref, at=at)
    if event_type == REVERSED:
        return paypal_refund(with_prefix(capture_id, "9REV"), capture_id, *content, at=at)
    status = event_type.rpartition(".")[2]
    if event_type.startswith("CHECKOUT."):
        return paypal_order(order_id(capture_id), *content, story.order_ref, at=at, status=status)
    status = "COMPLETED" if event_type == REFUNDED else status
    return paypal_refund(event.refund_ref, capture_id, *content, at=at, status=status)
