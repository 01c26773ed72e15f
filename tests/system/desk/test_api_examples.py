"""docs/desk-api.md is what its script prints, and its examples do what stands beside them."""

import asyncio
import json
import os
import re
import runpy
import sys
from pathlib import Path

import pytest

from tests.database.factories import NOON
from tests.desk_api import TYPED, WAITS, a_dead_notice, a_token, parked
from tests.desk_orders import MINUTE, an_order, of_alipay, tell
from tests.desks import a_desk
from tests.system.commands import WITHIN_S
from tests.system.receiving import some_settings
from tillkeeper.desk.server import desk_server

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "desk-api.md").read_text()
EXAMPLE = re.compile(r"```(sh|python)\n(.*?)```\n```(json|text)\n(.*?)```", re.DOTALL)


def test_it_is_what_its_script_prints():
    assert runpy.run_path(str(DOCS / "desk_api.py"))["page"]() == PAGE, "run `make docs`"


@pytest.fixture
async def environ(pool, database):
    await an_order(pool)
    await tell(pool, of_alipay(order_ref=TYPED, payment_ref=WAITS, amount=12_900), at=NOON + MINUTE)
    await an_order(pool, "ORD-9001")
    await tell(pool, of_alipay(order_ref="ORD-9001", payment_ref="P-9001", amount=20_000))
    await an_order(pool, "ORD-9002")
    await parked(pool, "ORD-9002")
    await a_dead_notice(pool, "ORD-9003")
    desk = a_desk(pool)
    tokens = {"TOKEN": await a_token(desk, "mei"), "SECOND": await a_token(desk, "jun")}
    async with desk_server(some_settings(database, desk={"port": 0, "metrics_port": 0})) as port:
        yield os.environ | tokens | {"DESK": f"http://127.0.0.1:{port}", "PYTHONUTF8": "1", "no_proxy": "127.0.0.1"}


async def printed(language, text, environ):
    command = ["bash", "-eu", "-c", text] if language == "sh" else [sys.executable, "-c", text]
    child = await asyncio.create_subprocess_exec(
        *command, env=environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(WITHIN_S):
        out, err = await child.communicate()
    assert child.returncode == 0, err.decode()
    return out.decode()


def shortened(told, like):
    """What was told, with the fields and as many rows as the example has."""
    if isinstance(like, dict) and isinstance(told, dict):
        return {name: shortened(told.get(name, "missing"), each) for name, each in like.items()}
    if isinstance(like, list) and isinstance(told, list):
        return [shortened(each, of) for each, of in zip(told, like, strict=False)]
    return told


@pytest.mark.slow
async def test_every_example_prints_what_stands_behind_it(environ):
    examples = EXAMPLE.findall(PAGE)
    assert len(examples) >= 15
    for language, text, form, expected in examples:
        said = await printed(language, text, environ)
        if form == "json":
            like = json.loads(expected)
            assert shortened(json.loads(said), like) == like, text
        else:
            assert said == expected, text


def test_each_block_of_code_belongs_to_an_example():
    assert len(re.findall(r"^```(?:sh|python)$", PAGE, re.MULTILINE)) == len(EXAMPLE.findall(PAGE))
