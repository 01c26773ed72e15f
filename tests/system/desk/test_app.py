"""The desk over HTTP: every route stands in the table, and every answer tells browsers what they may do."""

import re

import pytest

from tests.desks import a_desk, desk_client, signed_in
from tillkeeper.desk.app import build_app
from tillkeeper.desk.person import Role
from tillkeeper.desk.route import ROUTE_BY_PLACE, methods_of
from tillkeeper.desk.routes import ROUTES
from tillkeeper.desk.static_files import static_url


@pytest.fixture
async def client(pool):
    async with desk_client(a_desk(pool)) as client:
        yield client


async def test_the_application_has_the_routes_of_the_table_and_no_others(pool):
    app = build_app(a_desk(pool), signed_in(None))
    routed = sorted((route.method, route.resource.canonical) for route in app.router.routes())
    written = re.compile(r"\{(\w+):[^}]*\}")
    listed = [(method, written.sub(r"{\1}", route.path)) for route in ROUTES for method in methods_of(route)]
    assert routed == sorted(listed)
    assert set(routed) == set(app[ROUTE_BY_PLACE])


def test_every_route_states_who_may_use_it():
    assert {route.role for route in ROUTES} <= {"anyone", *Role}
    assert {route.path for route in ROUTES if route.role == "anyone"} == {
        "/static/{name}",
        "/sign-in",
        "/sign-in/company",
        "/sign-in/company/back",
        "/sign-in/company/out",
        "/welcome/{token}",
    }


@pytest.mark.parametrize("path", ["/", "/no-such-page", static_url("desk.css")])
async def test_every_answer_keeps_the_browser_in(client, path):
    answer = await client.get(path)
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    kept = answer.headers["Cache-Control"]
    assert kept == ("public, max-age=31536000, immutable" if path.startswith("/static/") else "no-store")


@pytest.mark.parametrize(
    "name", ["desk.css", "..%2fapp.py", "%2e%2e%2fapp.py", "vendored.toml", "desk.0000000000000000.css"]
)
async def test_only_files_of_the_table_of_hashes_are_served(client, name):
    assert (await client.get(f"/static/{name}")).status == 404


async def test_what_is_not_there_is_said_on_a_page(client):
    answer = await client.get("/no-such-page")
    assert answer.status == 404
    assert "There is no such page" in await answer.text()
