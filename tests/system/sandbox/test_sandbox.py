"""`tillkeeper sandbox` as people run it: a subprocess with servers of its own, that leaves nothing behind."""

import asyncio
import json
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.system.commands import tillkeeper
from tests.system.receiving import SECRET, TOKEN
from tillkeeper.sandbox.servers.child import free_ports

WITHIN_S = 300.0  # of which 15 on idle cores
LEFT = 3  # deliveries of the orders for a first look at the desk, which are applied before it plays


@pytest.fixture
def place(tmp_path_factory) -> Path:
    """Where the sandbox puts everything it makes; the system user of PostgreSQL can pass through."""
    place = tmp_path_factory.mktemp("sandbox")
    for above in (place, *place.parents[:2]):
        above.chmod(0o755)
    return place


@asynccontextmanager
async def sandbox(place: Path, *arguments: str) -> AsyncIterator[Process]:
    """The program with a directory for temporary files of its own."""
    program = (sys.executable, "-m", "tillkeeper", "sandbox", *arguments)
    child = await asyncio.create_subprocess_exec(
        *program, stdout=PIPE, stderr=PIPE, env={**os.environ, "TMPDIR": str(place)}
    )
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


async def ended(child: Process) -> tuple[int, str, str]:
    """Exit code and what was said."""
    async with asyncio.timeout(WITHIN_S):
        output, errors = await child.communicate()
    assert child.returncode is not None
    return child.returncode, output.decode(), errors.decode()


def left_behind(place: Path) -> list[str]:
    """Files, and processes that were started in or with anything below this place."""
    found = [str(path) for path in place.iterdir()]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            told = process.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            at = str(process.joinpath("cwd").readlink())
        except OSError:
            continue
        if str(place) in told or at.startswith(str(place)):
            found.append(f"{process.name} {told}")
    return found


def check_numbers(told: dict) -> None:
    """What must hold of every run that went well."""
    assert told["problems"] == []
    assert told["holds"]
    assert told["balances"]
    assert told["orders"] > 20
    assert sum(told["statuses"].values()) == told["compared"] == told["asked"] == told["orders"]
    assert told["posted"] == told["accepted"] + told["forged"] + told["unanswered"]
    assert told["forged"] == told["forged_refused"] == sum(told["tricks"].values()) > 0
    assert (told["forged_accepted"], told["refused"], told["differences"], told["surprises"]) == (0, 0, [], [])
    assert 0 < told["duplicates"] < told["accepted"]
    # What got no answer in time may be durable all the same.
    assert told["accepted"] <= told["applied"] <= told["accepted"] + told["unanswered"]
    assert told["audit"]["deliveries"] == told["applied"] + LEFT
    assert list(told["lanes"]) == ["spool"]
    assert 0 < told["accept_ms"]["p50"] <= told["accept_ms"]["p99"]
    assert all(counts["accepted"] for counts in told["accounts"].values())


@pytest.mark.long
async def test_a_run_on_the_postgresql_lane_alone_says_so_and_balances(place, monkeypatch):
    # Variables of a real Tillkeeper do not reach one of our own.
    monkeypatch.setenv("TILLKEEPER_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/real")
    async with sandbox(place, "--up", "--seconds", "3", "--rate", "60", "--broker", "none", "--json") as child:
        code, output, errors = await ended(child)
    assert code == 0, errors + output
    check_numbers(json.loads(output))
    assert "the PostgreSQL lane alone carries everything" in errors
    assert left_behind(place) == []


@pytest.mark.long(seconds=20)
@pytest.mark.rabbitmq
@pytest.mark.usefixtures("rabbitmq")  # skips, or in CI fails, where there can be none
async def test_ctrl_c_ends_a_run_with_rabbitmq_and_named_gateways_and_still_judges_it(place):
    told = ("--up", "--gateways", "wechatpay,alipay", "--seconds", "0", "--rate", "60")
    async with sandbox(place, *told) as child:
        assert child.stdout is not None
        async with asyncio.timeout(WITHIN_S):
            while b"plays: accepted" not in (line := await child.stdout.readline()):
                assert line, (await ended(child))[2]  # it ended before it played, and said why
        child.send_signal(signal.SIGINT)
        code, output, errors = await ended(child)
    assert code == 0, errors + output
    lines = output.strip().splitlines()
    assert lines[-1].startswith("the books balance; ")
    assert lines[-1].endswith(" are as the gateways know them")
    assert "已支付" in output
    assert set(re.findall(r"[a-z0-9]+-main", output)) == {"wechatpay-main", "alipay-main"}
    assert "PostgreSQL lane alone" not in errors
    assert left_behind(place) == []


async def test_ctrl_c_while_servers_start_leaves_nothing(place):
    async with sandbox(place, "--up", "--broker", "none") as child:
        assert child.stdout is not None
        async with asyncio.timeout(WITHIN_S):
            while b"starting PostgreSQL" not in (line := await child.stdout.readline()):
                assert line, "it ended before it started anything"
        child.send_signal(signal.SIGINT)
        code, _, errors = await ended(child)
    assert (code, errors) == (130, "tillkeeper: stopped\n")
    assert left_behind(place) == []


async def test_a_gateway_that_is_none_is_said_plainly():
    ended = await tillkeeper("sandbox", "--up", "--gateways", "stripe,paypall", as_program=True)
    assert ended.code == 2
    assert "no gateway 'paypall'; there are: adyen, alipay, " in ended.err


# --- a Tillkeeper that runs already -----------------------------------------------------------------------------------


@asynccontextmanager
async def running_tillkeeper(config: Path) -> AsyncIterator[Process]:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tillkeeper", "run", "--config", str(config)), stderr=PIPE
    )
    try:
        assert child.stderr is not None
        async with asyncio.timeout(WITHIN_S):
            while b"ingest_listening" not in (line := await child.stderr.readline()):
                assert line, "it ended before it listened"
        yield child
    finally:
        if child.returncode is None:
            child.terminate()
        await child.communicate()


def a_config(place: Path, database: str, **account: str) -> Path:
    told = {"webhook_secrets": [SECRET], "api_key": "sk_test_51ofthetests", **account}
    told = {name: value for name, value in told.items() if value is not None}
    path = place / "tillkeeper.toml"
    port, metrics_port = free_ports(2)
    others = "".join(f"[{role}]\nmetrics_port = 0\n" for role in ("work", "sweep", "notify"))
    path.write_text(
        f'database_url = "{database}"\napi_tokens = ["{TOKEN}"]\n{others}'
        f"[ingest]\nport = {port}\nmetrics_port = {metrics_port}\n"
        f'[accounts.stripe-main]\ngateway = "stripe"\n'
        + "".join(f"{name} = {json.dumps(value)}\n" for name, value in told.items())
    )
    return path


@pytest.mark.long
async def test_a_given_tillkeeper_serves_more_than_one_run(place, tmp_path, database):
    config = a_config(tmp_path, database, api_base="http://127.0.0.1:9")
    async with running_tillkeeper(config):
        for _ in range(2):  # the second run must not take the first one's orders for its own
            async with sandbox(place, "--config", str(config), "--seconds", "1", "--rate", "50", "--json") as child:
                code, output, errors = await ended(child)
            assert code == 0, errors + output
            told = json.loads(output)
            assert told["applied"] >= told["accepted"] > 0
            assert list(told["accounts"]) == ["stripe-main"]
    assert left_behind(place) == []


@pytest.mark.parametrize(
    ("account", "arguments", "said"),
    [
        ({}, (), "no receiver is ready at http://127.0.0.1:"),
        ({"api_key": "sk_live_51ofthetests"}, (), "no Stripe account for tests"),
        ({"api_key": None}, (), "or it may be live"),
        ({"api_key": "of_an_emulator"}, (), "no Stripe account for tests"),
        ({}, ("--up",), "give neither --url nor --config"),
        ({}, ("--gateways", "stripe"), "--gateways chooses what --up plays"),
    ],
)
async def test_what_cannot_serve_a_run_is_said_plainly(tmp_path, monkeypatch, account, arguments, said):
    monkeypatch.setattr(
        "tillkeeper.sandbox.traffic.command._heed_signals", lambda *_: None
    )  # only a program's own thread can
    config = a_config(tmp_path, "postgresql://nobody@127.0.0.1:1/nowhere", **account)
    ended = await tillkeeper("sandbox", "--config", config, *arguments)
    assert ended.code == 2
    assert said in ended.err
    assert "Traceback" not in ended.err
