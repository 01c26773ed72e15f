"""Recognises a browser in which a person has signed in before, by a cookie that only knowing their hash can make.

Wrong passwords from such a browser are counted apart (domain/sign_in.py), so that nobody who guesses keeps the person
out.  A new password ends it.  The cookie signs nobody in, and nothing of it is stored.
"""

import hmac
import secrets
from typing import Final

NONCE_BYTES: Final = 12


def new_known_cookie(password_hash: str) -> str:
    """Returns the cookie for a browser in which a person has just signed in."""
    nonce = secrets.token_urlsafe(NONCE_BYTES)
    return f"{nonce}.{_mac(password_hash, nonce)}"


def known_browser(cookie: str | None, password_hash: str | None) -> str | None:
    """Returns which browser it is, if the person of this hash has signed in there."""
    nonce, _, mac = (cookie or "").partition(".")
    if password_hash is None or not hmac.compare_digest(mac, _mac(password_hash, nonce)):
        return None
    return nonce


def _mac(password_hash: str, nonce: str) -> str:
    return hmac.digest(password_hash.encode(), f"known browser {nonce}".encode(), "sha256").hex()
