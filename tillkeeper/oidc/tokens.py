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


class UnknownKey(Exception):
    """None of the keys at hand has signed it; the provider may have new ones."""


def verified_claims(
    token: str, keys: KeySet, discovered: Discovered, *, client_id: str, nonce: str, access_token: str, now: datetime
) -> dict[str, Any]:
    """Returns the claims of an ID token that this provider made for us, for this sign-in.

    Raises UnknownKey, and SignInRefused for anything else.
    """
    if len(token) > TOKEN_CHARS_MAX:
        raise SignInRefused(f"the ID token has more than {TOKEN_CHARS_MAX} characters")
    try:
        registry = JWSRegistry(algorithms=list(discovered.algorithms), strict_check_header=False)
        read = jwt.decode(token, keys, registry=registry)
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
    # Whatever a stranger puts into a token: the libraries meet some of it with errors of Python's own.
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
        raise SignInRefused(f"the ID token is refused: {repr(error)[:SAID_CHARS_MAX]}") from None
    return dict(read.claims)
