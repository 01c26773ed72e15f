"""Signatures as an account's table describes them: an HMAC in a header, of nearly any provider."""

import re
from base64 import b64decode
from binascii import unhexlify
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, Field, model_validator

from tillkeeper.gateways.account import STRICT
from tillkeeper.gateways.errors import BadSignature, Stale, VerificationStep
from tillkeeper.gateways.kit.fields import UNIX_S_MAX
from tillkeeper.gateways.kit.freshness import TIMESTAMP_CHARS_MAX
from tillkeeper.gateways.kit.hmacs import HmacKeys
from tillkeeper.gateways.messages import Request
from tillkeeper.gateways.standard.message import (
    HEADER_CHARS_MAX,
    SECRET_BYTES_MIN,
    SIGNATURES_MAX,
    check_message_id,
)

_PLACE: Final = re.compile(r"\{(\w+)\}")
PLACES: Final = frozenset({"body", "timestamp", "id", "url"})
# Towards the body stands a sign that is in neither: the signature would not tell where one ends, and whoever holds a
# signed delivery could move the border.  A time may touch the body, if that shows no digit there (_check_border).
_RUNS_ON: Final = re.compile(r"\{id\}(?![^\w{-])|\{timestamp\}(?![^\w{-]|\Z)", re.ASCII)  # before the body
_RUNS_INTO: Final = re.compile(r"(?<![^\w}-])\{id\}|(?<![^\w}-])(?!\A)\{timestamp\}", re.ASCII)  # behind it
# A time from here on is none in seconds (the year 5138), and one before is none in milliseconds (1973).
MILLISECONDS_FROM: Final = 10**11
_HEADER_NAME: Final = r"^[A-Za-z0-9-]{1,64}$"

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
    def _check_template(self) -> Self:
        if unknown := set(_PLACE.findall(self.signed)) - PLACES:
            raise ValueError(f"signed: there is no {{{unknown.pop()}}}; there are body, timestamp, id and url")
        if self.signed.count("{body}") != 1:
            raise ValueError("signed must hold {body} once, or anybody could change it")
        before, _, behind = self.signed.partition("{body}")
        if _RUNS_ON.search(before) or _RUNS_INTO.search(behind):
            raise ValueError(
                "signed: between {timestamp} or {id} and the body stands a sign that is no letter or digit, such as a "
                "dot; only {timestamp} may touch {body}"
            )
        return self

    @model_validator(mode="after")
    def _check_places(self) -> Self:
        """Each place in the template needs the setting that fills it."""
        places = set(_PLACE.findall(self.signed))
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
        """Returns the names of all headers that are looked at, in lower case."""
        names = (self.header, self.timestamp_header, self.id_header)
        return frozenset(name.lower() for name in names if name is not None)


_DECODE: Final[Mapping[str, Callable[[str], bytes]]] = {
    "hex": unhexlify,
    "base64": lambda secret: b64decode(secret, validate=True),
}


def keys_of(settings: SignatureSettings, secrets: Sequence[str]) -> list[str | bytes]:
    """Returns the secrets as they are used.  Raises ValueError."""
    decode = _DECODE.get(settings.secret_encoding)
    if decode is None:  # text
        return [*secrets]
    try:
        keys = [decode(secret) for secret in secrets]
    except ValueError:
        raise ValueError(f"webhook_secrets: a secret is not {settings.secret_encoding}") from None
    if any(len(key) < SECRET_BYTES_MIN for key in keys):
        raise ValueError(f"webhook_secrets: decoded, a secret has {SECRET_BYTES_MIN} bytes or more")
    return [*keys]


class DescribedSignature:
    """The signature that `[accounts.NAME.signature]` describes."""

    def __init__(self, settings: SignatureSettings, secrets: Sequence[str]) -> None:
        self._settings = settings
        borders = {settings.separator or ",", ","} - set(settings.prefix)  # no signature has a comma within
        self._borders = re.compile("|".join(map(re.escape, sorted(borders))) or "(?!)")
        keys = keys_of(settings, secrets)
        self._keys = HmacKeys("webhook_secrets", keys, digest=settings.algorithm, encoding=settings.encoding)
        self.labels = self._keys.labels

    def check(self, request: Request, now: datetime) -> tuple[str, str]:
        """Returns the key's label and the message's id, if a header tells one.  Raises BadSignature."""
        settings = self._settings
        signatures, timestamp = self._read(request)
        if settings.timestamp_header is not None:
            timestamp = request.header(settings.timestamp_header.lower())
        if timestamp is not None:
            self._check_time(timestamp, now)
        message_id = self._message_id(request)
        _check_border(settings.signed, request.body)
        parts = {"timestamp": timestamp or "", "id": message_id, "url": settings.url or ""}
        label = self._keys.label_of(_filled(settings.signed, parts, request.body), *signatures)
        return label, message_id

    def _read(self, request: Request) -> tuple[list[str], str | None]:
        """Returns the signatures and the time in the header, which may have been sent in several lines or joined by
        commas."""
        settings = self._settings
        lines = request.lines(settings.header.lower())
        if sum(map(len, lines)) > HEADER_CHARS_MAX:
            raise BadSignature("the signature header is too long", VerificationStep.HEADER)
        items = [item.strip() for line in lines for item in self._borders.split(line)]
        if settings.signature_key is None:
            return self._bare(items[:SIGNATURES_MAX]), None
        pairs = [item.partition("=") for item in items[: 2 * SIGNATURES_MAX]]
        times = [value for name, _, value in pairs if name == settings.timestamp_key]
        if settings.timestamp_key is not None and len(times) != 1:
            raise BadSignature(
                f"the signature header does not tell one {settings.timestamp_key}", VerificationStep.HEADER
            )
        return self._bare(value for name, _, value in pairs if name == settings.signature_key), next(iter(times), None)

    def _bare(self, signatures: Iterable[str]) -> list[str]:
        """Returns the signatures without the prefix; what does not have it is another scheme's, and left out."""
        prefix = self._settings.prefix
        bare = [signature.removeprefix(prefix) for signature in signatures if signature.startswith(prefix)]
        if not bare:
            raise BadSignature("the signature header holds no signature of the form described", VerificationStep.HEADER)
        return [signature.lower() for signature in bare] if self._settings.encoding == "hex" else bare

    def _message_id(self, request: Request) -> str:
        settings = self._settings
        if settings.id_header is None:
            return ""
        message_id = request.header(settings.id_header.lower())
        check_message_id(message_id, is_signed="{id}" in settings.signed)
        return message_id

    def _check_time(self, timestamp: str, now: datetime) -> None:
        settings = self._settings
        if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= TIMESTAMP_CHARS_MAX + 3):
            raise BadSignature("the signed time is not a number", VerificationStep.HEADER)
        signed_s = int(timestamp) / (1000 if settings.timestamp_unit == "ms" else 1)
        age_s = now.timestamp() - signed_s
        if settings.tolerance_s is None or abs(age_s) <= settings.tolerance_s:
            return
        self._check_unit(int(timestamp))
        when, signed_at = "ago" if age_s > 0 else "ahead", datetime.fromtimestamp(min(signed_s, UNIX_S_MAX), UTC)
        raise Stale(f"signed {abs(age_s):.0f} s {when}, more than {settings.tolerance_s} s", signed_at)

    def _check_unit(self, timestamp: int) -> None:
        unit: Literal["s", "ms"] = "ms" if timestamp >= MILLISECONDS_FROM else "s"
        if unit != self._settings.timestamp_unit:
            raise BadSignature(
                f"the signed time looks like {UNITS[unit]}: set timestamp_unit to {unit}", VerificationStep.HEADER
            )


def _check_border(template: str, body: bytes) -> None:
    """A time is digits alone: where the body shows none, it is certain where one ends and the other begins."""
    if ("{timestamp}{body}" in template and body[:1].isdigit()) or (
        "{body}{timestamp}" in template and body[-1:].isdigit()
    ):
        raise BadSignature("the body has a digit where the signed time touches it, so nobody can tell them apart")


def _filled(template: str, parts: Mapping[str, str], body: bytes) -> bytes:
    """Returns what is signed.  The template is filled piece by piece, so that braces in a header mean nothing."""
    pieces = _PLACE.split(template)
    filled = [
        (body if piece == "body" else parts[piece].encode("utf-8", "surrogatepass")) if place % 2 else piece.encode()
        for place, piece in enumerate(pieces)
    ]
    return b"".join(filled)
