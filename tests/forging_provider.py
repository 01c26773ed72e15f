"""A provider of a company's accounts that says what a test wants it to, signed by the right hand or by a forger's."""

import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from functools import cache
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from tests.company_provider import CLIENT

ACCESS_TOKEN = "an-access-token"
Key = RSAKey | ECKey | OKPKey | OctKey


@cache
def a_key(kid: str = "one") -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig"})


def base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def sealed(claims: object, key: Key, algorithm: str = "RS256", **header: object) -> str:
    """A token as whoever has the key makes it."""
    fields = {"alg": algorithm, "kid": key.kid, **header}
    return jwt.encode({name: value for name, value in fields.items() if value}, claims, key, algorithms=[algorithm])


def by_hand(claims: object, seal: Callable[[bytes], bytes], **header: object) -> str:
    """A token that no library makes."""
    signed = ".".join(base64url(json.dumps(part).encode()) for part in (header, claims)).encode()
    return f"{signed.decode()}.{base64url(seal(signed))}"


def unsealed(claims: object, **header: object) -> str:
    """A token that nobody signed."""
    return by_hand(claims, lambda _: b"", **{"alg": "none", **header})


class Forger:
    """What it answers; a test changes it."""

    def __init__(self) -> None:
        self.issuer = ""
        self.key = a_key()
        self.published: list[Key] = [self.key]
        self.discovery: dict[str, Any] = {}  # beside, or instead of, what it would say
        self.id_token: object = None
        self.userinfo: object = None
        self.answers: dict[str, Callable[[], web.StreamResponse]] = {}  # by path, instead of what it would answer
        self.asked: list[str] = []
        self.forms: list[dict[str, str]] = []

    def claims(self, nonce: str, *, now: datetime, **changes: object) -> dict[str, object]:
        """What a token says of somebody, in order; None takes a claim away."""
        at = int(now.timestamp())
        said = {
            "iss": self.issuer,
            "sub": "00u1",
            "aud": CLIENT,
            "exp": at + 300,
            "iat": at,
            "nonce": nonce,
            "email": "mei@shop.example",
            "email_verified": True,
            "groups": ["till-operators"],
        } | changes
        return {name: value for name, value in said.items() if value is not None}

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        if request.path in self.answers:
            return self.answers[request.path]()
        match request.path:
            case "/.well-known/openid-configuration":
                return web.json_response(self.document() | self.discovery)
            case "/keys":
                return web.json_response({"keys": [key.as_dict(private=False) for key in self.published]})
            case "/token":
                self.forms.append({name: str(value) for name, value in (await request.post()).items()})
                return web.json_response(
                    {"id_token": self.id_token, "access_token": ACCESS_TOKEN, "token_type": "Bearer"}
                )
            case "/userinfo":
                assert request.headers["Authorization"] == f"Bearer {ACCESS_TOKEN}"
                return web.json_response(self.userinfo)
        raise web.HTTPNotFound

    def document(self) -> dict[str, object]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "id_token_signing_alg_values_supported": ["RS256", "PS256", "ES256", "Ed25519", "HS256", "none"],
        }


@asynccontextmanager
async def forging() -> AsyncIterator[Forger]:
    forger = Forger()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", forger.answer)
    async with TestServer(app) as server:
        forger.issuer = str(server.make_url("")).rstrip("/")
        yield forger
