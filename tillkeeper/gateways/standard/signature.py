"""How a provider without a file of its own signs: Standard Webhooks, or any HMAC that a table can describe.

Source of the first: the specification standard-webhooks.md and the package `standardwebhooks`.
"""

import re
from base64 import b64decode
from binascii import unhexlify
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, ClassVar, Final, Literal, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import BaseModel, Field, model_validator

from tillkeeper.gateways.account import STRICT
from tillkeeper.gateways.errors import BadSignature, Stale, VerificationStep
from tillkeeper.gateways.kit.fields import UNIX_S_MAX
from tillkeeper.gateways.kit.freshness import TIMESTAMP_CHARS_MAX, check_fresh
from tillkeeper.gateways.kit.hmacs import HmacKeys
from tillkeeper.gateways.kit.key_labels import key_label
from tillkeeper.gateways.messages import Request

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what a secret begins with
VERSIONED_PREFIX: Final = "v1,whsec_"  # as Supabase hands it out
TEXT_PREFIX: Final = "polar_whs_"  # Polar's until 2026-08: the key is the whole text, this included
PUBLIC_KEY_PREFIX: Final = "whpk_"
ED25519_BYTES: Final = 32
SECRET_BYTES_MIN: Final = 16
SIGNATURES_MAX: Final = 10  # of one header: old and new keys, and versions to come
HEADER_CHARS_MAX: Final = 4096
_PLACE: Final = re.compile(r"\{(\w+)\}")
_VERSIONED: Final = re.compile(r"(?:^|[ ,\t])(v[0-9]+[a-z]?),([^ ,\t]+)", re.ASCII)
# Towards the body stands a sign that is in neither: the signature would not tell where one ends, and whoever holds a
# signed delivery could move the border.  A time may touch the body, if that shows no digit there (_check_border).
_RUNS_ON: Final = re.compile(r"\{id\}(?![^\w{-])|\{timestamp\}(?![^\w{-]|\Z)", re.ASCII)  # before the body
_RUNS_INTO: Final = re.compile(r"(?<![^\w}-])\{id\}|(?<![^\w}-])(?!\A)\{timestamp\}", re.ASCII)  # behind it
_ID: Final = re.compile(r"[\w-]{1,255}", re.ASCII)
_UNSIGNED_ID: Final = re.compile(r"[!-~]{1,255}", re.ASCII)  # printable, no spaces: it is kept, and shown
MILLISECONDS_FROM: Final = (
    10**11
)  # a time from here on is none in seconds (the year 5138), one before none in ms (1973)
_HEADER_NAME: Final = r"^[A-Za-z0-9-]{1,64}$"

# By prefix of the header names; Svix names them after itself.
STANDARD_HEADERS: Final[Sequence[tuple[str, str, str]]] = (
    ("webhook-id", "webhook-timestamp", "webhook-signature"),
    ("svix-id", "svix-timestamp", "svix-signature"),
)

UNITS: Final = {"s": "seconds", "ms": "milliseconds"}
HeaderName = Annotated[str, Field(pattern=_HEADER_NAME)]


class SignatureSettings(BaseModel):
    """`[accounts.NAME.signature]`: an HMAC in a header.  Without it the provider signs as Standard Webhooks says."""

    model_config = STRICT

    header: HeaderName
    algorithm: Literal["sha1", "sha256", "sha384", "sha512"] = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    prefix: Annotated[str, Field(max_length=64)] = ""
    separator: Annotated[str, Field(min_length=1, max_length=1)] | None = None  # of several signatures in the header
    signature_key: Annotated[str, Field(max_length=64)] | None = None  # where the header is t=1,v1=abc
    timestamp_key: Annotated[str, Field(max_length=64)] | None = None
    timestamp_header: HeaderName | None = None
    timestamp_unit: Literal["s", "ms"] = "s"
    tolerance_s: Annotated[int, Field(ge=1, le=86_400)] | None = 300
    id_header: HeaderName | None = None
    signed: str = "{body}"
    url: str | None = None  # our own, as it is registered with the provider
    secret_encoding: Literal["text", "hex", "base64"] = "text"  # noqa: S105 - no password

    @model_validator(mode="after")
    def _check(self) -> Self:
        places = set(_PLACE.findall(self.signed))
        if unknown := places - {"body", "timestamp", "id", "url"}:
            raise ValueError(f"signed: there is no {{{unknown.pop()}}}; there are body, timestamp, id and url")
        if self.signed.count("{body}") != 1:
            raise ValueError("signed must hold {body} once, or anybody could change it")
        before, _, behind = self.signed.partition("{body}")
        if _RUNS_ON.search(before) or _RUNS_INTO.search(behind):
            raise ValueError(
                "signed: between {timestamp} or {id} and the body stands a sign that is no letter or digit, such as a "
                "dot; only {timestamp} may touch {body}"
            )
        if "timestamp" in places and self.timestamp_header is None and self.timestamp_key is None:
            raise ValueError("signed holds {timestamp}: timestamp_header or timestamp_key says where it is")
        if "id" in places and self.id_header is None:
            raise ValueError("signed holds {id}: id_header says where it is")
        if "url" in places and self.url is None:
            raise ValueError("signed holds {url}: url says what it is")
        if self.timestamp_key is not None and self.signature_key is None:
            raise ValueError("timestamp_key goes with signature_key: the header is a list of pairs then")
        return self

    @property
    def headers(self) -> frozenset[str]:
        """All that it looks at, in lower case."""
        return frozenset(it.lower() for it in (self.header, self.timestamp_header, self.id_header) if it is not None)


class StandardSignature:
    """Standard Webhooks: `v1` HMAC-SHA256 and `v1a` ed25519 over id, time and body."""

    HEADERS: ClassVar[frozenset[str]] = frozenset(name for names in STANDARD_HEADERS for name in names)

    def __init__(self, secrets: Sequence[str], *, as_text: bool = False) -> None:
        keyed = [
            (key_label("webhook_secrets", at, ways[0]), key)
            for at, it in enumerate(secrets)
            if not it.startswith(PUBLIC_KEY_PREFIX)
            for ways in [standard_keys(it, as_text=as_text)]
            for key in ways
        ]
        labels, keys = [label for label, _ in keyed], [key for _, key in keyed]
        self._keys = HmacKeys("webhook_secrets", keys, encoding="base64", labels=labels)
        self._public = [
            (key_label("webhook_secrets", at, it), ed25519_key(it))
            for at, it in enumerate(secrets)
            if it.startswith(PUBLIC_KEY_PREFIX)
        ]
        self.labels = (*self._keys.labels, *(label for label, _ in self._public))  # each names its place in the list

    def check(self, request: Request, now: datetime) -> tuple[str, str]:
        """The key's label and the message's id.  Raises BadSignature."""
        names = next((it for it in STANDARD_HEADERS if it[2] in request.headers), STANDARD_HEADERS[0])
        message_id, timestamp = (request.header(name) for name in names[:2])
        told = " ".join(request.lines(names[2]))
        _check_id(message_id)
        check_fresh(timestamp, now)
        signed = f"{message_id}.{timestamp}.".encode() + request.body
        versions = _versions(told)
        for signature in versions.get("v1a", ()):
            if (label := self._label_of(signed, signature)) is not None:
                return label, message_id
        return self._keys.label_of(signed, *versions.get("v1", ())), message_id

    def _label_of(self, signed: bytes, signature: str) -> str | None:
        try:
            written = b64decode(signature, validate=True)
        except ValueError:
            return None
        for label, key in self._public:
            try:
                key.verify(written, signed)
            except InvalidSignature:
                continue
            return label
        return None


def _check_id(message_id: str, *, is_signed: bool = True) -> None:
    if is_signed and not _ID.fullmatch(message_id):
        raise BadSignature(
            "the message's id, which is signed, is not of letters, digits, - and _", VerificationStep.HEADER
        )
    if not is_signed and not _UNSIGNED_ID.fullmatch(message_id):
        raise BadSignature("the message's id is not of 1 to 255 printable characters of ASCII", VerificationStep.HEADER)


def _check_border(template: str, body: bytes) -> None:
    """A time is digits alone: where the body shows none, it is certain where one ends and the other begins."""
    if ("{timestamp}{body}" in template and body[:1].isdigit()) or (
        "{body}{timestamp}" in template and body[-1:].isdigit()
    ):
        raise BadSignature("the body has a digit where the signed time touches it, so nobody can tell them apart")


def _versions(told: str) -> Mapping[str, Sequence[str]]:
    """Signatures by version, of `v1,abc v1a,def`; a proxy may have joined two headers by a comma."""
    if len(told) > HEADER_CHARS_MAX:
        raise BadSignature("the signature header is too long", VerificationStep.HEADER)
    versions: dict[str, list[str]] = {}
    for version, signature in _VERSIONED.findall(told)[:SIGNATURES_MAX]:
        versions.setdefault(version, []).append(signature)
    return versions


def standard_keys(secret: str, *, as_text: bool = False) -> tuple[bytes, ...]:
    """The keys that a secret may stand for: the bytes that it encodes, and its text as it is.  Raises ValueError.

    Polar signs with the text of secrets made before 2026-09-08, and as the specification says with later ones.
    """
    text = secret.encode()
    if as_text or secret.startswith(TEXT_PREFIX):
        if len(text) < SECRET_BYTES_MIN:
            raise ValueError(f"webhook_secrets: a secret has {SECRET_BYTES_MIN} characters or more")
        return (text,)
    return (standard_key(secret), text)


def standard_key(secret: str) -> bytes:
    """The bytes of `whsec_` and base64, padded or not.  Raises ValueError."""
    written = secret.removeprefix(VERSIONED_PREFIX).removeprefix(SECRET_PREFIX)
    try:
        key = b64decode(written + "=" * (-len(written) % 4), validate=True)
    except ValueError:
        raise ValueError(
            "webhook_secrets: after whsec_ a secret is base64 (if the provider signs with the text as it stands, set "
            "secrets_as_text)"
        ) from None
    if len(key) < SECRET_BYTES_MIN:
        raise ValueError(f"webhook_secrets: a secret has {SECRET_BYTES_MIN} bytes or more")
    return key


def ed25519_key(secret: str) -> Ed25519PublicKey:
    """The key of `whpk_` and base64.  Raises ValueError."""
    written = secret.removeprefix(PUBLIC_KEY_PREFIX)
    try:
        return Ed25519PublicKey.from_public_bytes(b64decode(written + "=" * (-len(written) % 4), validate=True))
    except ValueError:
        raise ValueError(f"webhook_secrets: after whpk_ a public key is base64 of {ED25519_BYTES} bytes") from None


_DECODE: Final[Mapping[str, Callable[[str], bytes]]] = {
    "hex": unhexlify,
    "base64": lambda secret: b64decode(secret, validate=True),
}


def keys_of(settings: SignatureSettings, secrets: Sequence[str]) -> list[str | bytes]:
    """The secrets as they are used.  Raises ValueError."""
    decode = _DECODE.get(settings.secret_encoding)
    if decode is None:  # text
        return [*secrets]
    try:
        keys = [decode(it) for it in secrets]
    except ValueError:
        raise ValueError(f"webhook_secrets: a secret is not {settings.secret_encoding}") from None
    if any(len(key) < SECRET_BYTES_MIN for key in keys):
        raise ValueError(f"webhook_secrets: decoded, a secret has {SECRET_BYTES_MIN} bytes or more")
    return [*keys]


class DescribedSignature:
    """As `[accounts.NAME.signature]` says."""

    def __init__(self, settings: SignatureSettings, secrets: Sequence[str]) -> None:
        self._settings = settings
        borders = {settings.separator or ",", ","} - set(settings.prefix)  # no signature has a comma within
        self._borders = re.compile("|".join(map(re.escape, sorted(borders))) or "(?!)")
        keys = keys_of(settings, secrets)
        self._keys = HmacKeys("webhook_secrets", keys, digest=settings.algorithm, encoding=settings.encoding)
        self.labels = self._keys.labels

    def check(self, request: Request, now: datetime) -> tuple[str, str]:
        """The key's label and the message's id, if a header tells one.  Raises BadSignature."""
        it = self._settings
        signatures, timestamp = self._read(request)
        if it.timestamp_header is not None:
            timestamp = request.header(it.timestamp_header.lower())
        if timestamp is not None:
            self._check_time(timestamp, now)
        message_id = "" if it.id_header is None else request.header(it.id_header.lower())
        if it.id_header is not None:
            _check_id(message_id, is_signed="{id}" in it.signed)
        _check_border(it.signed, request.body)
        parts = {"timestamp": timestamp or "", "id": message_id, "url": it.url or ""}
        label = self._keys.label_of(_filled(it.signed, parts, request.body), *signatures)
        return label, message_id

    def _read(self, request: Request) -> tuple[list[str], str | None]:
        """The signatures and the time in the header, which may have been sent in several lines or joined by commas."""
        it = self._settings
        lines = request.lines(it.header.lower())
        if sum(map(len, lines)) > HEADER_CHARS_MAX:
            raise BadSignature("the signature header is too long", VerificationStep.HEADER)
        items = [item for line in lines for item in self._borders.split(line)]
        if it.signature_key is None:
            return self._bare(item.strip() for item in items[:SIGNATURES_MAX]), None
        pairs = [item.strip().partition("=") for item in items[: 2 * SIGNATURES_MAX]]
        times = [value for name, _, value in pairs if name == it.timestamp_key]
        if it.timestamp_key is not None and len(times) != 1:
            raise BadSignature(f"the signature header does not tell one {it.timestamp_key}", VerificationStep.HEADER)
        return self._bare(value for name, _, value in pairs if name == it.signature_key), next(iter(times), None)

    def _bare(self, signatures: Iterable[str]) -> list[str]:
        """Without the prefix; what does not have it is another scheme's, and left out."""
        it = self._settings
        bare = [each.removeprefix(it.prefix) for each in signatures if each.startswith(it.prefix)]
        if not bare:
            raise BadSignature("the signature header holds no signature of the form described", VerificationStep.HEADER)
        return [each.lower() for each in bare] if it.encoding == "hex" else bare

    def _check_time(self, timestamp: str, now: datetime) -> None:
        it = self._settings
        if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= TIMESTAMP_CHARS_MAX + 3):
            raise BadSignature("the signed time is not a number", VerificationStep.HEADER)
        signed_s = int(timestamp) / (1000 if it.timestamp_unit == "ms" else 1)
        age_s = now.timestamp() - signed_s
        if it.tolerance_s is not None and abs(age_s) > it.tolerance_s:
            unit: Literal["s", "ms"] = "ms" if int(timestamp) >= MILLISECONDS_FROM else "s"
            if unit != it.timestamp_unit:
                raise BadSignature(
                    f"the signed time looks like {UNITS[unit]}: set timestamp_unit to {unit}", VerificationStep.HEADER
                )
            when, signed_at = "ago" if age_s > 0 else "ahead", datetime.fromtimestamp(min(signed_s, UNIX_S_MAX), UTC)
            raise Stale(f"signed {abs(age_s):.0f} s {when}, more than {it.tolerance_s} s", signed_at)


def _filled(template: str, parts: Mapping[str, str], body: bytes) -> bytes:
    """What is signed.  Filled piece by piece, so that braces in a header mean nothing."""
    pieces = _PLACE.split(template)
    filled = [
        (body if name == "body" else parts[name].encode("utf-8", "surrogatepass")) if at % 2 else name.encode()
        for at, name in enumerate(pieces)
    ]
    return b"".join(filled)
