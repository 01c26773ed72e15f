"""The units: systemd reads them, they are closed in, and what they say is enough for every role to work."""

import asyncio
import os
import re
import shlex
import shutil
import subprocess
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest

from tests.system.commands import Serving, tillkeeper
from tests.system.deploying import DEPLOY, ROOT
from tests.system.receiving import PATH, SECRET, a_delivery, until
from tillkeeper.sandbox.servers.child import free_ports

UNITS = DEPLOY / "systemd"
SERVICES = ("tillkeeper@.service", "tillkeeper-upgrade.service")
ROLES = ("ingest", "work", "sweep", "notify", "desk")
READY = ("ingest_listening", "worker_started", "sweep_started", "notify_started", "desk_listening")
EXPOSURE_MAX = 15  # tenths; from 2.0 on systemd-analyze has a doubt


@pytest.fixture(scope="module")
def analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("systemd-analyze is not installed (`make tools`)")
        pytest.skip("systemd-analyze is not installed (`make tools`)")
    return found


@pytest.fixture
def rendered(tmp_path, monkeypatch) -> Path:
    """The units as `init` writes them, with a program that there is."""
    program = Path(sys.executable).with_name("tillkeeper")
    monkeypatch.setattr("sys.argv", [str(program)])
    return tmp_path


async def written(directory, *options):
    ended = await tillkeeper("init", directory, "--gateway", "stripe", "--for", "systemd", "--yes", *options)
    assert ended.code == 0, ended.err
    return directory / "systemd"


def analyzed(*words: object, within: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in words], cwd=within, capture_output=True, text=True, timeout=180, check=False
    )


async def test_systemd_reads_them_without_a_complaint(analyze, rendered):
    units = await written(rendered)
    names = [*(f"./tillkeeper@{role}.service" for role in ROLES), "./tillkeeper-upgrade.service", "./tillkeeper.target"]
    told = analyzed(analyze, "verify", "--man=no", "--recursive-errors=no", *names, within=units)
    assert (told.returncode, told.stderr) == (0, "")


async def test_a_mistake_in_them_would_be_seen(analyze, rendered):
    units = await written(rendered)
    unit = units / "tillkeeper@.service"
    unit.write_text(unit.read_text().replace("ProtectSystem=strict", "ProtectSytem=strict"))
    told = analyzed(analyze, "verify", "--man=no", "--recursive-errors=no", "./tillkeeper@work.service", within=units)
    assert "'ProtectSytem'" in told.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_they_are_closed_in(analyze, name):
    told = analyzed(
        analyze, "security", "--offline=yes", "--no-pager", f"--threshold={EXPOSURE_MAX}", f"./{name}", within=UNITS
    )
    assert told.returncode == 0, told.stdout


def test_both_services_are_closed_in_alike():
    def sandbox(name: str) -> str:
        return (UNITS / name).read_text().partition("DynamicUser=")[2].partition("[Install]")[0].strip()

    first, second = map(sandbox, SERVICES)
    assert first.replace("LimitNOFILE=65536\n", "") == second


def test_the_target_starts_every_role_of_tillkeeper_run():
    code = (ROOT / "tillkeeper" / "cli" / "run.py").read_text()
    roles = re.findall(r'keep_running_child\(_role\("(\w+)"\)', code)
    [wanted] = re.findall(r"^Wants=(.+)$", (UNITS / "tillkeeper.target").read_text(), re.MULTILINE)
    assert sorted(wanted.split()) == sorted(f"tillkeeper@{role}.service" for role in roles)


# --- run as they say --------------------------------------------------------------------------------------------------

REFUSING = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(65, 1, 0, 0, 0) and ctypes.get_errno() != 22:  # PR_SET_MDWE; a kernel before 6.3 does not know it
    sys.exit("no memory may become executable: refused")
os.umask(0o077)
os.chdir("/")
os.execv(sys.argv[1], sys.argv[1:])
"""


def settings_in(unit: str, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.+)$", unit, re.MULTILINE)


def command_of(unit: str, role: str, credentials: Path) -> tuple[list[str], dict[str, str]]:
    """What systemd would execute, as far as can be had without it: another user, no privileges, no memory that is
    written to and executed, nothing in the environment but what the unit says, and a copy of the secrets."""
    [source] = [pair.partition(":")[2] for pair in settings_in(unit, "LoadCredential")]
    credentials.mkdir(exist_ok=True)
    copy = credentials / "tillkeeper.env"
    shutil.copyfile(source, copy)
    [execute] = settings_in(unit, "ExecStart")
    environ = {name: value for pair in settings_in(unit, "Environment") for name, _, value in [pair.partition("=")]}
    environ = {name: value.replace("%d", str(credentials)) for name, value in environ.items()}
    copy.chmod(0o400)
    privileges = ["--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    refusing = ["setpriv", "--no-new-privs", *privileges, sys.executable, "-c", REFUSING]
    return [*refusing, *shlex.split(execute.replace("%i", role))], environ


@asynccontextmanager
async def running(unit: str, role: str, credentials: Path) -> AsyncIterator[Serving]:
    command, environ = command_of(unit, role, credentials)
    child = await asyncio.create_subprocess_exec(*command, env=environ, stdin=DEVNULL, stderr=PIPE)
    try:
        yield Serving(child)
    finally:
        with suppress(ProcessLookupError):
            child.terminate()
        await asyncio.wait_for(child.communicate(), 60)


async def is_paid(client: aiohttp.ClientSession) -> bool:
    async with client.get("/orders/ORDER-1") as answer:
        return (await answer.json())["status"] == "paid"


@pytest.mark.long
@pytest.mark.timeout(400)
async def test_an_order_is_paid_by_what_the_units_start(rendered, empty_database):
    [port] = free_ports(1)
    units = await written(rendered, "--database-url", empty_database)
    env_file = rendered / "tillkeeper.env"
    text = env_file.read_text().replace("STRIPE_WEBHOOK_SECRET=", f"STRIPE_WEBHOOK_SECRET={SECRET}")
    text = text.replace("STRIPE_API_KEY=", "STRIPE_API_KEY=sk_test_of_the_units_4242")
    metrics = "".join(f"TILLKEEPER_{role.upper()}__METRICS_PORT=0\n" for role in ROLES)
    env_file.write_text(f"{text}TILLKEEPER_INGEST__PORT={port}\n{metrics}")
    [token] = re.findall(r"^API_TOKEN=(.+)$", text, re.MULTILINE)

    command, environ = command_of((units / SERVICES[1]).read_text(), "", rendered / "upgrade")
    upgrade = await asyncio.create_subprocess_exec(*command, env=environ, stdout=DEVNULL)
    assert await asyncio.wait_for(upgrade.wait(), 60) == 0

    unit = (units / SERVICES[0]).read_text()
    async with AsyncExitStack() as stack:
        started = [await stack.enter_async_context(running(unit, role, rendered / role)) for role in ROLES]
        for child, event in zip(started, READY, strict=True):
            await child.saw(event)
        session = aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {token}"})
        client = await stack.enter_async_context(session)
        order = {"amount": 12900, "currency": "CNY", "accounts": ["stripe-main"]}
        async with client.put("/orders/ORDER-1", json=order) as answer:
            assert answer.status == 201, await answer.text()
        headers, body = a_delivery("evt_1")
        async with client.post(PATH, headers=headers, data=body) as answer:
            assert answer.status == 200, await answer.text()
        await until(lambda: is_paid(client), within_s=60)
        for child in started:
            child.child.terminate()
        assert [await child.ended() for child in started] == [0] * len(ROLES)
