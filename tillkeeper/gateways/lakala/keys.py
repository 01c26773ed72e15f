"""Holds Lakala's platform certificates, of which there are two during a renewal."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from tillkeeper.gateways.account import ROTATED_MAX
from tillkeeper.gateways.errors import BadSignature, VerificationStep
from tillkeeper.gateways.kit.chain import leaf
from tillkeeper.gateways.kit.rsa import is_signed_by, rsa_certificate, signature_bytes

_CERTIFICATE: Final = re.compile(r"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----")


class TrustedCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate of Lakala's, and when it holds."""

    label: str
    key: RSAPublicKey
    valid_from: datetime
    valid_until: datetime


def trusted_certificates(pems: str) -> tuple[TrustedCertificate, ...]:
    """Returns each certificate of a text, once.  Raises ValueError."""
    found = _CERTIFICATE.findall(pems) or [pems]
    if len(found) > ROTATED_MAX:
        raise ValueError(f"platform_cert holds more than {ROTATED_MAX} certificates")
    return tuple(_trusted(pem) for pem in dict.fromkeys(found))


def _trusted(pem: str) -> TrustedCertificate:
    serial, key = rsa_certificate(pem)
    certificate = leaf(pem)
    return TrustedCertificate(
        label=f"platform_cert:{serial:x}",
        key=key,
        valid_from=certificate.not_valid_before_utc,
        valid_until=certificate.not_valid_after_utc,
    )


def label_of_signer(trusted: Sequence[TrustedCertificate], signature: str, signed: bytes, now: datetime) -> str:
    """Returns the label of the certificate that signed, among those that are valid now.  Raises BadSignature."""
    valid = [each for each in trusted if each.valid_from <= now <= each.valid_until]
    if not valid:
        raise BadSignature(
            "no certificate of platform_cert is valid at this time; was it renewed?", VerificationStep.KEY
        )
    raw = signature_bytes(signature)
    label = next((each.label for each in valid if is_signed_by(each.key, raw, signed)), None)
    if label is None:
        raise BadSignature("the signature is not by a certificate of platform_cert")
    return label
