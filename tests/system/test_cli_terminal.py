"""What people see at a terminal: colours for what is urgent, times of their zone, 80 columns, and completion."""

import asyncio
import os
import pty
import re
import sys
from pathlib import Path

import pytest

from tests.database.factories import NOON, a_delivery, a_registration, an_event
from tests.system.commands import ENVIRON, WITHIN_S, tillkeeper, toml, written
from tillkeeper.domain.policy import Policy
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.apply.registration import register

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
COLOURED = re.compile(r"\x1b\[[0-9;]*3[0-7]m")


@pytest.fixture
async def config(tmp_path, database, pool):
    """With a case that was escalated twice, and an event in another currency."""
    for ref in ("A-1", "ORDER-2026-11-22-000017"):
        await register(pool, a_registration(ref, accounts=("stripe-main",)), policy=Policy(), now=NOON)
    async with pool.acquire() as conn, conn.transaction():
        paid = an_event(amount=150, order_ref="A-1", event_id="evt_1")
        wrong = an_event(order_ref="ORDER-2026-11-22-000017", payment_ref="pi_2", currency="USD", event_id="evt_2")
        await apply_deliveries(conn, [a_delivery(paid), a_delivery(wrong)], policy=Policy(), now=NOON)
        await conn.execute("UPDATE cases SET level = 3")
    return written(tmp_path, toml(database, more='[notify]\ntime_zone = "Asia/Shanghai"'))


async def at_a_terminal(*arguments, **environ):
    """What the command prints on a terminal of 80 columns."""
    ours, its = pty.openpty()
    command = [sys.executable, "-m", "tillkeeper", *map(str, arguments)]
    told = {"TERM": "xterm-256color", "COLUMNS": "80"} | environ
    child = await asyncio.create_subprocess_exec(*command, stdout=its, env=ENVIRON | told)
    os.close(its)
    async with asyncio.timeout(WITHIN_S):
        shown = await asyncio.to_thread(read_all, ours)
        assert await child.wait() == 0
    return shown.replace("\r\n", "\n")


def read_all(descriptor):
    parts = []
    try:
        while part := os.read(descriptor, 65536):
            parts.append(part)
    except OSError:  # Linux says so when the other end is closed
        pass
    os.close(descriptor)
    return b"".join(parts).decode()


@pytest.mark.parametrize("command", ["cases", "events"])
async def test_what_is_urgent_is_coloured_at_a_terminal_alone(config, command):
    shown = await at_a_terminal(command, "--config", config)
    assert "\x1b[1;31m" in shown
    plain = await tillkeeper(command, "--config", config)
    assert not ESCAPE.search(plain.out)
    assert not COLOURED.search(await at_a_terminal(command, "--config", config, NO_COLOR="1"))


@pytest.mark.parametrize("command", ["order show A-1", "events", "case show 1"])
async def test_times_are_of_the_configured_zone(config, command):
    shown = await tillkeeper(*command.split(), "--config", config)
    assert "2026-11-22 20:00:00+08" in shown.out
    assert not re.search(r"\d\d:\d\dZ", shown.out)
    config.write_text(config.read_text().replace("Asia/Shanghai", "UTC"))
    assert "2026-11-22 12:00:00Z" in (await tillkeeper(*command.split(), "--config", config)).out
    config.write_text(config.read_text().replace('"UTC"', '"Asia/Kolkata"'))
    assert "2026-11-22 17:30:00+0530" in (await tillkeeper(*command.split(), "--config", config)).out


async def test_programs_read_times_in_utc_whatever_the_zone(config):
    shown = await tillkeeper("order", "show", "A-1", "--json", "--config", config)
    assert shown.json["registered_at"] == "2026-11-22T12:00:00+00:00"


@pytest.mark.parametrize(
    "command", ["order show ORDER-2026-11-22-000017", "cases", "case show 1", "stuck --status unpaid", "keys"]
)
async def test_nothing_is_wider_than_80_columns(config, command):
    shown = ESCAPE.sub("", await at_a_terminal(*command.split(), "--config", config))
    assert [line for line in shown.splitlines() if len(line) > 80] == []


# --- completion -------------------------------------------------------------------------------------------------------

PROGRAM = Path(sys.executable).with_name("tillkeeper")


async def completed(words):
    """What bash would offer, asked of the installed program."""
    environ = {"_TILLKEEPER_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()))}
    child = await asyncio.create_subprocess_exec(PROGRAM, stdout=asyncio.subprocess.PIPE, env=ENVIRON | environ)
    out, _ = await child.communicate()
    return out.decode().split()


async def test_the_installed_program_completes_commands_and_options():
    assert {"show", "hold", "release", "close", "ask"} <= set(await completed("tillkeeper order "))
    assert "sandbox" in await completed("tillkeeper ")
    assert "trigger" in await completed("tillkeeper sandbox ")


async def test_completion_is_installed_for_bash_and_works_there(tmp_path):
    environ = ENVIRON | {"HOME": str(tmp_path), "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}"}
    script = "tillkeeper --install-completion bash && . ~/.bash_completions/tillkeeper.sh && complete -p tillkeeper"
    script += " && COMP_WORDS=(tillkeeper parked re) COMP_CWORD=2 && _tillkeeper_completion tillkeeper"
    script += ' && echo "${COMPREPLY[@]}"'
    child = await asyncio.create_subprocess_exec(
        "bash", "-c", script, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=environ
    )
    out, _ = await child.communicate()
    assert child.returncode == 0, out.decode()
    assert out.decode().split()[-1] == "replay"
