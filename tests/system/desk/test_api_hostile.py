"""Every read of the API over a till in which every text is hostile: it is JSON as its document says, of a size that a
program can take, and nothing that a browser would run."""

import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from yarl import URL

from tests.desk_api import Program, a_token, serving
from tests.desks import a_desk
from tests.hostile_till import DIGITS, EVIL, NOW, a_hostile_till
from tests.system.desk.test_api_document import READS, document_of_a_desk, validator
from tillkeeper.desk.access.roles import role_for
from tillkeeper.domain.people import Role

BYTES_MAX = 256 * 1024  # some rows, each with texts of a few thousand characters
FIND = (
    EVIL[:200],
    DIGITS[:800],
    "\u202egpj.exe",
    "<script>alert(1)</script>",
    "'; DROP TABLE orders; --",
    "%00",
    "\\u0000",
)


async def paths_of(program: Program, pool, read) -> Iterator[str]:
    """Addresses of this read, with the references of hostile rows."""
    order = await pool.fetchval("SELECT order_ref FROM orders ORDER BY id LIMIT 1")
    waiting = await pool.fetchrow("SELECT account, payment_ref FROM inbox WHERE outcome = 'waiting' LIMIT 1")
    refs = {"order_ref": order, "account": waiting["account"], "payment_ref": waiting["payment_ref"]}
    if "{id}" in read.path:
        listed = await (await program.get(read.path.partition("/{id}")[0])).json()
        refs["id"] = str(listed["items"][0]["id"])
    path = read.path.format(**{name: quote(ref, safe="") for name, ref in refs.items()})
    return [f"{path}?q={quote(text)}" for text in FIND] if read.name == "find" else [path]


@pytest.mark.slow
async def test_every_read_of_a_hostile_till_is_json_as_its_document_says(pool):
    await a_hostile_till(pool)
    desk, known = a_desk(pool, now=lambda: NOW), document_of_a_desk()["paths"]
    async with serving(desk) as client:
        for role in (Role.OPERATOR, Role.VIEWER):
            program = Program(client, await a_token(desk, f"mei-{role}", role))
            for read in (read for read in READS if role.allows(role_for(read.right))):
                schema = known[read.path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
                for path in await paths_of(program, pool, read):
                    answer = await client.get(URL(path, encoded=True), headers=program._headers())
                    body = await answer.read()
                    # The account that is paused has a name that is longer than any part of a path.
                    assert answer.status == (404 if read.name == "tryPaused" else 200), (path[:80], body[:300])
                    if answer.status == 404:
                        continue
                    assert len(body) < BYTES_MAX, (path[:80], len(body))
                    told = json.loads(body)
                    validator(schema).validate(told)
                    assert answer.content_type == "application/json"
                    assert answer.headers["X-Content-Type-Options"] == "nosniff"
                    assert answer.headers["Cache-Control"] == "no-store"
                    assert b"\x07" not in body


async def test_what_a_hostile_path_or_query_asks_for_is_not_there_or_refused_and_no_error_of_ours(pool):
    desk = a_desk(pool, now=lambda: NOW)
    async with serving(desk) as client:
        for number, read in enumerate(READS):  # each with a token of its own: one may ask so often
            program = Program(client, await a_token(desk, f"mei-{number}"))
            for text in (EVIL[:150], "..", "%2e%2e", "\u202e", "a" * 2_000):
                path = read.path.replace("{id}", quote(text, safe=""))
                path = path.format(order_ref=quote(text, safe=""), account=quote(text, safe=""), payment_ref="x")
                answer = await client.get(URL(f"{path}?q={quote(text)}", encoded=True), headers=program._headers())
                body = await answer.read()
                assert answer.status in {200, 400, 404}, (path[:80], body[:300])
                assert len(body) < BYTES_MAX
