"""`tillkeeper notify` as it runs, killed at every step: no payer is told twice, nobody else is forgotten."""

import asyncio
import random
import signal

import aiohttp
import pytest

from tests.notice_factories import an_order, row_of, to_merchant, to_payer, told
from tests.notice_servers import SECRET
from tests.system.commands import WITHIN_S, serving, toml, written
from tillkeeper.loops import pause
from tillkeeper.sandbox.servers.child import free_ports

NEVER = asyncio.Event()


@pytest.fixture
def config(tmp_path, database, mailbox, receiver):
    notify = f"""
[notify]
merchant_name = "Lantern & Tea"
from_address = "pay@lantern.example"
allow_private_addresses = true
allow_plain_http = true
[notify.smtp]
host = "127.0.0.1"
port = {mailbox.port}
security = "none"
[notify.webhooks.shop]
url = "{receiver.url}"
secrets = ["{SECRET}"]
"""
    return written(tmp_path, toml(database) + notify)


async def until(holds):
    async with asyncio.timeout(WITHIN_S):
        while not await holds():
            await pause(NEVER, 0.02)


async def leases_run_out(pool):
    await pool.execute("UPDATE outbox SET leased_until = '-infinity'")


def held_at(where, mailbox):
    """Makes the server say when it has come to that step, and wait there."""
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def wait():
        setattr(mailbox, where, None)
        arrived.set()
        await go_on.wait()

    setattr(mailbox, where, wait)
    return arrived, go_on


async def settled(pool, key):
    async def holds():
        return (await row_of(pool, key))["state"] != "pending"

    await until(holds)
    return (await row_of(pool, key))["state"]


async def test_killed_before_data_the_mail_is_sent_by_the_next(pool, config, mailbox):
    await told(pool, to_payer(await an_order(pool), key="k"))
    arrived, go_on = held_at("before_rcpt", mailbox)
    async with serving("notify", "--config", config) as sender:
        await arrived.wait()
        sender.child.kill()
        await sender.child.wait()
    go_on.set()
    await leases_run_out(pool)
    async with serving("notify", "--config", config):
        assert await settled(pool, "k") == "sent"
    assert len(mailbox.raw) == 1


async def test_killed_within_data_the_mail_is_uncertain_and_not_sent_again(pool, config, mailbox):
    await told(pool, to_payer(await an_order(pool), key="k"))
    arrived, go_on = held_at("in_data", mailbox)
    async with serving("notify", "--config", config) as sender:
        await arrived.wait()
        sender.child.kill()
        await sender.child.wait()
    go_on.set()
    await leases_run_out(pool)
    async with serving("notify", "--config", config):
        assert await settled(pool, "k") == "uncertain"
    assert (len(mailbox.rcpt), len(mailbox.raw)) == (1, 1)


async def test_killed_while_a_receiver_answers_it_gets_the_same_again(pool, config, receiver):
    await told(pool, to_merchant(key="k"))
    arrived, go_on = held_at("before_answer", receiver)
    async with serving("notify", "--config", config) as sender:
        await arrived.wait()
        sender.child.kill()
        await sender.child.wait()
    go_on.set()
    await leases_run_out(pool)
    async with serving("notify", "--config", config):
        assert await settled(pool, "k") == "sent"
    assert receiver.ids == ["k", "k"]


async def test_it_serves_its_figures(pool, config, mailbox):
    await told(pool, to_payer(await an_order(pool), key="k"))
    [port] = free_ports(1)
    async with serving("notify", "--config", config, TILLKEEPER_NOTIFY__METRICS_PORT=str(port)):
        assert await settled(pool, "k") == "sent"
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client, client.get("/metrics") as answer:
            figures = await answer.text()
    assert 'tillkeeper_notices_total{audience="payer",channel="mail",outcome="sent"} 1.0' in figures
    assert 'tillkeeper_notice_lag_seconds{audience="payer"}' in figures


async def test_stopped_it_finishes_what_it_is_sending(pool, config, mailbox):
    await told(pool, to_payer(await an_order(pool), key="k"))
    arrived, go_on = held_at("in_data", mailbox)
    async with serving("notify", "--config", config) as sender:
        await arrived.wait()
        sender.child.send_signal(signal.SIGTERM)
        go_on.set()
        assert await sender.ended() == 0
    assert sender.events()[-1] == "notify_stopped"
    assert "payer@example.com" not in str(sender.lines)
    assert (await row_of(pool, "k"))["state"] == "sent"


@pytest.mark.long
@pytest.mark.timeout(400)
async def test_killed_again_and_again_at_any_moment(pool, config, mailbox, receiver):
    """Two senders, one of them killed every few tenths of a second, with leases that run out at once."""
    chance = random.Random(20261124)
    payers = [f"p{number}@example.com" for number in range(60)]
    for number, email in enumerate(payers):
        order_id = await an_order(pool, f"O{number}", email=email)
        await told(pool, to_payer(order_id, key=f"payer{number}"), to_merchant(key=f"merchant{number}"))

    async def slowly():
        await pause(NEVER, chance.uniform(0, 0.15))

    async def slowly_told():
        await slowly()

    mailbox.before_rcpt, mailbox.in_data, receiver.before_answer = slowly, slowly_told, slowly
    kills = 0
    async with serving("notify", "--config", config) as steady:
        await steady.saw("notify_started")
        while kills < 8 or await pool.fetchval("SELECT count(*) FROM outbox WHERE state = 'pending'"):
            async with serving("notify", "--config", config) as victim:
                await victim.saw("notify_started")
                await pause(NEVER, chance.uniform(0.05, 0.6))
                victim.child.kill()
                kills += 1
            await leases_run_out(pool)
    assert len(mailbox.to) == len(set(mailbox.to))  # nobody twice
    states = dict(await pool.fetch("SELECT audience || ' ' || state, count(*) FROM outbox GROUP BY 1"))
    assert set(states) <= {"payer sent", "payer uncertain", "merchant sent"}
    assert set(receiver.ids) == {f"merchant{number}" for number in range(60)}  # nobody forgotten
    sent = {
        row["key"] for row in await pool.fetch("SELECT key FROM outbox WHERE audience = 'payer' AND state = 'sent'")
    }
    assert {f"p{webhook.removeprefix('payer')}@example.com" for webhook in sent} <= set(mailbox.to)
