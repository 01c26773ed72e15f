"""`tillkeeper refused retry`: what was refused for a key is taken in once the key is put right, and counts once."""

import asyncio
import secrets
from datetime import timedelta

import aiohttp
import pytest

from tests.database.factories import a_registration
from tests.system.commands import tillkeeper, toml, written
from tests.system.receiving import PATH, SECRET, a_delivery, some_settings, until
from tillkeeper import clock
from tillkeeper.domain.delivery import EnvelopeKeys
from tillkeeper.domain.policy import Policy
from tillkeeper.ingest.server import receiver
from tillkeeper.lanes.spool import SpoolReceiver
from tillkeeper.store.apply.registration import register
from tillkeeper.workers.apply import ApplyLoop
from tillkeeper.workers.database_retry import DatabaseRetry

ENVELOPE_KEY = secrets.token_hex(32)
AN_ORDER = a_registration("ORDER-1", amount=12900, accounts=("stripe-main",))
NEW_SECRET = "whsec_that_the_gateway_changed_to"


@pytest.fixture
def config(tmp_path, database):
    """As it stands once the new secret is named."""
    text = toml(database, more=f'envelope_keys = ["{ENVELOPE_KEY}"]')
    return written(tmp_path, text.replace(f'["{SECRET}"]', f'["{NEW_SECRET}", "{SECRET}"]'))


async def refuse(database, connection, *signed):
    """Posts these to a receiver that knows the old secret alone; returns the numbers under which they are kept."""
    async with (
        receiver(some_settings(database)) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client,
    ):
        for at, (headers, body) in enumerate(signed):
            async with client.post(PATH, headers=headers, data=body) as answer:
                assert answer.status == 401

            async def is_kept(known=at):
                return await connection.fetchval("SELECT count(*) FROM refused") == known + 1

            await until(is_kept)
    return [row["id"] for row in await connection.fetch("SELECT id FROM refused ORDER BY id")]


async def apply_all(database, pool):
    """What a worker that knows the envelope key does with the PostgreSQL lane."""
    lane = await SpoolReceiver.open(pool, database)
    loop = ApplyLoop(
        lane=lane,
        batch_events=100,
        pool=pool,
        retry=DatabaseRetry(asyncio.Event()),
        policy=Policy,
        now=clock.now,
        keys=EnvelopeKeys((ENVELOPE_KEY,)),
    )
    while await loop.run_once():
        pass
    await lane.close()


async def retried(config, *numbers):
    return await tillkeeper("refused", "retry", *numbers, "--note", "new secret", "--by", "mei", "--config", config)


async def test_it_is_taken_in_once_and_pays_its_order(config, database, pool, connection):
    await register(pool, AN_ORDER, policy=Policy(), now=clock.now())
    [number] = await refuse(database, connection, a_delivery("evt_1", secret=NEW_SECRET))

    taken = await retried(config, number)
    assert taken.code == 0, taken.err
    first, event = taken.out.splitlines()
    assert first.startswith(f"{number}  taken in, verified by webhook_secrets[0]")
    assert event.split() == ["payment.succeeded", "evt_1", "order", "ORDER-1"]
    again = await retried(config, number)
    said = f"{number}  not taken in: there is no refused delivery of this number, or none any more\n"
    assert (again.code, again.out) == (1, said)

    await apply_all(database, pool)
    assert await connection.fetchval("SELECT status FROM orders") == "paid"
    audit = await tillkeeper("audit", "--grace", "0s", "--config", config)
    assert audit.code == 0, audit.out
    kept = [
        await connection.fetchval(f"SELECT headers::text FROM {table}") for table in ("deliveries", "delivery_bodies")
    ]
    assert any("mei: new secret" in (headers or "") for headers in kept)


async def test_what_the_gateway_sent_again_meanwhile_counts_once(config, database, pool, connection):
    await register(
        pool, a_registration("ORDER-1", amount=12900, accounts=("stripe-main",)), policy=Policy(), now=clock.now()
    )
    numbers = await refuse(database, connection, *[a_delivery("evt_1", secret=NEW_SECRET) for _ in range(2)])
    assert (await retried(config, *numbers, numbers[0])).code == 0
    await apply_all(database, pool)
    paid = await connection.fetchrow("SELECT status, captured_minor FROM orders")
    assert tuple(paid) == ("paid", 12900)
    assert await connection.fetchval("SELECT sum(duplicates) FROM deliveries") == 1
    assert (await tillkeeper("audit", "--grace", "0s", "--config", config)).code == 0


async def test_what_is_still_wrong_stays_refused_and_holds_up_no_other(config, database, connection):
    stale = a_delivery("evt_1", secret=NEW_SECRET, now=clock.now() - timedelta(days=1))
    forged = a_delivery("evt_2", secret="whsec_of_somebody_else_entirely")
    good = a_delivery("evt_3", secret=NEW_SECRET)
    numbers = await refuse(database, connection, stale, forged, good)
    await connection.execute("UPDATE refused SET body = NULL WHERE id = $1", numbers[2])
    ended = await retried(config, *numbers)
    assert ended.code == 1
    for line, word in zip(ended.out.splitlines(), ("still refused", "still refused", "body was not kept"), strict=True):
        assert word in line
    assert await connection.fetchval("SELECT count(*) FROM refused") == 3
    assert await connection.fetchval("SELECT count(*) FROM spool") == 0


async def test_an_account_that_is_gone_and_a_retry_without_a_reason_are_refused(config, database, connection):
    [number] = await refuse(database, connection, a_delivery("evt_1", secret=NEW_SECRET))
    config.write_text(config.read_text().replace("accounts.stripe-main", "accounts.stripe-other"))
    assert "no account 'stripe-main' is configured any more" in (await retried(config, number)).out
    assert (await tillkeeper("refused", "retry", number, "--note", " ", "--config", config)).code == 2
