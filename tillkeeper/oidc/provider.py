"""Sends people to the provider, and learns from it who came back: authorization code with PKCE.

authorization_url ──> the browser signs in there ──> come back with a code ──> claims: code for tokens ─ verify
                                                                                 ─ ask for what no token says
"""

import asyncio
import hmac
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final, TypeVar

from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.client import OAuth2Client
from authlib.oauth2.rfc6749.parameters import prepare_token_request
from joserfc.jwk import KeySet

from tillkeeper import clock
from tillkeeper.api_client.http import Send, Unreachable, open_http
from tillkeeper.api_client.settings import ApiClientSettings
from tillkeeper.api_client.throttle import Bucket
from tillkeeper.domain.company_account import is_complete
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.messages import Call, Response
from tillkeeper.oidc.discovery import OK, Discovered, discovery_call, object_of, read_discovery, read_keys
from tillkeeper.oidc.errors import ProviderAway, ProviderRefuses, SignInRefused
from tillkeeper.oidc.flow import SignInFlow
from tillkeeper.oidc.paths import BACK_PATH
from tillkeeper.oidc.settings import OidcSettings
from tillkeeper.oidc.tokens import UnknownKey, signed_out_subject, verified_claims

Said = TypeVar("Said")

FRESH_S: Final = 300.0  # what was fetched is used for so long
KEYS_AGAIN_S: Final = 10.0  # an unknown key has them fetched, but no stranger makes us call more often
FORM: Final = "application/x-www-form-urlencoded"
CODE_CHARS_MAX: Final = 4096
BAD_CLIENT: Final = frozenset({"invalid_client", "unauthorized_client", "unsupported_grant_type"})
TOO_MANY: Final = 429
SERVER_ERRORS: Final = 500
# Codes that are brought back: strangers make some up, and must not have the provider shut us out for it.
CODES_PER_S, CODES_AT_ONCE = 5.0, 50  # a whole shift within seconds
LIMITS: Final = ApiClientSettings(connect_s=2.0, call_s=3.0)  # a person waits


class Provider:
    """One provider, asked over `send`."""

    def __init__(
        self,
        settings: OidcSettings,
        send: Send,
        *,
        comes_back_to: str,
        now: Callable[[], datetime],
        monotonic_s: Callable[[], float],
    ) -> None:
        self.settings = settings
        self._send_call = send
        self.comes_back_to = comes_back_to
        self._now = now
        self._monotonic_s = monotonic_s
        self._discovered: tuple[Discovered, float] | None = None
        self._keys: tuple[KeySet, float] | None = None
        self._fetching = asyncio.Lock()
        self._codes = Bucket(per_s=CODES_PER_S, burst=CODES_AT_ONCE)

    async def discovered(self) -> Discovered:
        """Returns what the provider says of itself, as of some minutes ago.  Raises ProviderAway, ProviderRefuses."""
        async with self._fetching:
            if self._discovered is None or self._age_s(self._discovered[1]) > FRESH_S:
                response = await self._send(discovery_call(self.settings.issuer))
                self._discovered = read_discovery(response, issuer=self.settings.issuer), self._monotonic_s()
            return self._discovered[0]

    async def keys(self, discovered: Discovered, *, older_than_s: float = FRESH_S) -> KeySet:
        """Returns the provider's keys, fetched anew where those at hand are older.  Raises ProviderAway."""
        async with self._fetching:
            if self._keys is None or self._age_s(self._keys[1]) > older_than_s:
                response = await self._send(Call(method="GET", url=discovered.jwks_uri, headers={}))
                self._keys = read_keys(response), self._monotonic_s()
            return self._keys[0]

    async def authorization_url(self, flow: SignInFlow) -> str:
        """Returns where the browser goes to sign in.  Raises ProviderAway, ProviderRefuses."""
        discovered = await self.discovered()
        url, _ = OAuth2Client(
            None,
            client_id=self.settings.client_id,
            scope=["openid", *self.settings.scopes],
            redirect_uri=self.comes_back_to,
            code_challenge_method="S256",
        ).create_authorization_url(
            discovered.authorization_endpoint, state=flow.state, code_verifier=flow.verifier, nonce=flow.nonce
        )
        return str(url)

    async def claims(self, flow: SignInFlow, answer: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """Returns what the provider says of whoever came back with this answer to this sign-in.

        Raises SignInRefused, ProviderAway, ProviderRefuses.
        """
        discovered = await self.discovered()
        code = code_in(flow, answer, discovered)
        tokens = await self._redeem(flow, code, discovered)
        claims = await self._verify(flow, tokens, discovered)
        if is_complete(claims, self.settings.rules) or discovered.userinfo_endpoint is None:
            return claims
        return await self._more(discovered.userinfo_endpoint, tokens["access_token"], claims["sub"]) | claims

    async def _redeem(self, flow: SignInFlow, code: str, discovered: Discovered) -> dict[str, str]:
        """Changes the code for tokens.  Raises as `claims` does."""
        if self._codes.take(self._monotonic_s(), wait_s_max=0.0) is None:
            raise ProviderAway("more codes are brought back than the provider is asked about")
        form = prepare_token_request(
            "authorization_code", code=code, redirect_uri=self.comes_back_to, code_verifier=flow.verifier
        )
        method = "client_secret_basic" if discovered.takes_basic else "client_secret_post"
        client = ClientAuth(self.settings.client_id, self.settings.client_secret, method)
        url, headers, body = client.prepare("POST", discovered.token_endpoint, {"Content-Type": FORM}, form)
        response = await self._send(Call(method="POST", url=url, headers=headers, body=body.encode()))
        if response.status != OK:
            _refuse(response)
        said = object_of(response, "the answer to the code")
        tokens = {name: said.get(name) for name in ("id_token", "access_token")}
        if not all(isinstance(token, str) and token.isascii() and token.isprintable() for token in tokens.values()):
            raise SignInRefused("the answer to the code holds no ID token, or no access token")
        return {name: str(token) for name, token in tokens.items()}

    async def _verify(self, flow: SignInFlow, tokens: dict[str, str], discovered: Discovered) -> dict[str, Any]:
        def verify(keys: KeySet) -> dict[str, Any]:
            return verified_claims(
                tokens["id_token"],
                keys,
                discovered,
                client_id=self.settings.client_id,
                nonce=flow.nonce,
                access_token=tokens["access_token"],
                now=self._now(),
            )

        return await self._with_keys(discovered, verify)

    async def signed_out(self, token: str) -> str:
        """Returns whom a logout token says to have signed out.  Raises SignInRefused, ProviderAway, ProviderRefuses."""
        discovered = await self.discovered()

        def verify(keys: KeySet) -> str:
            return signed_out_subject(token, keys, discovered, client_id=self.settings.client_id, now=self._now())

        return await self._with_keys(discovered, verify)

    async def _with_keys(self, discovered: Discovered, verify: Callable[[KeySet], Said]) -> Said:
        """Verifies with the provider's keys, fetched anew for one that is not among them."""
        for older_than_s in (FRESH_S, KEYS_AGAIN_S):
            try:
                return verify(await self.keys(discovered, older_than_s=older_than_s))
            except UnknownKey:
                continue
        raise SignInRefused("the token is signed with a key that the provider does not publish")

    async def _more(self, url: str, access_token: str, subject: str) -> dict[str, Any]:
        """Asks for what the token does not say."""
        headers = {"Authorization": f"Bearer {access_token}"}
        said = object_of(await self._send(Call(method="GET", url=url, headers=headers)), "the userinfo")
        if said.get("sub") != subject:
            raise SignInRefused("the userinfo is about another than the ID token")
        return said

    async def _send(self, call: Call) -> Response:
        try:
            return await self._send_call(call)
        except (Unreachable, BadPayload) as error:
            raise ProviderAway(f"{call.url}: {error}") from None

    def _age_s(self, fetched_s: float) -> float:
        return self._monotonic_s() - fetched_s


@asynccontextmanager
async def open_provider(
    settings: OidcSettings,
    desk_url: str,
    *,
    now: Callable[[], datetime] = clock.now,
    monotonic_s: Callable[[], float] = clock.monotonic_s,
) -> AsyncIterator[Provider]:
    """Opens what asks the provider, for a desk that browsers find at this address."""
    async with open_http(LIMITS) as send:
        back = desk_url.rstrip("/") + BACK_PATH
        yield Provider(settings, send, comes_back_to=back, now=now, monotonic_s=monotonic_s)


def code_in(flow: SignInFlow, answer: Mapping[str, Sequence[str]], discovered: Discovered) -> str:
    """Returns the code that a browser brings back.  Raises SignInRefused where this is no answer to that browser's
    sign-in by that provider."""
    values = {name: answer.get(name, ()) for name in ("state", "code", "error", "iss")}
    if any(len(texts) > 1 for texts in values.values()):
        raise SignInRefused("the answer names something twice")
    state, code, error, issuer = ("".join(texts) for texts in values.values())
    if not hmac.compare_digest(state.encode(errors="replace"), flow.state.encode()):
        raise SignInRefused("the state is not that of this browser's sign-in")
    if (issuer or discovered.names_itself) and issuer != discovered.issuer:
        raise SignInRefused("the answer is another provider's")
    if error or not code or len(code) > CODE_CHARS_MAX or not code.isprintable():
        raise SignInRefused(f"the provider gave no code: {error[:100]!r}")
    return code


def _refuse(response: Response) -> None:
    """Raises what a status other than 200 means for a code."""
    if response.status == TOO_MANY or response.status >= SERVER_ERRORS:
        raise ProviderAway(f"the answer to the code: status {response.status}")
    try:
        error = object_of(Response(status=OK, headers={}, body=response.body), "the answer to the code").get("error")
    except ProviderAway:
        error = None
    if isinstance(error, str) and error in BAD_CLIENT:
        raise ProviderRefuses(f"the provider refuses this desk's client: {error}")
    raise SignInRefused(f"the provider does not take the code: status {response.status}, {str(error)[:100]!r}")
