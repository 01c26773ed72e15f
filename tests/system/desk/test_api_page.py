"""The page that shows the API to people, in their language, from the document itself."""

import re

import pytest

from tests.desk_reading import page_of, text_of
from tests.desks import a_desk, a_person, desk_client
from tillkeeper.desk.api.table import OPERATIONS
from tillkeeper.desk.json_problems import KINDS


@pytest.fixture
async def client(pool):
    async with desk_client(a_desk(pool)) as client:
        yield client


async def test_every_operation_and_error_is_shown_and_every_link_leads_to_a_part_of_it(client):
    page = await page_of(client, "/api/docs")
    parts = set(re.findall(r' id="([^"]+)"', page))
    assert {operation.name for operation in OPERATIONS} | {kind.name for kind in KINDS} <= parts
    links = set(re.findall(r'href="#([^"]+)"', page))
    assert len(links) > 60
    assert links <= parts
    for operation in OPERATIONS:
        assert f"<code>{operation.method} {operation.path}</code>" in page


async def test_it_is_in_the_readers_language_and_people_find_it(pool):
    async with desk_client(a_desk(pool), a_person(locale="zh")) as client:
        assert "给程序用的接口" in await text_of(client, "/api/docs")
        assert 'href="/api/docs"' in await page_of(client, "/me")
