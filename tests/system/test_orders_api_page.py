"""docs/orders-api.md is what its script prints, and its examples do what stands beside them."""

import asyncio
import json
import os
import re
import runpy
import sys
from pathlib import Path

import pytest

from tests.system.commands import WITHIN_S
from tests.system.receiving import ACCOUNT, TOKEN, some_settings
from tillkeeper.ingest.server import receiver

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "orders-api.md").read_text()
EXAMPLE = re.compile(r"```(sh|python)\n(.*?)```\n```(json|text)\n(.*?)```", re.DOTALL)
MOMENT = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:.]+\+00:00")


def test_it_is_what_its_script_prints():
    assert runpy.run_path(str(DOCS / "orders_api.py"))["page"]() == PAGE, "run `make docs`"


@pytest.fixture
async def url(database):
    async with receiver(some_settings(database, accounts={"alipay-main": ACCOUNT})) as port:
        yield f"http://127.0.0.1:{port}"


async def printed(language, text, url):
    command = ["bash", "-eu", "-c", text] if language == "sh" else [sys.executable, "-c", text]
    environ = os.environ | {"TILLKEEPER": url, "TOKEN": TOKEN, "PYTHONUTF8": "1", "no_proxy": "127.0.0.1"}
    child = await asyncio.create_subprocess_exec(
        *command, env=environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(WITHIN_S):
        out, err = await child.communicate()
    assert child.returncode == 0, err.decode()
    return out.decode()


async def test_every_example_prints_what_stands_behind_it(url):
    examples = EXAMPLE.findall(PAGE)
    assert len(examples) >= 9
    for language, text, form, expected in examples:
        said = await printed(language, text, url)
        if form == "json":
            assert timeless(json.loads(said)) == timeless(json.loads(expected)), text
        else:
            assert said == expected, text


def timeless(content):
    """With times of the day of the run replaced; that of an expiry is the example's own."""
    if isinstance(content, dict):
        return {name: timeless(value) for name, value in content.items()}
    if isinstance(content, str) and not content.startswith("2099"):
        return MOMENT.sub("a time", content)
    return content


def test_each_block_of_code_belongs_to_an_example():
    assert len(re.findall(r"^```(?:sh|python)$", PAGE, re.MULTILINE)) == len(EXAMPLE.findall(PAGE))
