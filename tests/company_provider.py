"""A provider of a company's accounts for tests: nanoidp, in a process of its own, and a browser's way through it."""

import json
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from pathlib import Path

import aiohttp

from tillkeeper.domain.people import Role
from tillkeeper.oidc.discovery import DISCOVERY
from tillkeeper.oidc.settings import OidcSettings
from tillkeeper.sandbox.servers.child import Child, free_ports

CLIENT, SECRET, PASSWORD = "till-desk", "a secret of the till's desk", "correct horse at work"
DESK_URL = "https://desk.shop.example"
GROUPS = {role: (f"till-{role}s",) for role in Role}
TRANSACTION = re.compile(r'name="transaction_id" value="([^"]+)"')


class Provider:
    """One that runs; `start` and `stop` may be told in turn."""

    def __init__(self, directory: Path) -> None:
        [self.port] = free_ports(1)
        self.issuer = f"http://localhost:{self.port}"  # not the desk's site: what another site sends, browsers treat so
        self._directory = directory
        self._child: Child | None = None
        settings = {
            "config_version": 1,
            "security_profile": "stricter-dev",
            "server": {"host": "127.0.0.1", "port": self.port, "rate_limit_token_endpoint": "10000/minute"},
            "oauth": {"issuer": self.issuer, "clients": [client_of(DESK_URL)]},
        }
        for name, content in {"settings": settings, "users": {"config_version": 1, "users": {}}}.items():
            (directory / f"{name}.yaml").write_text(json.dumps(content))  # which is YAML, too

    async def start(self) -> None:
        command = (sys.executable, "-m", "nanoidp", "--config", str(self._directory), "--strict-config")
        self._child = await Child.start(command, directory=self._directory, log=self._directory / "log")
        await self._child.ready(self._answers, within_s=60)

    async def stop(self) -> None:
        if self._child is not None:
            await self._child.stop(signal.SIGTERM, within_s=10)
            self._child = None

    async def _answers(self) -> bool:
        try:
            async with aiohttp.ClientSession() as http, http.get(f"{self.issuer}{DISCOVERY}") as answer:
                return answer.ok
        except aiohttp.ClientError:
            return False

    async def tell(self, method: str, path: str, content: object = None) -> None:
        """Tells it to have another user, client or key."""
        async with aiohttp.ClientSession() as http, http.request(method, self.issuer + path, json=content) as answer:
            assert answer.ok, await answer.text()

    async def employ(self, name: str, *groups: str, **fields: object) -> None:
        """Gives somebody an account, or another in its place."""
        async with aiohttp.ClientSession() as http, http.delete(f"{self.issuer}/api/runtime/users/{name}") as answer:
            assert answer.status in (200, 204, 404), await answer.text()
        user = {"username": name, "password": PASSWORD, "email": f"{name}@shop.example", "groups": list(groups)}
        await self.tell("POST", "/api/runtime/users", user | fields)

    async def sign_in(self, url: str, name: str) -> str:
        """Signs in as a person does, and returns where the browser is sent back to."""
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(cookie_jar=jar) as http:
            async with http.get(url) as page:
                text = await page.text()
            found = TRANSACTION.search(text)
            assert found, text
            form = {"transaction_id": unescape(found[1]), "username": name, "password": PASSWORD}
            async with http.post(f"{self.issuer}/authorize", data=form, allow_redirects=False) as answer:
                assert answer.status == 302, await answer.text()
                return answer.headers["Location"]

    def settings(self, **changes: object) -> OidcSettings:
        return settings_for(self.issuer, **changes)


def settings_for(issuer: str, **changes: object) -> OidcSettings:
    fields = {
        "issuer": issuer,
        "client_id": CLIENT,
        "client_secret": SECRET,
        "label": "Shop Ltd",
        "roles": GROUPS,
        "ask": "the till team, 4711",
    }
    return OidcSettings.model_validate(fields | changes)


def desk_toml(issuer: str) -> str:
    """What stands in `[desk]`, with the tables below it."""
    return (
        f'port = 0\npublic_url = "{DESK_URL}"\n[desk.oidc]\nissuer = "{issuer}"\nclient_id = "{CLIENT}"\n'
        f'client_secret = "{SECRET}"\n[desk.oidc.roles]\noperator = ["till-operators"]'
    )


def client_of(desk_url: str, name: str = CLIENT) -> dict[str, object]:
    return {"client_id": name, "client_secret": SECRET, "redirect_uris": [f"{desk_url}/sign-in/company/back"]}


@asynccontextmanager
async def company_provider(directory: Path) -> AsyncIterator[Provider]:
    provider = Provider(directory)
    await provider.start()
    try:
        yield provider
    finally:
        await provider.stop()
