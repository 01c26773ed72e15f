"""Signatures as Standard Webhooks specifies them.

Source: the specification standard-webhooks.md and the package `standardwebhooks`.
"""

import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tillkeeper.gateways.errors import BadSignature, VerificationStep
from tillkeeper.gateways.kit.freshness import check_fresh
from tillkeeper.gateways.kit.hmacs import HmacKeys
from tillkeeper.gateways.kit.key_labels import key_label
from tillkeeper.gateways.messages import Request
from tillkeeper.gateways.standard.message import (
    HEADER_CHARS_MAX,
    SECRET_BYTES_MIN,
    SIGNATURES_MAX,
    check_message_id,
)

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what a secret begins with
VERSIONED_PREFIX: Final = "v1,whsec_"  # as Supabase hands it out
TEXT_PREFIX: Final = "polar_whs_"  # Polar's until 2026-08: the key is the whole text, this included
PUBLIC_KEY_PREFIX: Final = "whpk_"
ED25519_BYTES: Final = 32
_VERSIONED: Final = re.compile(r"(?:^|[ ,\t])(v[0-9]+[a-z]?),([^ ,\t]+)", re.ASCII)

# By prefix of the header names; Svix names them after itself.
STANDARD_HEADERS: Final[Sequence[tuple[str, str, str]]] = (
    ("webhook-id", "webhook-timestamp", "webhook-signature"),
    ("svix-id", "svix-timestamp", "svix-signature"),
)


class StandardSignature:
    """Standard Webhooks: `v1` HMAC-SHA256 and `v1a` ed25519 over id, time and body."""

    HEADERS: ClassVar[frozenset[str]] = frozenset(name for names in STANDARD_HEADERS for name in names)

    def __init__(self, secrets: Sequence[str], *, as_text: bool = False) -> None:
        self._keys = _hmac_keys(secrets, as_text=as_text)
        self._public = [
            (key_label("webhook_secrets", place, secret), ed25519_key(secret))
            for place, secret in enumerate(secrets)
            if secret.startswith(PUBLIC_KEY_PREFIX)
        ]
        self.labels = (*self._keys.labels, *(label for label, _ in self._public))  # each names its place in the list

    def check(self, request: Request, now: datetime) -> tuple[str, str]:
        """Returns the key's label and the message's id.  Raises BadSignature."""
        names = next((names for names in STANDARD_HEADERS if names[2] in request.headers), STANDARD_HEADERS[0])
        message_id, timestamp = (request.header(name) for name in names[:2])
        header = " ".join(request.lines(names[2]))
        check_message_id(message_id)
        check_fresh(timestamp, now)
        signed = f"{message_id}.{timestamp}.".encode() + request.body
        versions = _versions(header)
        for signature in versions.get("v1a", ()):
            if (label := self._public_label_of(signed, signature)) is not None:
                return label, message_id
        return self._keys.label_of(signed, *versions.get("v1", ())), message_id

    def _public_label_of(self, signed: bytes, signature: str) -> str | None:
        try:
            decoded = b64decode(signature, validate=True)
        except ValueError:
            return None
        for label, key in self._public:
            try:
                key.verify(decoded, signed)
            except InvalidSignature:
                continue
            return label
        return None


def _hmac_keys(secrets: Sequence[str], *, as_text: bool) -> HmacKeys:
    """Returns the keys of those secrets that are not public; two ways to use one secret share its label."""
    keyed = [
        (key_label("webhook_secrets", place, keys[0]), key)
        for place, secret in enumerate(secrets)
        if not secret.startswith(PUBLIC_KEY_PREFIX)
        for keys in [standard_keys(secret, as_text=as_text)]
        for key in keys
    ]
    labels, keys = [label for label, _ in keyed], [key for _, key in keyed]
    return HmacKeys("webhook_secrets", keys, encoding="base64", labels=labels)


def _versions(header: str) -> Mapping[str, Sequence[str]]:
    """Signatures by version, of `v1,abc v1a,def`; a proxy may have joined two headers by a comma."""
    if len(header) > HEADER_CHARS_MAX:
        raise BadSignature("the signature header is too long", VerificationStep.HEADER)
    versions: dict[str, list[str]] = {}
    for version, signature in _VERSIONED.findall(header)[:SIGNATURES_MAX]:
        versions.setdefault(version, []).append(signature)
    return versions


def standard_keys(secret: str, *, as_text: bool = False) -> tuple[bytes, ...]:
    """Returns the keys that a secret may stand for: the bytes that it encodes, and its text as it is.  Raises
    ValueError.

    Polar signs with the text of secrets made before 2026-09-08, and as the specification says with later ones.
    """
    text = secret.encode()
    if as_text or secret.startswith(TEXT_PREFIX):
        if len(text) < SECRET_BYTES_MIN:
            raise ValueError(f"webhook_secrets: a secret has {SECRET_BYTES_MIN} characters or more")
        return (text,)
    return (standard_key(secret), text)


def standard_key(secret: str) -> bytes:
    """Returns the bytes of `whsec_` and base64, padded or not.  Raises ValueError."""
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
    """Returns the key of `whpk_` and base64.  Raises ValueError."""
    written = secret.removeprefix(PUBLIC_KEY_PREFIX)
    try:
        return Ed25519PublicKey.from_public_bytes(b64decode(written + "=" * (-len(written) % 4), validate=True))
    except ValueError:
        raise ValueError(f"webhook_secrets: after whpk_ a public key is base64 of {ED25519_BYTES} bytes") from None
