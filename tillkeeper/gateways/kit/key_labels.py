"""Labels keys so that people can tell them apart without seeing them: by place in the settings and fingerprint."""

import hashlib
from functools import lru_cache
from typing import Final

FINGERPRINT_BYTES: Final = 2  # enough to tell five keys apart
# Deliberately slow: from a label, a list of likely secrets could otherwise be tried in no time.
SLOWNESS: Final = {"n": 2**13, "r": 8, "p": 1}  # some 20 ms and 8 MiB each
FINGERPRINTS_KEPT: Final = 1024  # accounts are read again whenever one of their files changes


def key_label(setting: str, at: int, secret: str | bytes) -> str:
    """Returns the label of one of an account's keys: its place, and a fingerprint, for places change."""
    return f"{setting}[{at}]:{_fingerprint(secret.encode() if isinstance(secret, str) else secret)}"


@lru_cache(FINGERPRINTS_KEPT)
def _fingerprint(key: bytes) -> str:
    return hashlib.scrypt(key, salt=b"tillkeeper key", dklen=FINGERPRINT_BYTES, **SLOWNESS).hex()
