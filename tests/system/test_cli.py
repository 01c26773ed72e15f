"""The programs as a person or a script starts them: what they print, do, and exit with."""

import json
import socket
from datetime import timedelta
from uuid import uuid4

import pytest

from tests.database.factories import NOON, a_registration
from tests.system.commands import (
    CLOSED_PORT_URL,
    tillkeeper,
    toml,
    written,
)
from tillkeeper import __version__
from tillkeeper.cli.options import seconds
from tillkeeper.domain.policy import Policy
from tillkeeper.store.apply.registration import register

# --- help and wrong usage ---------------------------------------------------------------------------------------------

COMMANDS = [
    "check",
    "run",
    "ingest",
    "work",
    "desk",
    "db init",
    "db status",
    "db upgrade",
    "find",
    "claim",
    "explain",
    "waiting list",
    "waiting show",
    "waiting bind",
    "order show",
    "order hold",
    "order release",
    "order close",
    "order ask",
    "order remind",
    "order claimed",
    "events",
    "stuck",
    "words",
    "cases",
    "case show",
    "case assign",
    "case note",
    "case follow-up",
    "case escalate",
    "case resolve",
    "case confirm",
    "case refuse",
    "handover",
    "rehearse",
    "shadow compare",
    "ledger",
    "bank",
    "report",
    "chain head",
    "chain key",
    "parked list",
    "parked show",
    "parked replay",
    "parked discard",
    "guard list",
    "guard show",
    "guard go",
    "guard discard",
    "notify test",
    "refused list",
    "refused show",
    "refused retry",
    "outbox list",
    "outbox retry",
    "policy check",
    "broker check",
    "policy show",
    "inspect",
    "backfill",
    "reconcile",
    "books differences",
    "books statements",
    "books payouts",
    "books order",
    "erase",
    "audit",
    "sandbox",
    "sandbox accounts",
    "sandbox trigger",
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


@pytest.mark.parametrize("command", ["ingest", "work", "desk", "run"])
async def test_a_port_that_is_taken_is_said_in_a_line(tmp_path, database, command):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        roles = {"ingest": f"port = {port}", "work": f"metrics_port = {port}", "desk": f"port = {port}"}
        config = written(tmp_path, toml(database, **roles))
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


async def test_an_audit_says_what_it_read_and_when_everything_was_read_last(config):
    first = await tillkeeper("audit", "--config", config)
    assert (first.code, "everything" in first.out, "last whole audit" in first.out) == (0, True, False)
    second = await tillkeeper("audit", "--config", config)
    assert second.code == 0
    assert "what came since the audit of " in second.out
    assert "; `tillkeeper audit --all` is the next" in second.out
    lately = await tillkeeper("audit", "--since", "2d", "--config", config)
    assert (lately.code, "what came since " in lately.out) == (0, True)
    assert (await tillkeeper("audit", "--all", "--json", "--config", config)).json["is_whole"] is True
    assert (await tillkeeper("audit", "--json", "--config", config)).json["is_whole"] is False
    both = await tillkeeper("audit", "--all", "--since", "2d", "--config", config)
    assert (both.code, "it leaves out what --all reads" in both.err) == (2, True)


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
