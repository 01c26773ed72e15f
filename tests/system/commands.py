"""What tests of the command line share: a configuration, commands run to their end, and ones that serve."""

import asyncio
import json
import logging
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
import structlog
from typer.testing import CliRunner

from tests.system.receiving import SECRET, TOKEN
from tillkeeper.cli import app

WITHIN_S = 180.0
SERVE = ("run", "ingest", "work", "sweep", "notify", "desk", "fetch")  # they take signals, as only a program can
CLOSED_PORT_URL = "postgresql://postgres@127.0.0.1:1/none"  # nobody listens on port 1
# The tests' own environment says nothing about Tillkeeper, but that sweeps and senders take no port unasked.
ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith(("TILLKEEPER_", "PROMETHEUS_"))} | {
    "TILLKEEPER_SWEEP__METRICS_PORT": "0",
    "TILLKEEPER_NOTIFY__METRICS_PORT": "0",
}


class Ended(msgspec.Struct):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        """Its one line of JSON."""
        (line,) = self.out.splitlines()
        return json.loads(line)


def toml(
    database_url: str | None = None,
    *,
    ingest: str = "port = 0\nmetrics_port = 0",
    work: str = "metrics_port = 0",
    more: str = "",
    desk: str = "port = 0\nmetrics_port = 0",
) -> str:
    return "\n".join(
        [
            f'database_url = "{database_url}"' if database_url else "",
            f'api_tokens = ["{TOKEN}"]',
            more,
            f"[ingest]\n{ingest}",
            f"[work]\n{work}",
            f"[desk]\n{desk}" if desk else "",
            f'[accounts.stripe-main]\ngateway = "stripe"\nwebhook_secrets = ["{SECRET}"]',
        ]
    )


def written(directory: Path, text: str) -> Path:
    path = directory / "tillkeeper.toml"
    path.write_text(text)
    return path


async def tillkeeper(*arguments: object, told: bytes = b"", as_program: bool = False, **environ: str) -> Ended:
    """Runs a command to its end: in this process, but as a program where it serves or `as_program` says so.

    No command may ever show a trace.
    """
    serves = arguments[0] in SERVE and "--help" not in arguments and arguments[:2] != ("notify", "test")
    if as_program or serves:
        return await as_a_program(*arguments, told=told, **environ)
    return await asyncio.to_thread(in_process, *arguments, told=told, **environ)


def in_process(*arguments: object, told: bytes, **environ: str) -> Ended:
    """A second a program is spared: what it imports is imported once.  Call it in a thread without an event loop."""
    unset = {name: None for name in os.environ if name not in ENVIRON}
    configured, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        result = CliRunner().invoke(
            app, list(map(str, arguments)), input=told, env=unset | environ, prog_name="tillkeeper"
        )
    finally:
        structlog.configure(**configured)
        root.handlers[:] = handlers
        root.setLevel(level)
    if not isinstance(result.exception, SystemExit | None):
        raise result.exception
    return Ended(result.exit_code, result.stdout, result.stderr)


async def as_a_program(*arguments: object, told: bytes, **environ: str) -> Ended:
    command = [sys.executable, "-m", "tillkeeper", *map(str, arguments)]
    child = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=ENVIRON | environ)
    try:
        async with asyncio.timeout(WITHIN_S):
            out, err = await child.communicate(told)
    finally:
        with suppress(ProcessLookupError):
            child.kill()
    assert b"Traceback" not in err, err.decode()
    return Ended(child.returncode, out.decode(), err.decode())


class Serving:
    """A command that serves, and what it logged."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self.child = child
        self.pid = child.pid
        self.lines: list[dict] = []
        self.other: list[str] = []

    async def saw(self, event: str, *, times: int = 1, where: Callable[[dict], bool] = lambda _: True) -> dict:
        """The log line of that event, the `times`-th that fits; reads on until it comes."""
        try:
            async with asyncio.timeout(WITHIN_S):
                while True:
                    fitting = [line for line in self.lines if line["event"] == event and where(line)]
                    if len(fitting) >= times:
                        return fitting[times - 1]
                    assert await self._read(), f"it ended without {event}: {self.lines} {self.other}"
        except TimeoutError:
            raise AssertionError(f"{event} did not come within {WITHIN_S} s: {self.lines} {self.other}") from None

    async def ended(self) -> int:
        """Its exit code."""
        async with asyncio.timeout(WITHIN_S):
            while await self._read():
                pass
            return await self.child.wait()

    async def _read(self) -> bool:
        line = await self.child.stderr.readline()
        try:
            self.lines.append(json.loads(line))
        except ValueError:
            self.other.append(line.decode())
        return bool(line)

    def events(self) -> list[str]:
        return [line["event"] for line in self.lines]


@asynccontextmanager
async def serving(*arguments: object, **environ: str) -> AsyncIterator[Serving]:
    """A command while it serves; killed at the end if the test did not stop it."""
    command = [sys.executable, "-m", "tillkeeper", *map(str, arguments)]
    child = await asyncio.create_subprocess_exec(*command, stderr=PIPE, env=ENVIRON | environ)
    try:
        yield Serving(child)
    finally:
        with suppress(ProcessLookupError):
            child.kill()  # its own children see their standard input end
        await child.wait()


def children_of(pid: int) -> dict[int, str]:
    """Its children's ids and command lines."""
    with suppress(FileNotFoundError):
        pids = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return {int(each): Path(f"/proc/{each}/cmdline").read_text().replace("\0", " ") for each in pids}
    return {}


async def gone(pidfd: int) -> None:
    """Returns when the process has ended, whosever child it is, and closes the descriptor."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(pidfd, ended.set)
    try:
        async with asyncio.timeout(WITHIN_S):
            await ended.wait()
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)
