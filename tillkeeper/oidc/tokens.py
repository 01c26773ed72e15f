"""Verifies what a provider says of somebody: the ID token's signature, for whom it is, when, and for which sign-in.

joserfc verifies the signature, and Authlib the claims; which algorithms count, and what must be said, stands here.
"""

from datetime import datetime
from typing import Any, Final

from authlib.oidc.core.claims import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from tillkeeper.oidc.discovery import SAID_CHARS_MAX, Discovered
from tillkeeper.oidc.errors import SignInRefused

CLOCK_SKEW_S: Final = 60  # how far the provider's clock may be from ours
TOKEN_CHARS_MAX: Final = 64 * 1024  # with some hundred groups in it


LOGOUT_LIVES_S: Final = 120  # of a logout token: one that is caught and sent again later ends nothing
SIGNED_OUT: Final = "http://schemas.openid.net/event/backchannel-logout"
# Whatever a stranger puts into a token: the libraries meet some of it with errors of Python's own.
BAD: Final = (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError)


class UnknownKey(Exception):
    """None of the keys at hand has signed it; the provider may have new ones."""


def verified_claims(
    token: str, keys: KeySet, discovered: Discovered, *, client_id: str, nonce: str, access_token: str, now: datetime
) -> dict[str, Any]:
    """Returns the claims of an ID token that this provider made for us, for this sign-in.

    Raises UnknownKey, and SignInRefused for anything else.
    """
    try:
        read = _read(token, keys, discovered)
        claims = CodeIDToken(
            read.claims,
            read.header,
            {
                "iss": {"essential": True, "value": discovered.issuer},
                "aud": {"essential": True, "value": client_id},
                "nonce": {"essential": True, "value": nonce},
            },
            {"client_id": client_id, "nonce": nonce, "access_token": access_token},
        )
        claims.validate(now=int(now.timestamp()), leeway=CLOCK_SKEW_S)
    except InvalidKeyIdError as error:
        raise UnknownKey from error
    except BAD as error:
        raise SignInRefused(f"the ID token is refused: {repr(error)[:SAID_CHARS_MAX]}") from None
    return dict(read.claims)


def signed_out_subject(token: str, keys: KeySet, discovered: Discovered, *, client_id: str, now: datetime) -> str:
    """Returns whom a logout token of this provider, made for us just now, says to have signed out there
    (OpenID Connect Back-Channel Logout 1.0, 2.6).

    Raises UnknownKey, and SignInRefused for anything else, and for one that names a session alone: none is known here.
    """
    try:
        claims = _read(token, keys, discovered).claims
        jwt.JWTClaimsRegistry(
            now=int(now.timestamp()),
            leeway=CLOCK_SKEW_S,
            iss={"essential": True, "value": discovered.issuer},
            aud={"essential": True, "value": client_id},
            iat={"essential": True},
            jti={"essential": True},
            sub={"essential": True},
        ).validate(claims)
        is_logout = isinstance(claims["events"][SIGNED_OUT], dict) and "nonce" not in claims
        is_old = now.timestamp() - claims["iat"] > LOGOUT_LIVES_S
    except InvalidKeyIdError as error:
        raise UnknownKey from error
    except BAD as error:
        raise SignInRefused(f"the logout token is refused: {repr(error)[:SAID_CHARS_MAX]}") from None
    if not is_logout or is_old or not isinstance(claims["sub"], str):
        raise SignInRefused("the logout token is none, is too old, or names nobody")
    return claims["sub"]


def _read(token: str, keys: KeySet, discovered: Discovered) -> jwt.Token:
    if len(token) > TOKEN_CHARS_MAX:
        raise ValueError(f"it has more than {TOKEN_CHARS_MAX} characters")
    registry = JWSRegistry(algorithms=list(discovered.algorithms), strict_check_header=False)
    return jwt.decode(token, keys, registry=registry)
