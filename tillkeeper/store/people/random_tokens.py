"""Makes the random tokens of sessions, links and programs, of which the database knows the hash alone.

They are 256 random bits, so a plain hash is enough: nobody finds a token by trying.
"""

import hashlib
import secrets
from typing import Final

TOKEN_BYTES: Final = 32
API_TOKEN_PREFIX: Final = "tk_"  # noqa: S105 - by which scanners of repositories find one that leaked


def new_token() -> str:
    """Returns a new token for a cookie or a link."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def new_api_token() -> str:
    """Returns a new token for a program."""
    return API_TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)


def hash_of(token: str) -> bytes:
    """Returns what the database keeps of a token, whatever characters somebody sent."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()
