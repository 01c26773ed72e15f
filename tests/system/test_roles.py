"""Every process under its own role in the database (deploy/roles.sql), and what each of them may not do."""

import ast
import re
from collections import defaultdict
from contextlib import AsyncExitStack, suppress
from functools import cache, partial
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import asyncpg
import pytest

from tests.browsing import PASSWORD, Browser
from tests.system.commands import serving, tillkeeper, toml, written
from tests.system.receiving import AUTHORIZED, PATH, a_delivery, until
from tillkeeper import clock
from tillkeeper.domain.company_account import Member
from tillkeeper.domain.people import Role
from tillkeeper.sandbox.servers.child import free_ports
from tillkeeper.store.people.members import keep_out, let_in
from tillkeeper.store.people.sessions import session_of
from tillkeeper.store.postgres.pool import open_pool
from tillkeeper.store.postgres.transactions import repeat_on_conflict

ROOT = Path(__file__).parents[2]
ROLES = (ROOT / "deploy" / "roles.sql").read_text()
NAMES = ("ingest", "work", "sweep", "notify", "run", "ops", "erase", "read", "audit", "people", "desk")
TABLES = re.findall(r"CREATE TABLE (\w+)", (ROOT / "schema.sql").read_text())
VERBS = ("SELECT", "INSERT", "UPDATE", "DELETE")


@pytest.fixture
async def urls(database):
    """By group, the URL of a user in it; without a group, that of the owner."""
    owner = await asyncpg.connect(database)
    await owner.execute(ROLES)
    await owner.execute(ROLES)  # safe to repeat
    for name in NAMES:
        await owner.execute(f"DROP ROLE IF EXISTS till_{name}")
        await owner.execute(f"CREATE ROLE till_{name} LOGIN IN ROLE tillkeeper_{name}")
    parts = urlsplit(database)
    at = parts.netloc.rpartition("@")[2]
    yield {name: parts._replace(netloc=f"till_{name}@{at}").geturl() for name in NAMES} | {"": database}
    for name in NAMES:
        await owner.execute(f"DROP OWNED BY tillkeeper_{name}")
        await owner.execute(f"DROP ROLE till_{name}")
        await owner.execute(f"DROP ROLE tillkeeper_{name}")
    if await owner.fetchval("SELECT to_regclass('schema_versions')") is not None:
        await owner.execute(
            "GRANT SELECT ON schema_versions TO PUBLIC"
        )  # as the schema has it: others use the database
    await owner.close()


# --- what the statements need -----------------------------------------------------------------------------------------

PACKAGES = ("tillkeeper", "ingest", "workers")
# Statements that stand in a module which a process imports for another one.
NEVER_RUN = {
    "ingest": {
        "spool": {"DELETE", "UPDATE"},
        "deliveries": {"INSERT"},
        "delivery_bodies": set(VERBS),
        "void_numbers": {"INSERT", "SELECT"},
        "parked": {"INSERT"},
        "key_uses": set(VERBS),
        "activity": set(VERBS),
        "backfills": set(VERBS),
        "steps": {"INSERT", "UPDATE"},
        "unknown_words": set(VERBS),
    },
    # The statement that stores bodies updates another table.
    "work": {"delivery_bodies": {"SELECT", "UPDATE"}, "learnt_keys": set(VERBS), "steps": set(VERBS)},
    "sweep": {
        "key_uses": set(VERBS),
        "learnt_keys": set(VERBS),
        "parked": {"INSERT"},
        "deliveries": {"INSERT"},
        "delivery_bodies": {"INSERT", "UPDATE"},
        "void_numbers": set(VERBS),
        "refused": {"INSERT"},
    },
    "notify": {table: {"INSERT", "UPDATE", "DELETE"} for table in ("payments", "refunds", "disputes")},
    # What `tillkeeper user` does.
    "desk": {
        "one_time_links": {"INSERT", "DELETE"},
        "api_tokens": {"INSERT"},
        # Beside what it reads of accounts, what it puts onto the lane and what it replays.
        "delivery_bodies": {"UPDATE"},
        "spool": {"UPDATE", "DELETE"},
        "refused": {"INSERT"},
        **dict.fromkeys(("activity", "account_health", "silences", "key_uses"), set(VERBS) - {"SELECT"}),
        # A key that it fetched to verify a refused delivery is stored by receivers.
        "learnt_keys": set(VERBS) - {"SELECT"},
    },
}
PROCESSES = {
    "ingest": ("tillkeeper.ingest.server",),
    "work": ("tillkeeper.workers.process", "tillkeeper.workers.server"),
    "sweep": ("tillkeeper.workers.sweep_server",),
    "notify": ("tillkeeper.workers.notify_server",),
    "desk": ("tillkeeper.desk.server",),
}


def file_of(module):
    path = ROOT.joinpath(*module.split("."))
    return next((each for each in (path.with_suffix(".py"), path / "__init__.py") if each.exists()), None)


@cache
def parsed(module):
    return tuple(ast.walk(ast.parse(file_of(module).read_text())))


def reached(*modules):
    """These modules of ours and all that they import."""
    seen, todo = set(), list(modules)
    while todo:
        module = todo.pop()
        if module in seen or module.split(".")[0] not in PACKAGES or file_of(module) is None:
            continue
        seen.add(module)
        for node in parsed(module):
            if isinstance(node, ast.Import):
                todo += [name.name for name in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                todo += [node.module, *(f"{node.module}.{name.name}" for name in node.names)]
    return seen


def needed(modules):
    """By table, what the statements in these modules do to it."""
    needs = defaultdict(set)
    for module in modules:
        for node in parsed(module) if module.startswith("tillkeeper.store") else ():
            if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
                continue
            statement = re.sub(r"--[^\n]*", "", node.value)
            for table in TABLES:
                for verb, pattern in {
                    "INSERT": rf"\bINSERT INTO {table}\b",
                    "UPDATE": rf"(?<!FOR )(?<!NO KEY )\bUPDATE {table}\b",
                    "DELETE": rf"\bDELETE FROM {table}\b",
                    "SELECT": rf"\b(FROM|JOIN|USING) {table}\b",
                }.items():
                    if re.search(pattern, statement):
                        needs[table].add(verb)
                if re.search(rf"\bINSERT INTO {table}\b.*DO UPDATE", statement, re.DOTALL):
                    needs[table] |= {"UPDATE", "SELECT"}
                if re.search(rf"\b(FROM|JOIN) {table}\b.*\bFOR (NO KEY )?UPDATE", statement, re.DOTALL):
                    needs[table].add("UPDATE")
    return needs


COLUMNS_ALONE = {
    *(("notify", "orders", "UPDATE"), ("sweep", "outbox", "UPDATE"), ("sweep", "spool", "SELECT")),
    *(("notify", "account_pauses", "SELECT"), ("sweep", "held_deliveries", "SELECT")),
    *(("desk", table, "UPDATE") for table in ("people", "one_time_links", "api_tokens", "outbox", "account_pauses")),
    ("desk", "people", "INSERT"),
    ("sweep", "statement_lines", "UPDATE"),
}


@pytest.mark.parametrize("role", PROCESSES)
async def test_a_role_may_do_what_its_statements_do(urls, role):
    needs = needed(reached(*PROCESSES[role]))
    async with asyncpg.create_pool(urls[""], min_size=1, max_size=1) as pool:
        for table in TABLES:
            for verb in needs[table] - NEVER_RUN[role].get(table, set()):
                asked = "has_any_column_privilege" if (role, table, verb) in COLUMNS_ALONE else "has_table_privilege"
                assert await pool.fetchval(f"SELECT {asked}($1, $2, $3)", f"till_{role}", table, verb), (
                    f"deploy/roles.sql lacks: GRANT {verb} ON {table} TO tillkeeper_{role};"
                )


# --- what nobody may --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
async def test_no_role_changes_the_schema_or_takes_history_away(urls, name):
    connection = await asyncpg.connect(urls[name])
    try:
        for statement in (
            "CREATE TABLE mine ()",
            "ALTER TABLE orders ADD COLUMN mine int",
            "ALTER TABLE orders DROP CONSTRAINT paid_means_covered",
            "DROP TABLE hints",
            "TRUNCATE outbox",
            "DELETE FROM inbox",
            "DELETE FROM deliveries",
            "TRUNCATE delivery_bodies",
            "DROP TABLE delivery_bodies_other",
            "DELETE FROM orders",
            "DELETE FROM acts",
            "DELETE FROM cases",
            "UPDATE case_entries SET at = now()",
            "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "COPY orders TO PROGRAM 'true'",
        ):
            with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.InvalidTableDefinitionError)):
                await connection.execute(statement)
    finally:
        await connection.close()


PAYS, EMPTIES = "UPDATE orders SET captured_minor = 1", "UPDATE outbox SET due_at = NULL"
UNSAYS = "UPDATE outbox SET payload = '{}'"
REWRITES = "UPDATE case_entries SET note = ''"  # which whoever erases a payer's data may
REFUSED = {
    "ingest": ("DELETE FROM spool", EMPTIES, "INSERT INTO deliveries SELECT * FROM deliveries", REWRITES),
    "work": (
        "SELECT drop_body_week('2026-11-02')",
        "INSERT INTO orders (order_ref) VALUES ('X')",
        "SELECT * FROM refused",
        "SELECT * FROM hints",
    ),
    "sweep": ("SELECT * FROM spool", EMPTIES),
    "notify": (PAYS, "UPDATE payments SET status = 'failed'", "SELECT * FROM spool"),
    "ops": ("DELETE FROM spool", UNSAYS, REWRITES, "SELECT password_hash FROM people", "SELECT * FROM sessions"),
    "erase": (PAYS, "UPDATE orders SET status = 'paid'", "UPDATE inbox SET reason = ''", "DELETE FROM spool"),
    "read": (
        *("SELECT password_hash FROM people", "SELECT * FROM sessions", "SELECT * FROM one_time_links"),
        *("SELECT * FROM api_tokens", "INSERT INTO access_log DEFAULT VALUES", PAYS),
        "INSERT INTO spool (id, shard, body) VALUES (gen_random_uuid(), 0, '')",
    ),
    "people": (
        "SELECT * FROM orders",
        PAYS,
        "SELECT 1 FROM acts",
        "UPDATE access_log SET why = ''",
        "DELETE FROM people",
    ),
    "desk": (
        *("DELETE FROM spool", UNSAYS, REWRITES),
        "INSERT INTO people (name, role) VALUES ('x', 'admin')",
        "INSERT INTO people (name, password_hash) VALUES ('x', 'y')",
        "UPDATE people SET role = 'admin'",
        "UPDATE people SET issuer = 'https://x', subject = 'y'",
        "UPDATE people SET disabled_at = NULL",
        "INSERT INTO one_time_links (person_id) VALUES (1)",
        "UPDATE one_time_links SET expires_at = 'infinity'",
        "INSERT INTO api_tokens (person_id) VALUES (1)",
        "UPDATE access_log SET why = ''",
        "DELETE FROM access_log",
        "DELETE FROM approvals",
        "DELETE FROM sign_in_attempts",
    ),
    "audit": ("SELECT terms FROM orders", "SELECT body FROM deliveries", "SELECT headers FROM delivery_bodies"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_role_may_not_do_what_is_anothers(urls, name):
    connection = await asyncpg.connect(urls[name])
    allowed = []
    try:
        for statement in REFUSED[name]:
            with suppress(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
                allowed.append(statement)
    finally:
        await connection.close()
    assert allowed == []


# --- the processes ----------------------------------------------------------------------------------------------------


def config_of(tmp_path, name, url, *, port):
    directory = tmp_path / name
    directory.mkdir()
    return written(directory, toml(url, ingest=f"port = {port}"))


async def play(port, owner_url):
    """An order, its payment, a refund, a forgery and a repetition; returns once all of it is applied."""
    order = {"amount": 12900, "currency": "CNY", "accounts": ["stripe-main"], "payer": {"email": "a@shop.example"}}
    refund = {"account": "stripe-main", "amount": 900}
    async with (
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client,
        asyncpg.create_pool(owner_url, max_size=1, min_size=1) as pool,
    ):

        async def is_up():
            try:
                async with client.get("/readyz") as answer:
                    return answer.status == 200
            except aiohttp.ClientError:
                return False

        await until(is_up)
        early, body = a_delivery("evt_1")
        for headers, sent in ((early, body), (early, body), a_delivery("evt_2", secret="whsec_of_somebody_else")):
            async with client.post(PATH, headers=headers, data=sent) as answer:
                assert answer.status in {200, 401}, await answer.text()

        async def waits():
            return await pool.fetchval("SELECT count(*) FROM inbox WHERE outcome = 'waiting'") == 1

        await until(waits)
        for path, told in (("/orders/ORDER-1", order), ("/orders/ORDER-1/refunds/re_1", refund)):
            async with client.put(path, json=told, headers=AUTHORIZED) as answer:
                assert answer.status == 201, await answer.text()
        for path in ("/orders/ORDER-1", "/orders/ORDER-1/history"):
            async with client.get(path, headers=AUTHORIZED) as answer:
                assert answer.status == 200
        async with client.delete("/orders/ORDER-1/refunds/re_1", headers=AUTHORIZED) as answer:
            assert answer.status == 200, await answer.text()

        async def is_told():
            paid = await pool.fetchval("SELECT status = 'paid' FROM orders")
            return paid and await pool.fetchval("SELECT count(*) FROM outbox WHERE due_at IS NOT NULL") == 0

        await until(is_told)


async def look(tmp_path, urls, process):
    """Opens the pages of the desk as a program does that has a token."""
    people = config_of(tmp_path, "owner", urls[""], port=0)
    for command in (("add", "ada", "--role", "support"), ("tokens", "add", "ada", "looks", "--role", "support")):
        made = await tillkeeper("user", *command, "--json", "--config", people)
        assert made.code == 0, made.err
    port = (await process.saw("desk_listening"))["port"]
    headers = {"Authorization": f"Bearer {made.json['token']}"}
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers=headers) as client:
        for path in ("/", "/stuck", "/orders/ORDER-1", "/cases", "/parked", "/refused", "/find?q=ORDER-1"):
            async with client.get(path) as answer:
                assert answer.status == 200, (path, answer.status)
        page = await (await client.get("/orders/ORDER-1")).text()
        raw = re.search(r'href="(/orders/ORDER-1/raw/[^"]+)"', page)
        async with client.get(raw[1]) as answer:
            assert answer.status == 200


def refusals(process):
    """What a process logged of rights that it lacks."""
    return [each for each in (*process.lines, *process.other) if "permission denied" in str(each)]


@pytest.mark.timeout(400)
async def test_every_process_works_under_its_own_role(tmp_path, urls):
    [port] = free_ports(1)
    started = []
    async with AsyncExitStack() as stack:
        for name in PROCESSES:
            config = config_of(tmp_path, name, urls[name], port=port)
            started.append(await stack.enter_async_context(serving(name, "--config", config)))
        await play(port, urls[""])
        await look(tmp_path, urls, started[list(PROCESSES).index("desk")])
        for process in started:
            process.child.terminate()
            assert await process.ended() == 0
            assert refusals(process) == []
    audit = config_of(tmp_path, "audit", urls["audit"], port=port)
    books = await tillkeeper("audit", "--config", audit, "--grace", "0s")
    assert books.code == 0, books.out + books.err
    assert "Not remembered" not in books.out
    read = config_of(tmp_path, "read", urls["read"], port=port)
    for command in (
        ("order", "show", "ORDER-1"),
        ("stuck",),
        ("cases",),
        ("parked", "list"),
        ("refused", "list"),
        ("keys",),
    ):
        told = await tillkeeper(*command, "--config", read)
        assert told.code == 0, (command, told.err)
    erase = config_of(tmp_path, "erase", urls["erase"], port=port)
    erased = await tillkeeper("erase", "ORDER-1", "--note", "a test", "--config", erase)
    assert erased.code == 0, erased.err
    people = config_of(tmp_path, "people", urls["people"], port=port)
    for command in (
        ("add", "mei", "--role", "viewer"),
        ("role", "mei", "support"),
        ("tokens", "add", "mei", "exports"),
        ("tokens", "end", "mei", "exports"),
        ("reset", "mei"),
        ("disable", "mei", "--note", "a test"),
        ("enable", "mei", "--note", "a test"),
        ("list",),
        ("log",),
    ):
        told = await tillkeeper("user", *command, "--config", people)
        assert told.code == 0, (command, told.err)
    ops = config_of(tmp_path, "ops", urls["ops"], port=port)
    for command in (
        ("order", "hold", "ORDER-1", "1h", "--note", "a test"),
        ("order", "ask", "ORDER-1", "--note", "a test"),
    ):
        told = await tillkeeper(*command, "--config", ops)
        assert "permission denied" not in told.err, (command, told.err)
        assert told.code in {0, 1}, (command, told.err)


async def test_the_desk_signs_people_in_under_its_own_role(tmp_path, urls):
    people = config_of(tmp_path, "people", urls["people"], port=0)
    made = await tillkeeper("user", "add", "mei", "--role", "viewer", "--json", "--config", people)
    link = urlsplit(made.json["link"]).path
    async with serving("desk", "--config", config_of(tmp_path, "desk", urls["desk"], port=0)) as process:
        port = (await process.saw("desk_listening"))["port"]
        async with aiohttp.ClientSession(
            f"http://127.0.0.1:{port}", cookie_jar=aiohttp.CookieJar(unsafe=True)
        ) as client:
            browser = Browser(client)
            assert (await browser.post(link, password=PASSWORD, again=PASSWORD)).status == 303
            for path in ("/", "/me", "/stuck", "/cases"):
                assert (await browser.get(path)).status == 200, path
            assert (await browser.post("/me/language", on="/me", locale="en")).status == 303
            changed = await browser.post("/me/password", on="/me", old=PASSWORD, password=PASSWORD, again=PASSWORD)
            assert changed.status == 303
            assert (await browser.post("/sign-out", on="/me")).status == 303
            assert (await browser.sign_in(password="wrong horse battery")).status == 401
            assert (await browser.sign_in()).status == 303
            token = await tillkeeper("user", "tokens", "add", "mei", "exports", "--json", "--config", people)
            bearer = {"Authorization": f"Bearer {token.json['token']}"}
            assert (await client.get("/me", headers=bearer)).status == 200
        process.child.terminate()
        assert await process.ended() == 0
    assert refusals(process) == []


async def test_the_desk_lets_in_whom_a_provider_names_and_gives_no_role_that_lasts(urls):
    member = Member(issuer="https://id.example", subject="1", name="lin", display_name="Lin", role=Role.ADMIN)
    async with await open_pool(urls["desk"], min_size=0, max_size=1) as pool:
        work = partial(let_in, member=member, role=Role.ADMIN, may_add=True, flow=b"1", locale="en", now=clock.now())
        token = await repeat_on_conflict(pool, work)
        session = await repeat_on_conflict(pool, partial(session_of, token=token, now=clock.now()))
        assert session.person.role == Role.ADMIN
        assert await pool.fetchval("SELECT role FROM people WHERE name = 'lin'") == Role.VIEWER
        await repeat_on_conflict(pool, partial(keep_out, member=member, why="no_role", now=clock.now()))
        assert await repeat_on_conflict(pool, partial(session_of, token=token, now=clock.now())) is None


@pytest.mark.timeout(400)
async def test_run_works_under_its_role_and_does_not_make_the_schema(tmp_path, urls):
    [port] = free_ports(1)
    async with serving("run", "--config", config_of(tmp_path, "run", urls["run"], port=port)) as process:
        await process.saw("schema_ready")
        await play(port, urls[""])
        await look(tmp_path, urls, process)
        process.child.terminate()
        assert await process.ended() == 0
    assert refusals(process) == []


async def test_who_may_not_make_a_schema_that_is_missing_is_told_who_may(tmp_path, urls):
    owner = await asyncpg.connect(urls[""])
    await owner.execute(f"DROP TABLE {', '.join(TABLES)}")
    await owner.close()
    told = await tillkeeper("run", "--config", config_of(tmp_path, "run", urls["run"], port=0))
    assert told.code == 2
    assert "tillkeeper db init" in told.err
    assert "deploy/roles.sql" in told.err
