"""Reads RSA keys from PEM texts, and makes and checks signatures in base64."""

from base64 import b64decode, b64encode
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256, HashAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from tillkeeper.gateways.errors import BadSignature, VerificationStep

RSA_BITS_MIN: Final = 2048
SIGNATURE_CHARS_MAX: Final = 1024  # a key of 2,048 bits makes 344, one of 4,096 makes 684
_PADDING: Final = PKCS1v15()
_SHA_256: Final = SHA256()


def rsa_public_key(pem: str) -> RSAPublicKey:
    """Returns the key in a PEM text.  Raises ValueError for anything but RSA of a fit size."""
    if "PRIVATE KEY" in pem:
        raise ValueError("this is a private key, which the gateway alone has; here belongs its public key")
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("a public key is not PEM; it begins with -----BEGIN PUBLIC KEY-----") from None
    return _rsa(key)


def rsa_certificate(pem: str) -> tuple[int, RSAPublicKey]:
    """Returns the serial number and the key in a PEM certificate.  Raises ValueError."""
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("a certificate is not PEM; it begins with -----BEGIN CERTIFICATE-----") from None
    return certificate.serial_number, _rsa(key)


def rsa_private_key(pem: str) -> RSAPrivateKey:
    """Returns the key in a PEM text without a password.  Raises ValueError."""
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("a private key is not PEM without a password") from None
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("a private key must be RSA")  # noqa: TRY004 - pydantic reports ValueError alone
    return key


def _rsa(key: object) -> RSAPublicKey:
    if not isinstance(key, RSAPublicKey) or key.key_size < RSA_BITS_MIN:
        raise ValueError(f"a key must be RSA of {RSA_BITS_MIN} bits or more")
    return key


def signature_bytes(signature: str, name: str = "the signature") -> bytes:
    """Returns the signature in a base64 text of a fit length.  Raises BadSignature, which calls it by `name`."""
    if not signature or len(signature) > SIGNATURE_CHARS_MAX:
        raise BadSignature(f"{name} is missing or too long", VerificationStep.HEADER)
    try:
        return b64decode(signature, validate=True)
    except ValueError:
        raise BadSignature(f"{name} is not base64", VerificationStep.HEADER) from None


def is_signed_by(key: RSAPublicKey, signature: bytes, signed: bytes, digest: HashAlgorithm = _SHA_256) -> bool:
    """Says whether the signature is that key's over these bytes."""
    try:
        key.verify(signature, signed, _PADDING, digest)
    except InvalidSignature:
        return False
    return True


def signature_of(key: RSAPrivateKey, signed: bytes, digest: HashAlgorithm = _SHA_256) -> str:
    """Returns the key's signature over these bytes, in base64."""
    return b64encode(key.sign(signed, _PADDING, digest)).decode()
