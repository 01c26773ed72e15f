"""What there is to say and cannot be written is a failure of its own, and never the answer "no"."""

import asyncio
import os
import sys

import pytest

from tests.system.commands import ENVIRON, toml, written

UNSAID = 74


async def ended_with(command: str, **more: str) -> tuple[int, str]:
    """The exit code and standard error of a shell's command; $T is tillkeeper."""
    environ = ENVIRON | {"T": f"{sys.executable} -m tillkeeper", **more}
    child = await asyncio.create_subprocess_shell(command, stderr=asyncio.subprocess.PIPE, env=environ)
    async with asyncio.timeout(60):
        _, told = await child.communicate()
    return child.returncode, told.decode()


@pytest.mark.parametrize("arguments", ["audit", "audit --json", "stuck", "--help"])
async def test_audit_whose_words_are_lost_does_not_say_that_the_books_do_not_balance(tmp_path, database, arguments):
    config = written(tmp_path, toml(database))
    for where, why in ((">/dev/full", "No space left on device"), (">&-", "it is closed")):
        code, told = await ended_with(f"$T {arguments} {where}", TILLKEEPER_CONFIG=str(config))
        assert (code, told) == (UNSAID, f"tillkeeper: standard output cannot be written: {why}\n")


async def test_a_reader_that_has_seen_enough_needs_no_explanation():
    reader, writer = os.pipe()
    os.close(reader)
    command = (sys.executable, "-m", "tillkeeper", "policy", "show")
    child = await asyncio.create_subprocess_exec(*command, stdout=writer, stderr=asyncio.subprocess.PIPE, env=ENVIRON)
    os.close(writer)
    _, told = await child.communicate()
    assert (child.returncode, told) == (UNSAID, b"")
