"""The bench still runs, each section of it: nobody else calls it, and it calls into everything."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from tests.system.commands import ENVIRON

ROOT = Path(__file__).parents[2]
SECTIONS = [
    "accept",
    "apply",
    "end_to_end",
    "sweep",
    "stages",
    "confirms",
    "stalls",
    "memory",
    "reads",
    "pages",
    "books",
    "reports",
]


@pytest.mark.long(seconds=40)
@pytest.mark.slow
async def test_every_section_runs_in_miniature(tmp_path):
    figures = tmp_path / "figures.json"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench", "--miniature", "--json", str(figures)),
        cwd=ROOT,
        env=ENVIRON,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    assert [section["name"] for section in json.loads(figures.read_bytes())["sections"]] == SECTIONS


@pytest.mark.long
@pytest.mark.slow
async def test_retention_frees_what_it_says_while_events_are_applied():
    """It raises where the plan, the run and the books do not agree."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.retention", "--deliveries", "3000", "--events", "2000"),
        cwd=ROOT,
        env=ENVIRON,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    assert "The books balance afterwards" in said.decode()
