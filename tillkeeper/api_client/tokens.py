"""Fetches access tokens for our credentials: one for each account, once for all callers that wait for it."""

import asyncio
from datetime import timedelta
from typing import Final

import msgspec

from tillkeeper.api_client.account_client import AccountClient, Environment
from tillkeeper.gateways.base import Gateway
from tillkeeper.gateways.messages import Call, Response, Token
from tillkeeper.telemetry import GATEWAY_QUERIES

MARGIN: Final = timedelta(minutes=1)  # before it expires, for clocks that differ and calls that are running


class TokenRefused(Exception):
    """The gateway refused a call with a stored token, which may have been revoked before it expired."""


class Tokens:
    """Holds the token of one account, and fetches it when it is needed."""

    def __init__(self, gateway: Gateway, client: AccountClient, environment: Environment) -> None:
        self._gateway = gateway
        self._client = client
        self._environment = environment
        self._token: Token | None = None
        self._fetching = asyncio.Lock()

    def needed(self) -> bool:
        """Returns whether calls need a token.  Raises CannotQuery."""
        return self._gateway.token_request(now=self._environment.now()) is not None

    async def at_hand(self) -> tuple[Token, bool]:
        """Returns the token, and whether it was stored before.  Raises QueryFailed, CannotQuery."""
        if (token := self._valid()) is not None:
            return token, True
        async with self._fetching:
            if (token := self._valid()) is not None:  # another caller fetched it meanwhile
                return token, True
            self._token = token = await self._client.request(self._token_request, self._read_token)
            GATEWAY_QUERIES.labels(self._client.account, "signed_in").inc()
            return token, False

    def drop(self, token: Token) -> None:
        """Discards this token, but not one that was fetched meanwhile."""
        if self._token is token:
            self._token = None

    def _valid(self) -> Token | None:
        token = self._token
        return token if token is not None and self._environment.now() < token.until - MARGIN else None

    def _token_request(self) -> Call:
        call = self._gateway.token_request(now=self._environment.now())
        assert call is not None, "whether it needs a token hangs on an account's settings alone"
        return call

    def _read_token(self, response: Response) -> Token:
        return self._gateway.read_token(response, now=self._environment.now())


def with_token(call: Call, token: Token) -> Call:
    """Adds the token to a call as its gateway expects it."""
    headers = {name: value for name, value in call.headers.items() if name.lower() != "authorization"}
    return msgspec.structs.replace(call, headers={**headers, "Authorization": f"Bearer {token.value}"})
