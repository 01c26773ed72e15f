"""How people know one of several keys without seeing it: by its place in the settings, and a fingerprint."""

import hashlib
from functools import lru_cache
from typing import Final

FINGERPRINT_BYTES: Final = 2  # tells five keys apart
# Made slowly: whoever reads a label could otherwise try a list of likely secrets against it in no time.
SLOWNESS: Final = {"n": 2**13, "r": 8, "p": 1}  # some 20 ms and 8 MiB each
FINGERPRINTS_KEPT: Final = 1024  # accounts are read anew whenever a file of theirs changes


def key_label(setting: str, at: int, secret: str | bytes) -> str:
    """Returns how ops know one of several keys of an account: its place, and a fingerprint, for places change."""
    return f"{setting}[{at}]:{_fingerprint(secret.encode() if isinstance(secret, str) else secret)}"


@lru_cache(FINGERPRINTS_KEPT)
def _fingerprint(key: bytes) -> str:
    return hashlib.scrypt(key, salt=b"tillkeeper key", dklen=FINGERPRINT_BYTES, **SLOWNESS).hex()
