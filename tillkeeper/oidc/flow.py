"""Ties a sign-in at the provider to the browser that began it.

One random secret in a cookie of that browser makes all three: the state that must come back, the nonce that must stand
in the token, and the verifier without which the code is worth nothing.  So nothing is stored here until somebody is
in, and what comes back to another browser fits none of its cookies.
"""

import base64
import hmac
import secrets
from datetime import timedelta
from typing import Final

import msgspec

from tillkeeper.store.people.random_tokens import hash_of

FLOW_LIVES: Final = timedelta(minutes=10)  # to type a password and a second factor
SECRET_BYTES: Final = 32


class SignInFlow(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in that has begun, and the page of ours that the person wanted."""

    secret: str
    wanted: str

    @property
    def state(self) -> str:
        """Returns what the provider must send back."""
        return self._derived("state")

    @property
    def nonce(self) -> str:
        """Returns what must stand in the token."""
        return self._derived("nonce")

    @property
    def verifier(self) -> str:
        """Returns what proves that the code is redeemed by whoever asked for it (PKCE)."""
        return self._derived("code verifier")

    @property
    def number(self) -> bytes:
        """Returns what is kept of it, so that it signs in once."""
        return hash_of(self.state)

    @property
    def cookie(self) -> str:
        """Returns it as the browser keeps it."""
        return f"{self.secret}.{_base64(self.wanted.encode())}"

    def _derived(self, purpose: str) -> str:
        return _base64(hmac.digest(self.secret.encode(), purpose.encode(), "sha256"))


def new_flow(wanted: str) -> SignInFlow:
    """Begins a sign-in."""
    return SignInFlow(secret=secrets.token_urlsafe(SECRET_BYTES), wanted=wanted)


def flow_in(cookie: str | None) -> SignInFlow | None:
    """Returns the sign-in that a browser has begun; None where it has none."""
    secret, dot, wanted = (cookie or "").partition(".")
    try:
        return (
            SignInFlow(secret=secret, wanted=base64.urlsafe_b64decode(wanted + "==").decode())
            if secret and dot
            else None
        )
    except ValueError:
        return None


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
