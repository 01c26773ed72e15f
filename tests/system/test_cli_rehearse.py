"""`tillkeeper rehearse` as a person starts it."""

import json

import pytest

from tests.database.factories import NOON
from tests.database.played import Played
from tests.system.commands import tillkeeper, written
from tillkeeper import clock
from tillkeeper.gateways.stripe.gateway import Stripe

SINCE = ("--since", f"{(clock.now() - NOON).days + 2}d")


@pytest.fixture
async def config(tmp_path, database, pool):
    """A database with all that Stripe's simulator tells, and its account."""
    played = Played(pool, "stripe")
    await played.registered()
    await played.delivered()
    settings = played.simulator.settings(played.signer)
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    account = ["[accounts.stripe-main]", 'gateway = "stripe"', *lines]
    return written(tmp_path, "\n".join([f'database_url = "{database}"', *account, ""]))


async def test_nothing_differs_where_nothing_was_changed(config):
    told = await tillkeeper("rehearse", *SINCE, "--config", config)
    assert (told.code, "No order would differ; events that are read otherwise: 0." in told.out) == (0, True)
    ended = await tillkeeper("rehearse", *SINCE, "--json", "--config", config)
    assert (ended.json["differ"], ended.json["read"]) == (0, ended.json["deliveries"])


async def test_what_differs_is_told_with_its_events(config, monkeypatch):
    monkeypatch.setattr(Stripe, "parse", lambda self, verified: ())
    told = await tillkeeper("rehearse", *SINCE, "--account", "stripe-main", "--config", config)
    assert told.code == 1
    assert "status paid -> unpaid" in told.out
    assert "is not read any more" in told.out
    lines = (await tillkeeper("rehearse", *SINCE, "--json", "--config", config)).out.splitlines()
    *orders, end = map(json.loads, lines)
    assert len(orders) == end["differ"] > 0
    assert {each["after"]["summary"]["status"] for each in orders} <= {"unpaid", "failed", "processing"}


async def test_an_account_that_is_not_there_is_no_good_news(config):
    refused = await tillkeeper("rehearse", "--account", "nope", "--config", config)
    assert (refused.code, "there is no account 'nope'" in refused.err) == (2, True)
