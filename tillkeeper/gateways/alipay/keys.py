"""Loads Alipay's keys: the one that signs for Alipay, with its chain in certificate mode, and certificates' names.

Source: Alipay's Node SDK (antcertutil) for the serial numbers of certificate mode.
"""

import hashlib
from base64 import b64decode
from datetime import datetime
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key

from tillkeeper.gateways.errors import BadSignature, VerificationStep
from tillkeeper.gateways.kit.chain import Chained, chained, leaf, readable
from tillkeeper.gateways.kit.rsa import is_signed_by, rsa_public_key

RSA_SIGNED: Final = "1.2.840.113549.1.1."  # the roots that count; a bundle holds some with SM2 and ECC as well


class TrustedKey(msgspec.Struct, frozen=True, kw_only=True):
    """The key that Alipay signs with, as ops know it.  In certificate mode it has a chain, and a name in answers."""

    label: str
    key: RSAPublicKey
    chain: Chained | None = None
    cert_sn: str | None = None

    def check_time(self, now: datetime) -> None:
        """Raises BadSignature while a certificate of the chain is not valid."""
        if self.chain is not None and not self.chain.is_valid_at(now):
            raise BadSignature("alipay_cert or its chain is not valid at this time", VerificationStep.KEY)

    def has_signed(self, signature: bytes, signed: bytes) -> bool:
        """Says whether the signature is this key's over these bytes."""
        return is_signed_by(self.key, signature, signed)


def trusted_public_key(text: str) -> TrustedKey:
    """Reads the key of key mode: bare base64, as the console shows it, or PEM.  Raises ValueError."""
    if "-----" not in text:
        text = f"-----BEGIN PUBLIC KEY-----\n{text.strip()}\n-----END PUBLIC KEY-----"
    return TrustedKey(label="alipay_public_key", key=rsa_public_key(text))


def trusted_certificate(certificate: str, roots: str) -> TrustedKey:
    """Reads the certificate of certificate mode, which must chain to one of the roots.  Raises ValueError."""
    chain = chained(certificate, roots)
    return TrustedKey(
        label=f"alipay_cert:{chain.serial:x}", key=chain.key, chain=chain, cert_sn=serial_of(leaf(certificate))
    )


def private_key_pem(text: object) -> object:
    """Returns a private key as PEM: Alipay's key tool hands out base64 without the PEM lines."""
    if not isinstance(text, str) or "-----" in text:
        return text
    try:
        key = load_der_private_key(b64decode("".join(text.split()), validate=True), password=None)
    except (ValueError, TypeError):
        raise ValueError("app_private_key is neither PEM nor the base64 of a private key") from None
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def serial_of(certificate: x509.Certificate) -> str:
    """Returns how Alipay names a certificate: a digest of who issued it under which number."""
    name = f"{certificate.issuer.rfc4514_string()}{certificate.serial_number}"
    return hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()


def serials_of_roots(bundle: str) -> str:
    """Returns how Alipay names a bundle of roots."""
    roots = [root for root in readable(bundle) if root.signature_algorithm_oid.dotted_string.startswith(RSA_SIGNED)]
    return "_".join(serial_of(root) for root in roots)
