"""A desk that serves over HTTP with its real access, and a clock that a test moves."""

from functools import cache

import pytest
from aiohttp import web
from argon2 import PasswordHasher

from tests.browsing import PASSWORD, desk_server
from tests.desks import a_desk
from tests.virtual_time import Clock
from tillkeeper.desk import app as desk_app
from tillkeeper.desk.access import passwords
from tillkeeper.desk.person import Role, person_of
from tillkeeper.desk.route import Route
from tillkeeper.desk.routes import ROUTES

LIGHT = {"time_cost": 2, "memory_cost": 64, "parallelism": 1}  # tests/pure/desk/test_passwords.py has the real ones


@cache
def password_hash() -> str:
    """The hash of the password that people of tests have."""
    return PasswordHasher(**LIGHT).hash(PASSWORD)


@pytest.fixture(autouse=True)
def light_hashes(monkeypatch):
    """Has the desk hash passwords in little time and memory: tests sign in some hundred times."""
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(**LIGHT))
    passwords._nobodys.cache_clear()
    yield
    passwords._nobodys.cache_clear()


async def who(request: web.Request) -> web.Response:
    person = person_of(request)
    return web.json_response({"person": person.name if person else None, "role": person.role if person else None})


NEEDED = {role: f"/for/{role}" for role in Role}
PROBES = tuple(
    Route(method=method, path=path, role=role, handler=who)
    for role, path in NEEDED.items()
    for method in ("GET", "POST")
)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def desk(pool, clock):
    return a_desk(pool, now=clock)


@pytest.fixture
async def server(desk, monkeypatch):
    """With a route for each role beside those that there are."""
    monkeypatch.setattr(desk_app, "ROUTES", ROUTES + PROBES)
    async with desk_server(desk) as serving:
        yield serving


@pytest.fixture
async def browser(server):
    async with server.browser() as one:
        yield one
