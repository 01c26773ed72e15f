"""`tillkeeper explain`: an order as it was known at a moment."""

import pytest

from tests.database.factories import NOON
from tests.desk_orders import MINUTE, a_paid_order
from tests.system.commands import tillkeeper, toml, written

REF = "ORD-1042"


@pytest.fixture
async def config(pool, tmp_path, database):
    await a_paid_order(pool)
    return written(tmp_path, toml(database))


async def test_it_says_what_was_known_then_and_why(config):
    at = ("--at", (NOON + MINUTE).isoformat())
    before = (await tillkeeper("explain", REF, *at, "--config", config, "--json")).json
    assert (before["status"], before["line"], before["events"]) == ("processing", "under_way", 1)
    assert before["latest"]["kind"] == "payment.pending"
    now = await tillkeeper("explain", REF, "--config", config)
    assert now.code == 0
    for part in ("paid 已支付", "129.00 CNY", "what was captured covers what is due", "payment."):
        assert part in now.out


async def test_a_time_without_an_offset_is_one_of_the_configured_zone(config):
    local = await tillkeeper("explain", REF, "--at", "2026-11-22 20:01", "--config", config, "--json")
    assert local.json["at"] == (NOON + MINUTE).isoformat()
    bad = await tillkeeper("explain", REF, "--at", "yesterday", "--config", config)
    assert bad.code == 2
    assert "write 2026-12-01T14:02:00+08:00" in bad.err


async def test_what_was_not_there_is_said(config):
    early = await tillkeeper("explain", REF, "--at", "2026-11-01T00:00:00Z", "--config", config)
    assert (early.code, "was registered later" in early.err) == (1, True)
    assert (await tillkeeper("explain", "NOBODY", "--config", config)).code == 1
