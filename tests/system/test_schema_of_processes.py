"""Every process refuses a schema that it may not serve, and waits where one changes under it."""

import json

import aiohttp
import asyncpg
import pytest

from tests.system.commands import CLOSED_PORT_URL, serving, tillkeeper, toml, written
from tests.system.receiving import PATH, a_delivery, until
from tillkeeper.sandbox.servers.child import free_ports
from tillkeeper.store.schema.files import migrations, newest_version

ROLES = ("ingest", "work", "sweep", "notify", "desk", "run")
NEWEST = newest_version()
LATER = list(range(2, NEWEST + 1))
OLDER = "DELETE FROM schema_versions WHERE version = (SELECT max(version) FROM schema_versions)"
SHUT_OUT = (
    "UPDATE schema_versions SET oldest_program = version + 1 WHERE version = (SELECT max(version) FROM schema_versions)"
)
LET_IN = "UPDATE schema_versions SET oldest_program = 1"


@pytest.fixture
async def owner(database):
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@pytest.mark.parametrize("role", ROLES)
async def test_no_process_starts_on_an_older_schema(config, owner, role):
    await owner.execute(OLDER)
    ended = await tillkeeper(role, "--config", config)
    assert ended.code == 4
    told = [line for line in ended.err.splitlines() if line.startswith("tillkeeper: ")]
    assert len(told) == 1
    assert f"has version {NEWEST - 1}, and this program needs {NEWEST}; run `tillkeeper db upgrade`" in told[0]


async def test_a_schema_that_shuts_this_program_out_asks_for_a_later_one(config, owner):
    await owner.execute(SHUT_OUT)
    ended = await tillkeeper("work", "--config", config)
    assert ended.code == 4
    assert "install a later Tillkeeper" in ended.err


@pytest.mark.parametrize(
    "command",
    [
        ("stuck",),
        ("audit",),
        ("cases",),
        ("order", "show", "A"),
        ("order", "hold", "A", "1h", "--note", "x"),
        ("handover",),
    ],
)
async def test_no_command_answers_from_a_schema_that_it_may_not_serve(config, owner, command):
    await owner.execute(OLDER)
    ended = await tillkeeper(*command, "--config", config)
    assert (ended.code, ended.out) == (4, "")
    assert "tillkeeper db upgrade" in ended.err


async def test_status_and_upgrade_say_what_is_left_to_do(config, owner):
    assert (await tillkeeper("db", "status", "--config", config)).code == 0
    await owner.execute(f"DROP SCHEMA public CASCADE; CREATE SCHEMA public; {migrations()[0].steps[0].sql}")
    told = await tillkeeper("db", "status", "--config", config)
    assert told.code == 1
    assert "version 1, from before versions were counted" in told.out
    planned = await tillkeeper("db", "upgrade", "--dry-run", "--json", "--config", config)
    assert (planned.code, [each["version"] for each in planned.json["left"]]) == (0, LATER)
    refused = await tillkeeper("db", "init", "--config", config)
    assert (refused.code, "tillkeeper db upgrade" in refused.err) == (4, True)
    done = await tillkeeper("db", "upgrade", "--json", "--config", config)
    assert (done.code, [each["version"] for each in done.json["done"]]) == (0, LATER)
    again = await tillkeeper("db", "upgrade", "--init", "--config", config)
    assert (again.code, "nothing to do" in again.out) == (0, True)
    await owner.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    made = await tillkeeper("db", "upgrade", "--init", "--json", "--config", config)
    assert (made.code, "orders" in made.json["created"], made.json["done"]) == (0, True, [])
    await owner.execute(SHUT_OUT)
    refused = await tillkeeper("db", "upgrade", "--init", "--config", config)
    assert (refused.code, "install a later Tillkeeper" in refused.err) == (4, True)


async def readiness(client, port):
    try:
        async with client.get(f"http://127.0.0.1:{port}/readyz") as answer:
            return answer.status
    except aiohttp.ClientError:
        return None


async def test_processes_wait_while_the_schema_shuts_them_out_and_go_on_after_it(tmp_path, database, owner):
    receiver, workers = free_ports(2)
    config = written(tmp_path, toml(database, ingest=f"port = {receiver}", work=f"metrics_port = {workers}"))

    async with (
        aiohttp.ClientSession() as client,
        serving("ingest", "--config", config) as ingest,
        serving("work", "--config", config) as work,
    ):

        async def all_are(status):
            return [await readiness(client, port) for port in (receiver, workers)] == [status, status]

        async def applied(count):
            return await owner.fetchval("SELECT count(*) FROM inbox") == count

        async def post(event_id):
            headers, body = a_delivery(event_id)
            async with client.post(f"http://127.0.0.1:{receiver}{PATH}", headers=headers, data=body) as answer:
                return answer.status

        await until(lambda: all_are(200))
        assert await post("evt_1") == 200
        await until(lambda: applied(1))

        await owner.execute(SHUT_OUT)
        for process in (ingest, work):
            assert "install a later Tillkeeper" in (await process.saw("schema_unfit"))["why"]
        await until(lambda: all_are(503))
        assert await post("evt_2") == 503  # no lane but the database's: the gateway sends it again

        await owner.execute(LET_IN)
        await until(lambda: all_are(200))
        assert await post("evt_2") == 200
        await until(lambda: applied(2))
        async with client.get(f"http://127.0.0.1:{workers}/metrics") as answer:
            assert f"tillkeeper_schema_version {float(NEWEST)}" in await answer.text()


@pytest.mark.rabbitmq
async def test_a_receiver_with_a_broker_starts_and_accepts_while_the_schema_is_not_known(
    tmp_path, broker_url, broker_prefix
):
    [port] = free_ports(1)
    broker = f'broker_url = "{broker_url}"\nbroker_prefix = "{broker_prefix}"'
    config = written(tmp_path, toml(CLOSED_PORT_URL, ingest=f"port = {port}", more=broker))
    async with serving("ingest", "--config", config) as ingest, aiohttp.ClientSession() as client:
        await ingest.saw("ingest_listening")
        headers, body = a_delivery("evt_1")
        async with client.post(f"http://127.0.0.1:{port}{PATH}", headers=headers, data=body) as answer:
            assert answer.status == 200
        assert await readiness(client, port) == 200


async def test_errors_are_json_where_json_is_asked_for(config, owner):
    await owner.execute(OLDER)
    ended = await tillkeeper("stuck", "--json", "--config", config)
    assert (ended.code, ended.out) == (4, "")
    assert "tillkeeper db upgrade" in json.loads(ended.err)["errors"][0]
