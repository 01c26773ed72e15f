"""`tillkeeper chain` and `audit --chain` as a person starts them, over what a sweep has chained."""

import asyncio
from datetime import timedelta
from hashlib import sha256

import pytest

from tests.database.factories import NOON, a_delivery, a_registration, an_event
from tests.system.commands import tillkeeper, toml, written
from tillkeeper.domain.books.chain_keys import public_key, signer
from tillkeeper.domain.policy import Policy
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.apply.registration import register
from tillkeeper.store.books.chain import seal_some
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.workers.chain import Chain
from tillkeeper.workers.database_retry import DatabaseRetry

KEY, ANOTHER = sha256(b"one").hexdigest(), sha256(b"another").hexdigest()


class Now:
    """A clock that is put on by hand."""

    def __init__(self):
        self.at = NOON

    def __call__(self):
        return self.at


@pytest.fixture
def config(tmp_path, database):
    return written(tmp_path, toml(database) + f'\n[books]\nchain_key = "{KEY}"\n')


@pytest.fixture
async def chained(pool):
    """Three events in a chain with signatures, by the loop of the sweep."""
    await register(pool, a_registration("A1"), policy=Policy(), now=NOON)
    async with pool.acquire() as conn, conn.transaction():
        events = [an_event(event_id=f"evt_{n}", payment_ref=f"p{n}", amount=10) for n in (1, 2, 3)]
        await apply_deliveries(conn, [a_delivery(event) for event in events], policy=Policy(), now=NOON)
    now = Now()
    loop = Chain(pool=pool, retry=DatabaseRetry(asyncio.Event()), sign=signer(KEY), now=now)
    assert await loop.run_once() == 0
    now.at += timedelta(minutes=2)
    assert await loop.run_once() >= 1


async def audit(config, *arguments):
    return await tillkeeper("audit", "--chain", *arguments, "--config", config)


async def test_the_head_is_printed_and_found_again(config, chained):
    head = await tillkeeper("chain", "head", "--json", "--config", config)
    assert (head.code, head.json["public_key"]) == (0, public_key(KEY))
    shown = await tillkeeper("chain", "head", "--config", config)
    assert head.json["head"] in shown.out
    proven = await audit(config, "--head", head.json["head"])
    assert (proven.code, "The chain holds" in proven.out) == (0, True)
    assert (await tillkeeper("chain", "key", "--config", config)).out.strip() == public_key(KEY)


async def test_the_first_row_that_was_altered_is_named(pool, config, chained):
    await pool.execute("UPDATE inbox SET amount_minor = 99 WHERE event_id >= 'evt_2'")
    broken = await audit(config, "--json")
    assert broken.code == 1
    first = broken.json["faults"][0]
    assert (first["subject"], first["what"], first["row"]["event_id"]) == ("inbox", "altered", "evt_2")
    shown = await audit(config)
    assert "The chain does NOT hold." in shown.out
    assert "event_id evt_2" in " ".join(shown.out.split())


async def test_another_key_and_another_head_are_told(config, chained):
    foreign = await audit(config, "--public-key", public_key(ANOTHER))
    assert (foreign.code, "its signature is not by the key" in foreign.out) == (1, True)
    missing = await audit(config, "--head", "1-" + "-".join(["AAAA"] * 8) + "-" + "P7KL")
    assert missing.code == 2


async def test_before_anything_is_chained_that_is_said(config, pool):
    head = await tillkeeper("chain", "head", "--config", config)
    assert (head.code, "Nothing is chained yet" in head.out) == (1, True)
    assert (await audit(config)).code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--head", "nope"], "nine groups of four letters or digits"),
        (["--public-key", "nope"], "a public key is 64 hexadecimal digits"),
        (["--all"], "each goes alone"),
        (["--money"], "each goes alone"),
    ],
)
async def test_wrong_usage_is_said(config, pool, arguments, said):
    refused = await audit(config, *arguments)
    assert refused.code == 2
    assert said in " ".join(refused.err.replace("│", " ").split())


async def test_a_head_without_a_chain_is_for_another_audit(config, pool):
    refused = await tillkeeper("audit", "--head", "1", "--config", config)
    assert (refused.code, "they are for --chain" in " ".join(refused.err.replace("│", " ").split())) == (2, True)


async def test_without_a_key_the_chain_is_not_signed_and_that_is_said(tmp_path, database, pool, chained):
    keyless = written(tmp_path, toml(database))
    refused = await tillkeeper("chain", "key", "--config", keyless)
    assert (refused.code, "books.chain_key names no key" in refused.err) == (2, True)
    proven = await audit(keyless)
    assert (proven.code, "not verified: there is no key" in " ".join(proven.out.split())) == (0, True)


async def test_sealing_repeats_where_others_wrote_meanwhile(pool):
    assert await repeat_on_conflict(pool, lambda conn: seal_some(conn, sign=None, now=NOON)) == 0
