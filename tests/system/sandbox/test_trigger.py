"""`tillkeeper sandbox trigger` and `sandbox accounts`, against a receiver that runs."""

import asyncio

import pytest

from tests.database.factories import a_registration
from tests.system.commands import tillkeeper, written
from tests.system.receiving import TOKEN, deliveries_in
from tillkeeper import clock
from tillkeeper.domain.policy import Policy
from tillkeeper.ingest.server import receiver
from tillkeeper.lanes.spool import SpoolReceiver
from tillkeeper.sandbox.servers.child import free_ports
from tillkeeper.settings import load_settings
from tillkeeper.store.apply.registration import register
from tillkeeper.workers.apply import ApplyLoop
from tillkeeper.workers.database_retry import DatabaseRetry


@pytest.fixture
async def house(tmp_path, database, monkeypatch):
    """The configuration of a receiver that runs, with accounts that the sandbox made; their keys are beside it."""
    made = await tillkeeper("sandbox", "accounts", tmp_path / "play", "--gateways", "stripe,alipay,standard")
    assert made.code == 0, made.err
    [port] = free_ports(1)
    head = f'database_url = "{database}"\napi_tokens = ["{TOKEN}"]\n[ingest]\nport = {port}\nmetrics_port = 0\n'
    config = written(tmp_path, head + (tmp_path / "play" / "accounts.toml").read_text())
    async with receiver(load_settings(config)):
        yield config


async def applied(database, pool):
    lane = await SpoolReceiver.open(pool, database)
    retry = DatabaseRetry(asyncio.Event())
    loop = ApplyLoop(lane=lane, batch_events=100, pool=pool, retry=retry, policy=Policy, now=clock.now)
    while await loop.run_once():
        pass
    await lane.close()


@pytest.mark.parametrize("gateway", ["stripe", "alipay", "standard"])
async def test_one_delivery_pays_the_order_that_it_names(house, database, pool, connection, gateway):
    order = a_registration("A-1001", amount=12900, accounts=(f"{gateway}-main",))
    await register(pool, order, policy=Policy(), now=clock.now())
    keys = ("--keys", house.parent / "play", "--config", house)
    said = await tillkeeper("sandbox", "trigger", gateway, "payment.succeeded", "--order", "A-1001", *keys)
    assert said.code == 0, said.out + said.err
    assert "129.00 CNY" in said.out
    await applied(database, pool)
    assert await connection.fetchval("SELECT status FROM orders") == "paid"


async def test_a_stripe_account_for_tests_needs_no_keys_beside_its_configuration(house, connection):
    money = ("--amount", "100", "--currency", "EUR", "--config", house)
    said = await tillkeeper("sandbox", "trigger", "stripe", "refund.failed", "--order", "A/2", *money, "--json")
    assert (said.code, said.json["status"], said.json["word"]) == (0, 200, "refund.failed")
    [delivery] = await deliveries_in(connection)
    assert [event.kind for event in delivery.events] == ["refund.failed"]


async def test_what_is_refused_is_exit_code_1(house):
    other = house.parent / "other"
    await tillkeeper("sandbox", "accounts", other, "--gateways", "stripe")
    money = ("--amount", "100", "--currency", "EUR", "--keys", other, "--config", house)
    said = await tillkeeper("sandbox", "trigger", "stripe", "payment.failed", "--order", "A-1", *money)
    assert said.code == 1
    assert "The receiver answered 401" in said.out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nope", "payment.succeeded", "--order", "A"], 2, "there is no gateway 'nope'"),
        (["stripe", "payment.nope", "--order", "A"], 2, "stripe is not simulated saying 'payment.nope'; there are:"),
        (["stripe", "payment.failed"], 2, "--order names no order"),
        (["stripe", "payment.failed", "--order", "A"], 3, "order 'A': no such order is registered"),
        (["adyen", "payment.failed", "--order", "A"], 2, "no account of adyen can be played"),
        (["alipay", "payment.pending", "--order", "A"], 2, "no account of alipay can be played"),
        (["stripe", "payment.failed", "--order", "A", "--amount", "1", "--currency", "eur"], 2, "--currency"),
        (["stripe", "payment.failed", "--order", "A", "--url", "http://127.0.0.1:1"], 3, "no receiver answers"),
        (["stripe", "payment.failed", "--order", "A", "--keys", "/nowhere"], 2, "cannot be read"),
    ],
)
async def test_what_cannot_be_triggered_says_what_would_help(house, arguments, code, words):
    said = await tillkeeper("sandbox", "trigger", *arguments, "--config", house)
    assert (said.code, words in said.err) == (code, True), said.err


async def test_without_a_kind_those_of_the_gateway_are_listed():
    said = await tillkeeper("sandbox", "trigger", "adyen")
    assert said.code == 0
    assert ["payment.succeeded", "AUTHORISATION"] in [line.split() for line in said.out.splitlines()]


async def test_nothing_is_written_over(house):
    again = await tillkeeper("sandbox", "accounts", house.parent / "play", "--gateways", "stripe")
    assert (again.code, "is there already" in again.err) == (2, True)
