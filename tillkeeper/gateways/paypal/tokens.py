"""Fetches access tokens for PayPal's API.  Source: PayPal's page "Get an access token"."""

import re
from base64 import b64encode
from datetime import datetime, timedelta
from typing import Final

from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit.fields import integer, text
from tillkeeper.gateways.kit.http_status import BAD_REQUEST, DENIED_STATUSES, check_status
from tillkeeper.gateways.messages import Call, Response, Token
from tillkeeper.gateways.paypal.api import RETRY_STATUSES, content_of

BAD_CREDENTIALS_STATUSES: Final = DENIED_STATUSES | {BAD_REQUEST}
TOKEN_CHARS_MAX: Final = 4096
TOKEN_SECONDS_MAX: Final = 30 * 86_400
_TOKEN: Final = re.compile(r"[!-~]+", re.ASCII)


def token_request(api_base: str, client_id: str, client_secret: str) -> Call:
    """Asks for a token, by the client's own name."""
    credentials = b64encode(f"{client_id}:{client_secret}".encode()).decode()
    return Call(
        method="POST",
        url=f"{api_base}/v1/oauth2/token",
        headers={
            "Accept": "application/json",
            "Authorization": f"Basic {credentials}",
            "Content-Type": "application/x-www-form-urlencoded",
        },
        body=b"grant_type=client_credentials",
    )


def token_in(response: Response, now: datetime) -> Token:
    """Returns the token and until when it may be sent.  Raises Unavailable, AccessDenied or BadPayload."""
    check_status(response, retry=RETRY_STATUSES, denied=BAD_CREDENTIALS_STATUSES)
    content = content_of(response)
    value, lives_s = text(content, "access_token"), integer(content, "expires_in")
    if len(value) > TOKEN_CHARS_MAX or not _TOKEN.fullmatch(value):
        raise BadPayload("access_token is no token")
    if not 0 < lives_s <= TOKEN_SECONDS_MAX:
        raise BadPayload("expires_in is no span of a token")
    return Token(value=value, until=now + timedelta(seconds=lives_s))
