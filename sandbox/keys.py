"""Makes RSA keys, and writes them as PEM."""

from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

RSA_BITS: Final = 2048


def new_rsa_key() -> RSAPrivateKey:
    """Returns a fresh one."""
    return generate_private_key(public_exponent=65537, key_size=RSA_BITS)


def public_pem(key: RSAPrivateKey) -> str:
    """Its public half."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def private_pem(key: RSAPrivateKey) -> str:
    """Returns all of it, without a password."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
