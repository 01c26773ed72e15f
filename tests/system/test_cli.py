"""The programs as a person or a script starts them: what they print, do, and exit with."""

import asyncio
import json
import os
import signal
import socket
from datetime import timedelta
from uuid import uuid4

import aiohttp
import pytest

from tests.database.factories import NOON, a_delivery, a_registration, an_event
from tests.system import receiving
from tests.system.commands import (
    CLOSED_PORT_URL,
    WITHIN_S,
    children_of,
    gone,
    serving,
    tillkeeper,
    toml,
    written,
)
from tillkeeper import __version__
from tillkeeper.cli.options import seconds
from tillkeeper.domain.policy import Policy
from tillkeeper.store.apply.registration import register
from tillkeeper.store.deliveries.parked import park_event, park_unreadable


@pytest.fixture
def config(tmp_path, database):
    return written(tmp_path, toml(database))


# --- help and wrong usage ---------------------------------------------------------------------------------------------

COMMANDS = [
    "run",
    "ingest",
    "work",
    "db init",
    "db status",
    "db upgrade",
    "order show",
    "order hold",
    "order release",
    "order close",
    "order ask",
    "events",
    "stuck",
    "words",
    "cases",
    "case show",
    "case assign",
    "case note",
    "case resolve",
    "handover",
    "parked list",
    "parked show",
    "parked replay",
    "parked discard",
    "policy check",
    "broker check",
    "policy show",
    "inspect",
    "backfill",
    "erase",
    "audit",
    "sandbox",
]


@pytest.mark.parametrize("command", COMMANDS)
async def test_help_teaches(command):
    shown = await tillkeeper(*command.split(), "--help")
    assert shown.code == 0
    for part in (f"tillkeeper {command}", "Example:", "Exit codes:", "--json", "--config", "    2  wrong usage"):
        assert part in shown.out


async def test_the_first_help_names_every_command():
    shown = await tillkeeper("--help", as_program=True)
    assert shown.code == 0
    assert [name for name in {command.split()[0] for command in COMMANDS} if f"\n  {name} " not in shown.out] == []


@pytest.mark.parametrize("command", ["", "stuck", "order", "order show", "sandbox"])
async def test_h_is_help(command):
    short, long = [await tillkeeper(*command.split(), option) for option in ("-h", "--help")]
    assert (short.code, short.out) == (0, long.out)
    assert "-h, --help" in short.out


async def test_the_version_is_said():
    ended = await tillkeeper("--version")
    assert (ended.code, ended.out) == (0, f"tillkeeper {__version__}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["order", "show"],
        ["order", "show", "A", "--nonsense"],
        ["parked", "show", "0"],
        ["parked", "replay"],
        ["parked", "replay", "1", "--all"],
        ["parked", "discard", "1"],
        ["parked", "discard", "1", "--note", " "],
        ["audit", "--grace", "soon"],
        ["inspect"],
        ["inspect", "--now", "-1", "x.json"],
        ["policy", "show", "--status", "stuck"],
        ["policy", "show", "--method", "card"],
        ["sandbox", "--broker", "kafka"],
    ],
    ids=" ".join,
)
async def test_wrong_usage_exits_with_2(arguments):
    ended = await tillkeeper(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err


@pytest.mark.parametrize(
    ("text", "span"), [("0", 0), ("90", 90), ("60s", 60), ("5m", 300), ("2h", 7200), ("1d", 86400)]
)
def test_spans_are_read(text, span):
    assert seconds(text) == span


@pytest.mark.parametrize("text", ["", "s", "-1s", "1.5h", "5 m", "5w", "٣s", "9" * 10, "367d"])
def test_what_is_no_span_is_refused(text):
    with pytest.raises(Exception, match=r"span|year"):
        seconds(text)


# --- configuration and reach ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("database_url = 7\nbroker_url = 'http://x'", ["database_url: ", "broker_url: must begin with amqp://"]),
        ("databse_url = 'postgresql://x/y'", ["databse_url: is not a setting", "database_url: is required"]),
        ("nonsense", ["is not TOML"]),
        ("database_url = 'postgresql://h:port/d'", ["database_url: must name hosts and ports"]),
        ("database_url = 'postgresql://h:99999/d'", ["database_url: must name hosts and ports"]),
        ("database_url = 'postgresql:///d?sslmode=maybe'", ["database_url: `sslmode`"]),
        ("database_url = 'postgresql://a..b/d'", ["database_url: a host name"]),
        ("database_url = 'env:TILLKEEPER_TEST_UNSET'", ["TILLKEEPER_TEST_UNSET is not set"]),
    ],
)
async def test_a_bad_configuration_is_told_a_line_a_problem(tmp_path, text, words):
    ended = await tillkeeper("audit", "--config", written(tmp_path, text))
    assert (ended.code, ended.out) == (2, "")
    lines = ended.err.splitlines()
    assert len(lines) == len(words)
    for word in words:
        assert any(word in line for line in lines)


async def test_a_configuration_that_is_not_there_is_named(tmp_path):
    ended = await tillkeeper("audit", TILLKEEPER_CONFIG=str(tmp_path / "nowhere.toml"))
    assert ended.code == 2
    assert "nowhere.toml cannot be read" in ended.err


@pytest.mark.parametrize(
    "arguments", [["db", "init"], ["order", "show", "A"], ["parked", "list"], ["audit"], ["ingest"]]
)
async def test_a_database_out_of_reach_exits_with_3(tmp_path, arguments):
    ended = await tillkeeper(*arguments, "--config", written(tmp_path, toml(CLOSED_PORT_URL)))
    assert (ended.code, ended.out) == (3, "")
    assert "out of reach" in ended.err.splitlines()[-1]


async def test_errors_are_json_where_json_is_asked_for(tmp_path):
    ended = await tillkeeper("audit", "--json", "--config", written(tmp_path, toml(CLOSED_PORT_URL)))
    assert ended.code == 3
    assert "out of reach" in json.loads(ended.err)["errors"][0]


async def test_a_password_is_not_shown(tmp_path):
    url = "postgresql://shop:very-secret@127.0.0.1:1/none"
    ended = await tillkeeper("db", "init", "--config", written(tmp_path, toml(url)))
    assert "very-secret" not in ended.err
    assert "shop:***@127.0.0.1" in ended.err


async def test_a_database_that_does_not_exist_is_a_bad_configuration(tmp_path, postgres_server):
    await postgres_server.start()
    config = written(tmp_path, toml(postgres_server.dsn("nowhere")))
    for command in (["db", "init"], ["run"]):
        ended = await tillkeeper(*command, "--config", config)
        assert ended.code == 2
        assert '"nowhere" does not exist' in ended.err


@pytest.mark.parametrize("command", ["ingest", "work", "run"])
async def test_a_port_that_is_taken_is_said_in_a_line(tmp_path, database, command):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = written(tmp_path, toml(database, ingest=f"port = {port}", work=f"metrics_port = {port}"))
        ended = await tillkeeper(command, "--config", config)
    assert ended.code == 2
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in ended.err


async def test_a_host_that_is_not_ours_to_listen_on_is_said_in_a_line(tmp_path, database):
    config = written(tmp_path, toml(database, ingest='host = "nowhere.invalid"\nport = 0'))
    ended = await tillkeeper("ingest", "--config", config)
    assert ended.code == 2
    assert "cannot listen on nowhere.invalid:0: the host has no address" in ended.err


# --- db, order, audit -------------------------------------------------------------------------------------------------


async def test_the_schema_is_created_once(tmp_path, empty_database):
    config = written(tmp_path, toml(empty_database))
    early = await tillkeeper("audit", "--config", config)
    assert early.code == 2
    assert "tillkeeper db init" in early.err
    first = await tillkeeper("db", "init", "--config", config, as_program=True)
    assert first.code == 0
    assert "created" in first.out
    assert "inbox" in first.out
    again = await tillkeeper("db", "init", "--config", config)
    assert again.code == 0
    assert "nothing to do" in again.out
    assert (await tillkeeper("db", "init", "--json", "--config", config)).json["created"] == []


async def test_an_order_that_is_not_registered_is_the_answer_no(config):
    ended = await tillkeeper("order", "show", "A-404", "--config", config)
    assert (ended.code, ended.out) == (1, "")
    assert "A-404" in ended.err
    assert (await tillkeeper("order", "show", "\udcff", "--config", config)).code == 2


async def test_an_outsiders_text_cannot_move_the_cursor(config, pool):
    await register(pool, a_registration("A\x1b[2J[bold]"), policy=Policy(), now=NOON)
    shown = await tillkeeper("order", "show", "A\x1b[2J[bold]", "--config", config)
    assert shown.code == 0
    assert "A\\x1b[2J[bold]" in shown.out
    assert "\x1b" not in shown.out


async def test_chinese_needs_no_terminal_that_knows_it(config, pool):
    await register(pool, a_registration("A-1"), policy=Policy(), now=NOON)
    shown = await tillkeeper("order", "show", "A-1", "--config", config, PYTHONIOENCODING="ascii", as_program=True)
    assert shown.code == 0
    assert "unpaid \\u672a\\u652f\\u4ed8" in shown.out


async def test_books_that_do_not_balance_are_the_answer_no(config, pool):
    run = uuid4()
    statement = (
        "INSERT INTO deliveries (run, number, account, received_at, key, headers, events) "
        "VALUES ($1,2,'a',$2,'k','[]',1)"
    )
    await pool.execute(statement, run, NOON - timedelta(days=30))
    told = await tillkeeper("audit", "--json", "--config", config)
    assert told.code == 1
    assert told.json["balances"] is False
    assert (told.json["accepted"], told.json["accounted"]) == (1, 0)
    assert told.json["missing"] == [{"run": str(run), "last_number": 2, "missing": 1}]
    shown = await tillkeeper("audit", "--config", config)
    assert shown.code == 1
    assert shown.out.endswith("The books do NOT balance.\n")
    assert str(run) in shown.out


async def test_a_missing_number_is_ticked_off_with_a_reason_and_by_a_name(config, pool):
    run = uuid4()
    statement = (
        "INSERT INTO deliveries (run, number, account, received_at, key, headers, events) "
        "VALUES ($1,2,'a',$2,'k','[]',0)"
    )
    await pool.execute(statement, run, NOON - timedelta(days=30))
    silent = await tillkeeper("audit", "--explain", str(run), "--config", config)
    assert silent.code == 2
    assert "--note" in silent.err
    assert (await tillkeeper("audit", "--config", config)).code == 1
    told = await tillkeeper("audit", "--explain", str(run), "--note", "killed", "--by", "Li Na", "--config", config)
    assert told.code == 0
    assert tuple(await pool.fetchrow("SELECT number, explained_by, note FROM void_numbers")) == (1, "Li Na", "killed")
    mistyped = await tillkeeper("audit", "--explain", str(uuid4()), "--note", "killed", "--config", config)
    assert mistyped.code == 2
    assert "is missing; `tillkeeper audit` names the runs" in mistyped.err


# --- run --------------------------------------------------------------------------------------------------------------


async def test_run_takes_a_webhook_to_its_order_and_stops_in_order(tmp_path, empty_database):
    config = written(tmp_path, toml(empty_database))
    async with serving("run", "--config", config) as run:
        port = (await run.saw("ingest_listening"))["port"]
        await run.saw("worker_started")
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers=receiving.AUTHORIZED) as client:
            order = {"amount": 12900, "currency": "CNY", "accounts": ["stripe-main"]}
            async with client.put("/orders/ORDER-1", json=order) as answer:
                assert answer.status == 201
            headers, body = receiving.a_delivery("evt_1", order_ref="ORDER-1")
            async with client.post(receiving.PATH, data=body, headers=headers) as answer:
                assert answer.status == 200
            answered = await until_paid(client, "ORDER-1")
        told = (await tillkeeper("order", "show", "ORDER-1", "--json", "--config", config)).json
        history = told.pop("history")
        assert told == answered
        assert [(entry["event_id"], entry["evidence"], entry["outcome"]) for entry in history] == [
            ("evt_1", "webhook", "applied")
        ]
        shown = (await tillkeeper("order", "show", "ORDER-1", TILLKEEPER_CONFIG=str(config))).out
        assert "paid 已支付" in shown
        assert "129.00 CNY" in shown
        books = await tillkeeper("audit", "--json", "--grace", "0", "--config", config)
        assert books.code == 0
        assert (books.json["balances"], books.json["accepted"], books.json["outcomes"]) == (True, 1, {"applied": 1})
        verdict = (await tillkeeper("audit", "--config", config)).out
        assert verdict.endswith("The books balance.\n")
        run.child.send_signal(signal.SIGINT)
        await run.saw("ingest_stopped")
        run.child.send_signal(signal.SIGINT)  # a person in a hurry
        assert await run.ended() == 0
    first, *then, last = run.events()[-5:]
    assert (first, sorted(then), last) == (
        "ingest_stopped",
        ["notify_stopped", "sweep_stopped", "worker_stopped"],
        "run_stopped",
    )
    assert run.other == [""]  # nothing but log lines, to the end


async def until_paid(client, order_ref):
    async with asyncio.timeout(WITHIN_S):
        while True:
            async with client.get(f"/orders/{order_ref}") as answer:
                found = await answer.json()
            if found["status"] == "paid":
                return found
            await asyncio.sleep(0.02)


async def test_run_waits_for_the_database(tmp_path, database, postgres_server):
    await postgres_server.stop()
    async with serving("run", "--config", written(tmp_path, toml(database))) as run:
        await run.saw("database_unavailable")
        await postgres_server.start()
        await run.saw("ingest_listening")
        await run.saw("worker_started")


async def test_run_can_be_stopped_while_it_waits(tmp_path):
    async with serving("run", "--config", written(tmp_path, toml(CLOSED_PORT_URL))) as run:
        await run.saw("database_unavailable")
        run.child.send_signal(signal.SIGTERM)
        assert await run.ended() == 0


async def test_run_starts_a_child_again_and_its_children_end_with_it(config):
    async with serving("run", "--config", config) as run:
        await run.saw("ingest_listening")
        await run.saw("worker_started")
        (receiver,) = [pid for pid, command in children_of(run.pid).items() if " ingest " in command]
        os.kill(receiver, signal.SIGKILL)
        died = await run.saw("process_died")
        assert (died["process"], died["pid"], died["code"]) == ("ingest", receiver, -signal.SIGKILL)
        await run.saw("ingest_listening", times=2)
        orphans = [os.pidfd_open(pid) for pid in children_of(run.pid)]
        assert len(orphans) == 4  # ingest, work, sweep, notify
        run.child.kill()
        for orphan in orphans:
            await gone(orphan)


async def test_several_workers_share_their_figures_and_end_together(tmp_path, database):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = written(tmp_path, toml(database, work=f"metrics_port = {port}\nprocesses = 2"))
    async with serving("work", "--config", config) as workers:
        await workers.saw("worker_started", times=2)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
            async with client.get("/healthz") as answer:
                assert (answer.status, await answer.json()) == (200, {"alive": True})
            async with client.get("/metrics") as answer:
                assert "tillkeeper_apply_batch_events_count" in await answer.text()
        processes = [os.pidfd_open(pid) for pid in children_of(workers.pid)]
        assert len(processes) == 2
        workers.child.send_signal(signal.SIGTERM)
        assert await workers.ended() == 0
        assert workers.events().count("worker_stopped") == 2
        for process in processes:
            await gone(process)


@pytest.mark.parametrize("role", ["ingest", "work", "sweep", "notify", "run"])
async def test_a_hangup_ends_no_process(tmp_path, database, role):
    began = {"ingest": "ingest_listening", "work": "worker_started", "run": "schema_ready"}
    async with serving(role, "--config", written(tmp_path, toml(database))) as process:
        await process.saw(began.get(role, f"{role}_started"))
        process.child.send_signal(signal.SIGHUP)
        await process.saw("sighup_ignored")
        process.child.send_signal(signal.SIGTERM)
        assert await process.ended() == 0


# --- parked -----------------------------------------------------------------------------------------------------------


async def parked(pool, *events):
    """Parks each event with a delivery of its own; returns their numbers."""
    async with pool.acquire() as conn:
        for event in events:
            delivery = a_delivery(event, run=uuid4(), number=1)
            await park_event(conn, delivery, event, reason="cannot_be_applied", error="it\ndid not", now=NOON)
        return [row["id"] for row in await conn.fetch("SELECT id FROM parked ORDER BY id")]


async def test_parked_events_are_listed_and_shown(config, pool):
    nothing = await tillkeeper("parked", "list", "--config", config)
    assert (nothing.code, nothing.out) == (0, "Nothing is parked.\n")
    first, second, third = await parked(pool, an_event(event_id="evt_a"), an_event(), an_event())
    listed = (await tillkeeper("parked", "list", "--json", "--limit", "2", "--config", config)).json
    assert [row["id"] for row in listed["parked"]] == [first, second]
    assert listed["more"] is True
    for_people = await tillkeeper("parked", "list", "--config", config)
    assert "evt_a" in for_people.out
    assert "it\\ndid not" in for_people.out
    assert for_people.out.endswith("3 in all.\n")
    told = (await tillkeeper("parked", "show", first, "--json", "--config", config)).json
    assert (told["id"], told["reason"], told["delivery"]["events"][0]["event_id"]) == (
        first,
        "cannot_be_applied",
        "evt_a",
    )
    shown = await tillkeeper("parked", "show", third, "--config", config)
    assert shown.code == 0
    assert '{"id": "evt"}' in shown.out
    assert (await tillkeeper("parked", "show", third + 1, "--config", config)).code == 1


async def test_replay_applies_what_it_can_and_says_why_the_rest_stays(config, pool):
    await register(pool, a_registration("A1"), policy=Policy(), now=NOON)
    good, alone, bad = await parked(
        pool,
        an_event(event_id="evt_good", order_ref="A1", payment_ref="p1"),
        an_event(event_id="evt_alone", order_ref="A2", payment_ref="p2"),
        an_event(event_id="evt_bad", order_ref="A1", payment_ref="p1", failure_code="\x00"),
    )
    async with pool.acquire() as conn:
        await park_unreadable(conn, b"no envelope", reason="unreadable", error="garbled", now=NOON)
    told = await tillkeeper("parked", "replay", "--all", "--by", "mei", "--note", "fixed", "--json", "--config", config)
    assert told.code == 1
    assert (told.json["done"], told.json["failed"]) == (2, 2)
    outcomes = {each["id"]: (each["outcome"], each["event_outcomes"]) for each in told.json["results"]}
    assert outcomes[good] == ("replayed", ["applied"])
    assert outcomes[alone] == ("replayed", ["waiting"])
    assert outcomes[bad] == ("still_parked", [])
    assert outcomes[bad + 1] == ("still_parked", [])
    row = (await tillkeeper("parked", "show", good, "--json", "--config", config)).json
    assert (row["outcome"], row["closed_by"], row["note"]) == ("replayed", "mei", "fixed")
    assert (await tillkeeper("order", "show", "A1", "--json", "--config", config)).json["status"] == "paid"
    left = (await tillkeeper("parked", "list", "--json", "--config", config)).json["parked"]
    assert [row["id"] for row in left] == [bad, bad + 1]
    again = await tillkeeper("parked", "replay", good, "--config", config)
    assert again.code == 1
    assert "not open" in again.out


async def test_an_event_that_came_again_meanwhile_is_superseded(config, pool):
    event = an_event(event_id="evt_again", order_ref="A1", payment_ref="p1")
    await register(pool, a_registration("A1"), policy=Policy(), now=NOON)
    first, second = await parked(pool, event, event)
    told = await tillkeeper("parked", "replay", second, first, second, "--json", "--config", config)
    assert told.code == 0
    assert [(each["id"], each["outcome"]) for each in told.json["results"]] == [
        (second, "replayed"),
        (first, "superseded"),
    ]
    books = await tillkeeper("audit", "--config", config)
    assert books.code == 0, books.out


async def test_discard_keeps_who_and_why_and_happens_once(config, pool):
    first, _ = await parked(pool, an_event(), an_event())
    arguments = ["parked", "discard", first, "--note", "a test of the gateway", "--config", config]
    done = await tillkeeper(*arguments, LOGNAME="wei")
    assert (done.code, done.out) == (0, f"{first}  discarded\n1 done, 0 not.\n")
    row = (await tillkeeper("parked", "show", first, "--json", "--config", config)).json
    assert (row["outcome"], row["closed_by"], row["note"]) == ("discarded", "wei", "a test of the gateway")
    assert (await tillkeeper(*arguments)).code == 1
    closed = await tillkeeper("parked", "list", "--all", "--config", config)
    assert "a test of the gateway" in closed.out
