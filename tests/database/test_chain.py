"""The chain in the database: it seals what has settled, and an audit names whatever was altered since."""

from datetime import timedelta

import pytest

from tests.database.factories import NOON, a_delivery, a_registration, an_event
from tests.database.sweeps import POLICY
from tillkeeper.domain.books.chain import ChainedTable, printed_head, read_head
from tillkeeper.domain.books.chain_keys import public_key, signer, verifier
from tillkeeper.domain.erasure import Contacts
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.apply.registration import register
from tillkeeper.store.books import chain
from tillkeeper.store.books.chain import last_link, seal_some, sealed_to
from tillkeeper.store.books.chain_audit import audit_chain
from tillkeeper.store.erasure.texts import erase_from_texts

KEY, ANOTHER_KEY = "1f" * 32, "2e" * 32
LATER = NOON + timedelta(minutes=5)
ACT = "INSERT INTO acts (order_id, what, by, note, at) SELECT id, 'hold', 'mei', $1, $2 FROM orders"


async def received(pool, *events):
    async with pool.acquire() as conn, conn.transaction():
        await apply_deliveries(conn, [a_delivery(event) for event in events], policy=POLICY, now=NOON)


async def sealed(pool, *, sign=None, at=NOON):
    """Notes how far ids have come, and seals all of it five minutes later; returns the number of links."""
    links = 0
    for now in (at, *(at + timedelta(minutes=5 + minute) for minute in range(20))):
        async with pool.acquire() as conn, conn.transaction():
            links += await seal_some(conn, sign=sign, now=now)
    return links


@pytest.fixture
async def some_rows(pool):
    """Three events, an act with a note, and a case with its entry."""
    await register(pool, a_registration("A1"), policy=POLICY, now=NOON)
    await received(pool, *(an_event(event_id=f"evt_{n}", payment_ref=f"p{n}", amount=n) for n in (1, 2, 3)))
    await pool.execute(ACT, "wang@example.com will pay tomorrow", NOON)
    await received(pool, an_event(event_id="evt_usd", payment_ref="p9", currency="USD"))


async def found_in(pool, **options):
    found = await audit_chain(pool, **{"is_signed": None, **options})
    return [(getattr(fault, "subject", "link"), fault.what) for fault in found.faults]


async def test_everything_is_sealed_once_and_proven(pool, some_rows):
    links = await sealed(pool)
    assert links == 3
    assert await sealed(pool, at=LATER) == 0
    reached = await sealed_to(pool)
    assert reached[ChainedTable.EVENTS] >= 4
    assert (reached[ChainedTable.ACTS], reached[ChainedTable.CASE_ENTRIES]) == (1, 1)
    found = await audit_chain(pool, is_signed=None)
    assert (found.links, found.rows, found.faults, found.unsigned, found.holds) == (3, 6, [], 3, True)


async def test_what_comes_later_is_sealed_in_links_of_their_own(pool, some_rows):
    await sealed(pool)
    await received(pool, an_event(event_id="evt_late", payment_ref="p4"))
    assert await sealed(pool, at=LATER + timedelta(hours=1)) == 2  # it is too much, so that there is a case, too
    assert (await audit_chain(pool, is_signed=None)).rows == 8


async def test_nothing_is_sealed_while_a_transaction_runs_that_may_write_below(pool, some_rows):
    async with pool.acquire() as writer:
        slow = writer.transaction()
        await slow.start()
        await writer.execute(ACT, "in a slow transaction", NOON)  # its id is given out, and it is not there yet
        async with pool.acquire() as conn, conn.transaction():
            await seal_some(conn, sign=None, now=NOON)
        await pool.execute(ACT, "a later one, committed first", NOON)
        async with pool.acquire() as conn, conn.transaction():
            assert await seal_some(conn, sign=None, now=LATER) == 0
        await slow.commit()
    assert await sealed(pool, at=LATER) >= 3
    assert (await audit_chain(pool, is_signed=None)).holds


async def test_many_rows_become_many_links(pool, some_rows, monkeypatch):
    monkeypatch.setattr(chain, "IDS_AT_ONCE", 2)
    assert await sealed(pool) >= 4
    found = await audit_chain(pool, is_signed=None)
    assert (found.rows, found.holds) == (6, True)


@pytest.mark.parametrize(
    ("tampering", "table", "what"),
    [
        ("UPDATE inbox SET amount_minor = 5 WHERE event_id = 'evt_2'", ChainedTable.EVENTS, "altered"),
        ("UPDATE inbox SET payment_ref = 'p8' WHERE event_id = 'evt_2'", ChainedTable.EVENTS, "altered"),
        ("DELETE FROM inbox WHERE event_id = 'evt_2'", ChainedTable.EVENTS, "removed"),
        ("UPDATE acts SET by = 'jun'", ChainedTable.ACTS, "altered"),
        ("UPDATE acts SET note = 'nothing'", ChainedTable.ACTS, "note altered"),
        ("DELETE FROM acts", ChainedTable.ACTS, "removed"),
        ("UPDATE case_entries SET at = at - interval '1 day'", ChainedTable.CASE_ENTRIES, "altered"),
        ("DELETE FROM case_entries", ChainedTable.CASE_ENTRIES, "removed"),
    ],
)
async def test_what_was_altered_since_is_named(pool, some_rows, tampering, table, what):
    await sealed(pool)
    await pool.execute(tampering)
    assert await found_in(pool) == [(table, what)]


async def test_a_row_that_was_slipped_in_below_is_named(pool, some_rows):
    await sealed(pool)
    await pool.execute("DELETE FROM acts")
    await pool.execute(
        "INSERT INTO acts (id, order_id, what, by, note, at) OVERRIDING SYSTEM VALUE "
        "SELECT 0, id, 'hold', 'x', '', $1 FROM orders",
        NOON,
    )
    assert await found_in(pool) == [(ChainedTable.ACTS, "removed")]  # nothing has the id 0; the next is below the head
    await pool.execute("UPDATE acts SET id = DEFAULT")
    await pool.execute("UPDATE chain_links SET last_id = 3 WHERE subject = 'acts'")
    assert (ChainedTable.ACTS, "added") in await found_in(pool)


@pytest.mark.parametrize(
    ("tampering", "said"),
    [
        ("UPDATE chain_links SET leaves = '\\x90' WHERE number = 2", "its hash is not that of what it holds"),
        ("UPDATE chain_links SET leaves = '\\xff' WHERE number = 2", "its leaves cannot be read"),
        ("UPDATE chain_links SET previous = hash WHERE number = 2", "it does not follow from the link before it"),
        ("DELETE FROM chain_links WHERE number = 2", "a link before it was removed"),
        ("UPDATE chain_links SET hash = previous WHERE number = 2", "its hash is not that of what it holds"),
    ],
)
async def test_what_was_altered_in_the_chain_itself_is_named(pool, some_rows, tampering, said):
    await sealed(pool)
    await pool.execute(tampering)
    assert ("link", said) in await found_in(pool)


async def test_a_chain_that_was_made_anew_has_not_the_head_that_was_printed(pool, some_rows):
    await sealed(pool)
    printed = read_head(printed_head(await last_link(pool)))
    assert (await audit_chain(pool, is_signed=None, head=printed)).holds
    await pool.execute("UPDATE inbox SET amount_minor = 5 WHERE event_id = 'evt_2'")
    await pool.execute("DELETE FROM chain_links")
    await pool.execute("DELETE FROM chain_salts")
    await pool.execute("DELETE FROM chain_marks")
    await sealed(pool)
    assert await found_in(pool) == []
    found = await audit_chain(pool, is_signed=None, head=printed)
    assert (found.has_head, found.holds) == (False, False)


async def test_signatures_are_by_the_key_and_no_other(pool, some_rows):
    await sealed(pool, sign=signer(KEY))
    found = await audit_chain(pool, is_signed=verifier(public_key(KEY)))
    assert (found.unsigned, found.faults) == (0, [])
    assert (
        await found_in(pool, is_signed=verifier(public_key(ANOTHER_KEY)))
        == [("link", "its signature is not by the key")] * 3
    )


async def test_an_erased_note_is_counted_and_the_rest_of_its_row_is_proven(pool, some_rows):
    await sealed(pool)
    async with pool.acquire() as conn, conn.transaction():
        order_id = await conn.fetchval("SELECT id FROM orders")
        await erase_from_texts(conn, order_id, Contacts(emails=frozenset({"wang@example.com"})))
    assert "wang" not in await pool.fetchval("SELECT note FROM acts")
    found = await audit_chain(pool, is_signed=None)
    assert (found.erased_notes, found.faults) == (1, [])
    assert await pool.fetchval("SELECT count(*) FROM chain_salts WHERE subject = 'acts'") == 0
    await pool.execute("UPDATE acts SET by = 'jun'")
    assert await found_in(pool) == [(ChainedTable.ACTS, "altered")]


async def test_a_mark_of_another_server_is_noted_anew(pool, some_rows):
    async with pool.acquire() as conn, conn.transaction():
        await seal_some(conn, sign=None, now=NOON)
    await pool.execute("UPDATE chain_marks SET horizon = '9000000000000000000'")
    assert await sealed(pool, at=LATER) == 0
    assert await sealed(pool, at=NOON + timedelta(hours=2)) == 3


async def test_one_process_seals_at_a_time(pool, some_rows):
    async with pool.acquire() as first, first.transaction():
        await first.fetchval(chain.LOCK)
        async with pool.acquire() as second, second.transaction():
            assert await seal_some(second, sign=None, now=NOON) == 0
    assert await pool.fetchval("SELECT count(*) FROM chain_marks") == 0
