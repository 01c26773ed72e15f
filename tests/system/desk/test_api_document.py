"""The desk does what its API's document says: schemathesis makes requests of it, and every answer fits its schema."""

import asyncio
import json
import sys
from pathlib import Path

import jsonschema_rs
import pytest

from tests.desk_api import LATER, ORDER, WAITS, Program, a_token, serving, something_of_everything
from tests.desks import a_desk
from tillkeeper.desk.api.document import document
from tillkeeper.desk.api.table import OPERATIONS
from tillkeeper.desk.routes import ROUTES
from tillkeeper.domain.people import Role
from tillkeeper.openapi import operations

EXAMPLES = 5
SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
# What the document cannot say of a request: that a row of this number is there, and that a cursor was once written.
SAID_IN_WORDS = "positive_data_acceptance"


@pytest.fixture
async def program(pool):
    desk = a_desk(pool, now=lambda: LATER)
    async with serving(desk) as client:
        yield Program(client, await a_token(desk))


@pytest.fixture
async def busy(program, pool):
    await something_of_everything(pool)
    return program


def document_of_a_desk() -> dict:
    return json.loads(json.dumps(document()))


@pytest.mark.long
@pytest.mark.slow
async def test_a_running_desk_does_what_its_document_says(busy, tmp_path):
    (tmp_path / "openapi.json").write_text(json.dumps(document_of_a_desk()))
    command = [
        *(str(SCHEMATHESIS), "run", "openapi.json", "--url", str(busy.client.make_url("/"))),
        *("--header", f"Authorization: Bearer {busy.token}"),
        *("--max-examples", str(EXAMPLES), "--seed", "1", "--generation-database", "none"),
        *("--exclude-checks", SAID_IN_WORDS, "--suppress-health-check", "all", "--no-color", "--warnings", "off"),
    ]
    child = await asyncio.create_subprocess_exec(
        *command, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await child.communicate()
    assert child.returncode == 0, out.decode()


def validator(schema: dict) -> jsonschema_rs.Validator:
    """Judges by a schema, where no field may be missing and none be more than it says."""
    known = document_of_a_desk()
    for each in known["components"]["schemas"].values():
        if "properties" in each:
            each["additionalProperties"] = False
    return jsonschema_rs.validator_for({**schema, "components": known["components"]}, validate_formats=True)


async def path_filled(program: Program, path: str) -> str:
    """The path with the references of something that is there."""
    refs = {"order_ref": ORDER, "account": "alipay-main", "payment_ref": WAITS}
    if "{id}" in path:
        listed = await (await program.get(path.partition("/{id}")[0])).json()
        refs["id"] = str(listed["items"][0]["id"])
    return path.format(**refs)


READS = [operation for operation in OPERATIONS if operation.method == "GET"]


@pytest.mark.parametrize("read", READS, ids=lambda read: read.name)
async def test_what_is_there_is_answered_as_the_document_says(busy, read):
    described = document_of_a_desk()["paths"][read.path]["get"]["responses"]["200"]["content"]["application/json"]
    answer = await busy.get(await path_filled(busy, read.path), **({"q": "1042"} if read.name == "find" else {}))
    assert answer.status == 200, await answer.text()
    found = await answer.json()
    validator(described["schema"]).validate(found)
    for name in ("items", "groups", "looks", "accounts"):
        if name in found and read.path != "/api/handover":
            assert found[name], f"no test of {read.name} without {name}"


async def test_the_document_is_served(program):
    answer = await program.get("/api/openapi.json")
    assert await answer.json() == document_of_a_desk()


def fields_of(schema, where):
    for name, each in schema.get("properties", {}).items():
        yield f"{where}.{name}", each


def test_every_field_parameter_and_answer_is_described():
    known = document_of_a_desk()
    fields = [field for name, each in known["components"]["schemas"].items() for field in fields_of(each, name)]
    assert len(fields) > 200
    assert [name for name, field in fields if not field.get("description")] == []
    for method, path, operation in operations(known):
        assert operation["summary"], (method, path)
        assert operation["description"], (method, path)
        assert all(parameter["description"] for parameter in operation.get("parameters", ())), path
        assert all(answer["description"] for answer in operation["responses"].values()), path


def test_every_route_below_api_is_in_the_document_with_the_role_that_it_needs():
    described = {(method, path): each["description"] for method, path, each in operations(document_of_a_desk())}
    routes = {
        (route.method, route.path.replace(":[^/]+}", "}")): route.role
        for route in ROUTES
        if route.path.startswith("/api/") and route.path not in ("/api/openapi.json", "/api/docs")
    }
    assert set(routes) == set(described)
    assert all(f"the role {role}" in described[place] for place, role in routes.items())
    assert set(routes.values()) <= set(Role)
    assert len({operation.name for operation in OPERATIONS}) == len(OPERATIONS)
