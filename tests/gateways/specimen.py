"""What a gateway supplies to be put through the conformance suite.

A gateway NAME of the registry is tested by being listed: `specimen_NAME.py` must define `specimen(keys) -> Specimen`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Literal

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tillkeeper.gateways.base import Gateway
from tillkeeper.gateways.messages import Query, Request, Response

NOW = datetime(2026, 10, 5, 12, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Keys:
    """RSA keys for whoever needs them; `foreign` is never configured anywhere."""

    own: rsa.RSAPrivateKey
    other: rsa.RSAPrivateKey
    foreign: rsa.RSAPrivateKey


@dataclass(frozen=True)
class Layer:
    """Bytes that an authentic sender could choose: the body itself, or what is encrypted within it.

    `seal` makes a correctly signed request of any bytes.
    """

    plain: bytes
    seal: Callable[[bytes], Request]
    form: Literal["json", "form", "xml"] = "json"


@dataclass(frozen=True)
class Asked:
    """A query, and how its answer comes: `seal` makes a response of the gateway's, signed as it signs, of any bytes.

    `foreign` is the answer signed with a key not configured, and None where nothing in an answer is signed.
    """

    query: Query
    plain: bytes
    seal: Callable[[bytes], Response]
    foreign: Response | None
    form: Literal["json", "xml"] = "json"

    @property
    def answer(self) -> Response:
        return self.seal(self.plain)


@dataclass(frozen=True)
class Specimen:
    """`valid` is a request that yields exactly one event, or one query to fetch, at NOW; `foreign` the same, signed
    with a key not configured.

    `with_signature` puts other values in the signature's place, none, one or several.  `at` signs the valid body anew
    at another time, and is None where the scheme signs no time.  `settings` is what the configuration file says.
    `asked` has a query for each of what is `queryable` (payment, order, refund), with an answer that yields at
    least one event at NOW.

    `covers` tells what the signature is over.  "body": every byte, but for the pieces in `unsigned`, which change
    nothing.  "fields": `unsigned` are pieces that may change what is said beside the money (a reason, a time), never
    kind, references, amounts or currency.  "nothing": the body is anybody's, so that it yields queries, not events;
    `foreign` and `with_signature` are None then if there is no signature at all.
    `hints` is True where some other deliveries prove nothing, though this one does, and only have the gateway asked.
    `deciding` are names of values that rightly change an event's kind, or whether there is one.
    """

    settings: Mapping[str, object]
    gateway: Gateway
    valid: Request
    foreign: Request | None
    with_signature: Callable[[Request, Sequence[str]], Request] | None
    layers: Mapping[str, Layer]
    at: Callable[[datetime], Request] | None
    asked: Mapping[str, Asked]
    covers: Literal["body", "fields", "nothing"] = "body"
    unsigned: tuple[bytes, ...] = ()
    hints: bool = False
    deciding: frozenset[str] = frozenset()


def response_of(signed: tuple[Mapping[str, str], bytes], status: int = 200) -> Response:
    """A response as the network hands it on, of headers and body as a gateway sends them."""
    headers, body = signed
    return Response(status=status, headers={name.lower(): [value] for name, value in headers.items()}, body=body)


def request_of(signed: tuple[Mapping[str, str], bytes], query: str = "") -> Request:
    """A request as the receiver hands it on, of headers and body as a client sends them."""
    headers, body = signed
    return Request(headers={name.lower(): [value] for name, value in headers.items()}, body=body, query=query)


def with_header(request: Request, name: str, values: Sequence[str]) -> Request:
    """The request with a header's values replaced; none removes the header."""
    headers = {key: kept for key, kept in request.headers.items() if key != name}
    return msgspec.structs.replace(request, headers=headers | ({name: list(values)} if values else {}))


@cache
def rsa_keys() -> Keys:
    """Made once, for making them is slow."""
    own, other, foreign = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(3))
    return Keys(own=own, other=other, foreign=foreign)


def public_pem(key: rsa.RSAPrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def private_pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def certificate_pem(key: rsa.RSAPrivateKey, serial: int) -> str:
    """A self-signed certificate that is valid for years around now."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Tenpay.com Root CA")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2099, 1, 1, tzinfo=UTC))
        .sign(key, SHA256())
    )
    return certificate.public_bytes(Encoding.PEM).decode()
