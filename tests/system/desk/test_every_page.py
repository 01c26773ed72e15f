"""Every page that links lead to, over what a day of webhooks, sweeps and cases leaves in a database."""

import re
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from html import unescape
from urllib.parse import urljoin, urlsplit

import pytest
from aiohttp.test_utils import TestClient
from yarl import URL

from tests.desks import a_desk, a_person, desk_client
from tests.virtual_time import Clock
from tillkeeper.desk.person import Role
from tillkeeper.desk.routes import ROUTES
from tillkeeper.sandbox.scenarios.asking_to_pay import payer_of
from tillkeeper.sandbox.scenarios.delivery_faults import DeliveryCounts, DeliveryFaults, arrivals
from tillkeeper.sandbox.scenarios.lossy_day import DOUBLED, EXPIRES_AFTER, LATE, LOST
from tillkeeper.sandbox.scenarios.run import BEGINS_AT, ProgressLine, ScenarioOptions, open_system, simulate_gateways
from tillkeeper.sandbox.scenarios.simulation import MerchantOptions, Simulation
from tillkeeper.sandbox.scenarios.system import System
from tillkeeper.sandbox.scenarios.templates import DAY_TEMPLATES
from tillkeeper.sandbox.scenarios.workers import start_workers
from tillkeeper.store.reports.order_as_of import read_as_of

ENDS_AT = BEGINS_AT + timedelta(hours=20)
OPTIONS = ScenarioOptions(seed=7, payments=80, start_workers=start_workers)
HREF = re.compile(r'href="([^"]*)"')
EACH_MAX = 12  # pages of one route: others of its kind are as these


@pytest.fixture(scope="module")
async def played(postgres_server) -> AsyncIterator[System]:
    """A system after most of a lossy day: some orders are paid, some stuck, some have cases."""
    simulated = simulate_gateways(OPTIONS, DAY_TEMPLATES)
    faults = DeliveryFaults(lost=LOST, doubled=DOUBLED, late=LATE, silent_periods=())
    async with open_system(simulated, postgres_server, options=OPTIONS) as system:
        day = Simulation(
            system,
            simulated.signers,
            stories=simulated.stories,
            arrivals=arrivals(simulated.stories, faults, seed=OPTIONS.seed, counts=DeliveryCounts()),
            merchant=MerchantOptions(expires_after=EXPIRES_AFTER, mail=payer_of),
            sweeps=True,
        )
        await day.run(until=ENDS_AT, show=ProgressLine(lambda _line: None, "day"))
        yield system


@pytest.mark.parametrize(("role", "locale"), [(Role.ADMIN, "en"), (Role.VIEWER, "zh")])
async def test_every_page_that_links_lead_to_answers(played, role, locale):
    desk = a_desk(played.pool, now=Clock(ENDS_AT))
    async with desk_client(desk, a_person(role, locale)) as client:
        visited = await walk(client)
    failed = {path: status for path, status in visited.items() if status != 200}
    assert not failed
    seen = Counter(route_of(client, path) for path in visited)
    assert seen["/orders/{ref}"] > 1 < seen["/cases/{id}"]
    assert len(visited) > len(seen)


WHOLE = """
SELECT o.order_ref, i.recorded_at, i.status_after FROM inbox i JOIN orders o ON o.id = i.order_id
WHERE i.seq IN (SELECT max(seq) FROM inbox GROUP BY order_id, recorded_at) ORDER BY i.seq
"""


async def test_what_is_explained_of_each_moment_is_the_status_that_was_written_then(played):
    moments = await played.pool.fetch(WHOLE)
    assert len(moments) > 100
    wrong = []
    for order_ref, recorded_at, status_after in moments:
        found = await read_as_of(played.pool, order_ref, recorded_at)
        if found.status != status_after:
            wrong.append((order_ref, recorded_at, status_after, found.status))
    assert not wrong
    stored = await played.pool.fetch("SELECT order_ref, status, captured_minor FROM orders")
    for order_ref, status, captured in stored:
        found = await read_as_of(played.pool, order_ref, ENDS_AT + timedelta(days=9))
        assert (found.status, found.paid) == (status, captured)


async def walk(client: TestClient) -> dict[str, int]:
    """Visits what links lead to, from the first page on; returns the status of each."""
    visited: dict[str, int] = {}
    of_route: Counter[str] = Counter()
    ahead = ["/"]
    while ahead:
        path = ahead.pop(0)
        route = route_of(client, path)
        if path in visited or of_route[route] == EACH_MAX:
            continue
        of_route[route] += 1
        async with client.get(URL(path, encoded=True), allow_redirects=False) as response:
            visited[path] = response.status
            if response.content_type != "text/html":
                continue
            text = await response.text()
        ahead += [found for link in HREF.findall(text) if (found := inside(path, unescape(link)))]
    return visited


def inside(page: str, link: str) -> str | None:
    """Returns where a link leads within the desk, None where it leads out or to a part of the same page."""
    target = urlsplit(urljoin(page, link))
    if target.scheme or target.netloc or target.path.startswith("/static/"):
        return None
    return target.path + ("?" + target.query if target.query else "")


def route_of(client: TestClient, path: str) -> str:
    """Returns the pattern of the route that a path belongs to, the path itself where it belongs to none."""
    parts = urlsplit(path).path
    for route in ROUTES:
        pattern = re.sub(r"\{(\w+)(:[^}]*)?\}", r"{\1}", route.path)
        if re.fullmatch(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(pattern)), parts):
            return pattern
    return parts
