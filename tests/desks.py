"""A desk for tests: its application over a real database, and somebody who is signed in."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from zoneinfo import ZoneInfo

import asyncpg
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.typedefs import Handler, Middleware

from tests.signers import signers_at
from tillkeeper import clock
from tillkeeper.desk.app import build_app
from tillkeeper.desk.context import Desk
from tillkeeper.desk.live.feed import Feed
from tillkeeper.desk.live.snapshot import read_snapshot
from tillkeeper.desk.person import CSRF, MAY_LOOK_ON, PERSON, Locale, Person, Role
from tillkeeper.desk.route import route_of
from tillkeeper.loops import start
from tillkeeper.policy.reading import load_policy
from tillkeeper.sandbox.simulators.registry import simulator_of
from tillkeeper.settings import Settings

ZONE = ZoneInfo("Asia/Shanghai")
# What somebody did is written down with who they are.
KNOWN = """
INSERT INTO people (id, name, display_name, role, locale, created_at, created_by)
OVERRIDING SYSTEM VALUE VALUES ($1, $2, $2, $3, $4, now(), 'root') ON CONFLICT DO NOTHING
"""
TOKEN = "csrf-token-of-the-test"


def a_person(role: Role = Role.VIEWER, locale: Locale = "en", name: str = "Ada") -> Person:
    return Person(id=1, name=name, role=role, locale=locale)


async def for_ever() -> bool:
    """Whoever the test has signed in stays so."""
    return True


def signed_in(person: Person) -> Middleware:
    """Stands where desk/access stands: names this person in each request, whatever the route needs."""

    @web.middleware
    async def name_person(request: web.Request, handler: Handler) -> web.StreamResponse:
        route = route_of(request)
        if route is None or route.role != "anyone":
            request[PERSON], request[CSRF], request[MAY_LOOK_ON] = person, TOKEN, for_ever
        return await handler(request)

    return name_person


@cache
def accounts() -> dict[str, object]:
    """Accounts at gateways, as the configuration has them; their keys take a while to make."""
    return {
        name: {"gateway": signer.gateway, **simulator_of(signer.gateway).settings(signer)}
        for name, signer in signers_at().items()
    }


@cache
def settings() -> Settings:
    """Settings with these accounts; they cannot be changed, and to check all their keys takes a while, too."""
    return Settings(database_url="postgresql://localhost/unused", accounts=accounts())


def a_desk(pool: asyncpg.Pool, **changes: object) -> Desk:
    policy = load_policy()
    fields = {
        "settings": settings(),
        "pool": pool,
        "policy": lambda: policy,
        "now": clock.now,
        "zone": ZONE,
        "depth": None,
    } | changes
    fields = {"gateways": fields["settings"].build_gateways} | fields
    now = fields["now"]
    feed = Feed(lambda before: read_snapshot(pool, before, broker_waiting=0, now=now()), now=now)
    return Desk(**{"feed": feed, **fields})


@asynccontextmanager
async def reading(desk: Desk) -> AsyncIterator[None]:
    """Has the desk read what it shows live, while somebody looks."""
    stop = asyncio.Event()
    feed = start(desk.feed.run(stop), name="feed")
    try:
        yield
    finally:
        stop.set()
        await desk.feed.close()
        await feed


@asynccontextmanager
async def desk_client(desk: Desk, person: Person | None = None) -> AsyncIterator[TestClient]:
    """A client of a desk that serves on a port of its own."""
    person = person or a_person()
    await desk.pool.execute(KNOWN, person.id, person.name, person.role, person.locale)
    app = build_app(desk, signed_in(person))
    async with reading(desk), TestClient(TestServer(app)) as client:
        yield client
