"""Checks Stripe's signature: HMAC over `<t>.<body>`, by each of the secrets that are valid.

Source: the package `stripe` (`_webhook.py`, WebhookSignature).
"""

from collections.abc import Sequence
from datetime import datetime
from hmac import compare_digest
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from tillkeeper.gateways.errors import BadSignature, VerificationStep
from tillkeeper.gateways.kit.freshness import check_fresh
from tillkeeper.gateways.kit.key_labels import key_label

SIGNATURE_HEADER: Final = "stripe-signature"
SIGNATURE_HEADER_CHARS_MAX: Final = 1024  # a rolled secret makes two signatures of 67 characters


class SigningSecrets:
    """An endpoint's secrets, ready to check signatures with."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._keyed = [  # once: to set up a key costs half of what signing a body does
            (key_label("webhook_secrets", index, secret), HMAC(secret.encode(), SHA256()))
            for index, secret in enumerate(secrets)
        ]
        self.labels = tuple(label for label, _ in self._keyed)

    def label_of(self, header: str, body: bytes, now: datetime) -> str:
        """Returns the label of the secret that made one of the header's `v1` signatures.  Raises BadSignature."""
        timestamp, signatures = _parts_of(header)
        check_fresh(timestamp, now)
        signed = timestamp.encode() + b"." + body
        for label, keyed in self._keyed:
            mac = keyed.copy()
            mac.update(signed)
            expected = mac.finalize().hex().encode()
            for signature in signatures:
                if compare_digest(expected, signature):
                    return label
        raise BadSignature("no v1 signature is by any of the webhook_secrets")


def _parts_of(header: str) -> tuple[str, list[bytes]]:
    """Returns the time and the v1 signatures of `t=1,v1=a,v1=b,v0=c`; other schemes are ignored."""
    if not header.isascii() or len(header) > SIGNATURE_HEADER_CHARS_MAX:
        raise BadSignature("the signature header is not ASCII or too long", VerificationStep.HEADER)
    times: list[str] = []
    signatures: list[bytes] = []
    for part in header.split(","):
        name, _, value = part.partition("=")
        if name == "v1":
            signatures.append(value.encode())
        elif name == "t":
            times.append(value)
    if len(times) != 1:
        raise BadSignature("the signature header does not tell one time", VerificationStep.HEADER)
    return times[0], signatures
