"""Verifies HMAC signatures by any of several keys, as during a rotation: set up once, compared in constant time."""

import hmac
from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import Final, Literal

from tillkeeper.gateways.errors import BadSignature, VerificationStep
from tillkeeper.gateways.kit.key_labels import key_label
from tillkeeper.gateways.messages import Request

SIGNATURE_CHARS_MAX: Final = 1024  # SHA-512 in hexadecimal has 128
SIGNATURES_MAX: Final = 10  # of one delivery: by old and new keys, and room for a muddle

Encoding = Literal["hex", "base64"]
_ENCODE: Final[dict[Encoding, Callable[[bytes], bytes]]] = {
    "hex": lambda digest: digest.hex().encode(),
    "base64": b64encode,
}


class HmacKeys:
    """The keys of one setting.  A secret given as text is used as its UTF-8 bytes.

    `labels` names the keys where their places in the setting do not; two ways to use one secret have one label.
    """

    def __init__(
        self,
        setting: str,
        secrets: Sequence[str | bytes],
        *,
        digest: str = "sha256",
        encoding: Encoding = "hex",
        labels: Sequence[str] | None = None,
    ) -> None:
        self._setting = setting
        if labels is None:
            labels = [key_label(setting, at, secret) for at, secret in enumerate(secrets)]
        self.labels = tuple(dict.fromkeys(labels))
        self._encode = _ENCODE[encoding]
        self._keyed = [  # once: to set up a key costs half of what signing a body does
            (label, hmac.new(_bytes(secret), digestmod=digest)) for label, secret in zip(labels, secrets, strict=True)
        ]

    def label_in(self, request: Request, header: str, signed: bytes, *, prefix: str = "") -> str:
        """Returns the label of the key by which any signature that the header lists is one of `signed`.  Raises
        BadSignature.

        Several lines of it, and one line with commas, mean the same (RFC 9110, 5.3).
        """
        listed = [item.strip() for line in request.lines(header) for item in line.split(",")]
        return self.label_of(signed, *(signature.removeprefix(prefix) for signature in listed[:SIGNATURES_MAX]))

    def label_of(self, signed: bytes, *signatures: str) -> str:
        """Returns the label of the key by which any of the signatures is one of `signed`.  Raises BadSignature."""
        candidates = [_ascii(signature) for signature in signatures]
        for label, keyed in self._keyed:
            mac = keyed.copy()
            mac.update(signed)
            expected = self._encode(mac.digest())
            for signature in candidates:
                if hmac.compare_digest(expected, signature):
                    return label
        raise BadSignature(f"the signature is not by any of the {self._setting}")


def _bytes(secret: str | bytes) -> bytes:
    return secret.encode() if isinstance(secret, str) else secret


def _ascii(signature: str) -> bytes:
    if not signature.isascii() or len(signature) > SIGNATURE_CHARS_MAX:
        raise BadSignature("the signature is not ASCII or too long", VerificationStep.HEADER)
    return signature.encode()
