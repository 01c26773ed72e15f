"""Signs the links of the chain, and verifies them, with Ed25519 (RFC 8032)."""

from collections.abc import Callable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey


class BadPublicKey(ValueError):
    """A public key cannot be read; the text says what would be right."""


def signer(key: str) -> Callable[[bytes], bytes]:
    """Returns what signs a hash with a key of 64 hexadecimal digits."""
    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(key)).sign


def public_key(key: str) -> str:
    """Returns the public half of a key, as 64 hexadecimal digits."""
    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(key)).public_key().public_bytes_raw().hex()


def verifier(public: str) -> Callable[[bytes, bytes], bool]:
    """Returns what says whether a hash has a signature by the key of a public half.  Raises BadPublicKey."""
    try:
        known = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
    except ValueError:
        raise BadPublicKey("a public key is 64 hexadecimal digits, as `tillkeeper chain key` prints it") from None

    def is_signed(digest: bytes, signature: bytes) -> bool:
        try:
            known.verify(signature, digest)
        except InvalidSignature:
            return False
        return True

    return is_signed
