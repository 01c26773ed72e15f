"""A browser for tests of the desk: it keeps cookies, and fills in forms as they stand on the page."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from ipaddress import IPv4Network

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from tillkeeper.desk.access.cookies import SESSION_COOKIE
from tillkeeper.desk.access.middleware import access
from tillkeeper.desk.app import build_app
from tillkeeper.desk.context import Desk
from tillkeeper.domain.people import Person, Role
from tillkeeper.store.people.people import add_person, set_password

LOOPBACK = (IPv4Network("127.0.0.0/8"),)
PASSWORD = "correct horse battery"
CSRF_FIELD = re.compile(r'name="csrf" value="(\w*)"')


class Browser:
    """One browser; `headers` go with each request."""

    def __init__(self, client: TestClient) -> None:
        self.client = client
        self.headers: dict[str, str] = {}

    async def get(self, path: str, **headers: str):
        return await self.client.get(path, headers=self.headers | headers, allow_redirects=False)

    async def csrf(self, path: str) -> str:
        """The token on a page's form."""
        found = CSRF_FIELD.search(await (await self.get(path)).text())
        assert found, f"{path} has no form"
        return found[1]

    async def post(self, path: str, *, csrf: str | None = None, on: str | None = None, headers=None, **fields: str):
        """Sends a form: with the token of the page that it stands `on`, or with that one."""
        sent = csrf if csrf is not None else await self.csrf(on or path)
        return await self.client.post(
            path, data=fields | {"csrf": sent}, headers=self.headers | (headers or {}), allow_redirects=False
        )

    async def sign_in(self, name: str = "mei", password: str = PASSWORD, *, wanted: str = "/", headers=None):
        return await self.post("/sign-in", name=name, password=password, next=wanted, headers=headers)

    def cookie(self, name: str = SESSION_COOKIE) -> str | None:
        """What it holds under that name."""
        return next((each.value for each in self.client.session.cookie_jar if each.key == name), None)

    def set_cookie(self, name: str, value: str) -> None:
        self.client.session.cookie_jar.update_cookies({name: value}, self.client.make_url("/"))


class Server:
    """A desk that serves, and browsers that know nothing of each other."""

    def __init__(self, desk: Desk, server: TestServer) -> None:
        self.desk = desk
        self._server = server

    @asynccontextmanager
    async def browser(self) -> AsyncIterator[Browser]:
        client = TestClient(self._server)
        try:
            yield Browser(client)
        finally:
            await client.session.close()


@asynccontextmanager
async def desk_server(desk: Desk, more=lambda app: None) -> AsyncIterator[Server]:
    """A desk with its real access; `more` adds to its application before it starts."""
    app: web.Application = build_app(desk, access(LOOPBACK))
    more(app)
    async with TestServer(app) as server:
        yield Server(desk, server)


async def add(desk: Desk, name: str = "mei", *, role: Role = Role.VIEWER, password_hash: str | None) -> Person:
    async with desk.pool.acquire() as conn:
        person = await add_person(
            conn, name=name, display_name=name.title(), role=role, locale="en", by="root", now=desk.now()
        )
        if password_hash is not None:
            await set_password(conn, person.id, password_hash)
    return person


def told(text: str) -> str:
    """The problem that a page tells."""
    found = re.search(r'role="alert">(.*?)</p>', text, re.DOTALL)
    return unescape(found[1].strip()) if found else ""
