"""`tillkeeper shadow compare` as a person starts it."""

import pytest

from tests.database.factories import NOON, a_delivery, a_registration, an_event
from tests.system.commands import tillkeeper, toml, written
from tillkeeper.domain.policy import Policy
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.apply.registration import register

SHOP = """number,state,total
A1,shipped,1.00
A2,paid,1.00
A3,new,0
A9,paid,1.00
"""


@pytest.fixture
def config(tmp_path, database):
    return written(tmp_path, toml(database))


@pytest.fixture
async def orders(pool):
    """A1 is paid; of A2 and A3 nothing came."""
    for order_ref in ("A1", "A2", "A3"):
        await register(pool, a_registration(order_ref), policy=Policy(), now=NOON)
    async with pool.acquire() as conn, conn.transaction():
        await apply_deliveries(conn, [a_delivery(an_event(order_ref="A1"))], policy=Policy(), now=NOON)


async def compare(config, tmp_path, content, *arguments):
    file = tmp_path / "orders.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return await tillkeeper("shadow", "compare", file, *arguments, "--config", config)


NAMED = ("--ref", "number", "--status", "state", "--paid", "total")


async def test_what_differs_is_told_with_the_reason(config, tmp_path, orders):
    told = await compare(config, tmp_path, SHOP, *NAMED, "--word", "shipped=paid", "--json")
    assert told.code == 1
    assert (told.json["agree"], told.json["differ"], told.json["not_here"]) == (2, 1, 1)
    [difference] = told.json["differences"]
    assert (difference["order_ref"], difference["differ"]) == ("A2", ["status", "paid"])
    assert difference["why"] == "otherwise"
    shown = await compare(config, tmp_path, SHOP, *NAMED, "--word", "shipped=paid")
    assert "Not registered here: 1, such as A9" in shown.out
    assert "Orders that agree: 2; that differ: 1." in shown.out


async def test_a_word_that_is_not_explained_differs(config, tmp_path, orders):
    told = await compare(config, tmp_path, "number,state\nA1,shipped\n", *NAMED[:4], "--json")
    assert told.json["differences"][0]["differ"] == ["word"]


async def test_all_that_agrees_is_good_news(config, tmp_path, orders):
    told = await compare(
        config, tmp_path, "number;total\nA1;1.00\n".encode("utf-16"), "--ref", "number", "--paid", "total"
    )
    assert (told.code, "Orders that agree: 1; that differ: 0." in told.out) == (0, True)


@pytest.mark.parametrize(
    ("content", "arguments", "said"),
    [
        (SHOP, ["--ref", "nope", "--status", "state"], "the file has no column 'nope'; it has: number, state, total"),
        (SHOP, ["--ref", "number"], "name --status, --paid, or both"),
        (SHOP, [*NAMED, "--word", "shipped"], "--word 'shipped': write WORD=STATUS"),
        (SHOP, [*NAMED, "--word", "shipped=gone"], "--word 'shipped=gone': write WORD=STATUS"),
        ("number,total\nA1,1.001\n", ["--ref", "number", "--paid", "total"], "line 2: an amount in CNY has at most 2"),
        ("number,total\nA1\n", ["--ref", "number", "--paid", "total"], "line 2 has 1 columns, fewer than are named"),
        (b"number,total\nA1,1\0\n", ["--ref", "number", "--paid", "total"], "NUL"),
        ("", [*NAMED], "the file has no column 'number'"),
    ],
)
@pytest.mark.usefixtures("orders")
async def test_wrong_usage_is_said(config, tmp_path, content, arguments, said):
    refused = await compare(config, tmp_path, content, *arguments)
    assert refused.code == 2
    assert said in " ".join(refused.err.replace("│", " ").split())


async def test_a_file_that_is_not_there_is_said(config, tmp_path, pool):
    refused = await tillkeeper("shadow", "compare", tmp_path / "no.csv", "--status", "s", "--config", config)
    assert (refused.code, "no.csv cannot be read: No such file" in refused.err) == (2, True)
