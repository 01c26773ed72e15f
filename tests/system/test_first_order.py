"""docs/first-order.md, walked through: each command is run as it stands there, and prints what stands below it."""

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import pytest

from tests.system.commands import ENVIRON
from tillkeeper.sandbox.servers.child import free_ports

PAGE = (Path(__file__).parents[2] / "docs" / "first-order.md").read_text()
BLOCKS = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
WITHIN_S = 120.0
DATABASE = "postgresql://tillkeeper@127.0.0.1/tillkeeper"
END = "--- end of output ---"
LOOKS = (
    "tillkeeper events",
    "tillkeeper order show",
    "tillkeeper refused list",
    "tillkeeper cases",
    "tillkeeper audit",
)


def steps():
    """Each command with the lines that it prints."""
    for block in BLOCKS:
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, printed = part.partition("\n")
            yield command, printed


def pattern_of(printed):
    """What the output must look like: `…` is anything, and where it ends a line, any further lines too."""
    return re.compile(
        "".join(".*?" if part == "…" else re.escape(part) for part in re.split("(…)", printed)), re.DOTALL
    )


class Shell:
    """A shell in which the walk is made, as one person makes it."""

    def __init__(self, child):
        self._child = child

    async def run(self, command):
        """What the command printed."""
        self._child.stdin.write(f"{command}\nprintf '\\n%s\\n' '{END}'\n".encode())
        lines = []
        async with asyncio.timeout(WITHIN_S):
            while (line := (await self._child.stdout.readline()).decode()) != f"{END}\n":
                assert line, f"the shell ended: {lines}"
                lines.append(line.rstrip() + "\n")
        return "".join(lines[:-1] if lines[-1] == "\n" else lines)


@pytest.fixture
async def shell(tmp_path):
    [port] = free_ports(1)
    environ = ENVIRON | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "TILLKEEPER_INGEST__PORT": str(port),
        "COLUMNS": "100",
    }
    child = await asyncio.create_subprocess_exec(
        "bash", cwd=tmp_path, env=environ, stdin=PIPE, stdout=PIPE, stderr=STDOUT, start_new_session=True
    )
    yield Shell(child), port
    if child.returncode is None:
        child.stdin.write(b"kill %1; exit\n")
        child.stdin.close()
        await child.wait()


@pytest.fixture
async def empty_database(postgres_server):
    await postgres_server.start()
    yield await postgres_server.create_database("first_order")
    await postgres_server.drop_database("first_order")


@pytest.mark.long
async def test_each_command_prints_what_stands_below_it(shell, empty_database):
    walk, port = shell
    assert len(list(steps())) > 15
    for command, printed in steps():
        here = command.replace("8080", str(port)).replace(DATABASE, empty_database)
        expected = pattern_of(printed)
        async with asyncio.timeout(WITHIN_S):
            said = await walk.run(here)
            while command.startswith(LOOKS) and not expected.match(said):  # a worker may need a moment
                said = await walk.run(here)
        assert expected.match(said), f"$ {command}\n{said}"
