"""The outbox on a real database: claimed once, leased, and written by nobody whose claim is over."""

import asyncio
from datetime import timedelta

import msgspec

from tests.database.factories import NOON
from tests.notice_factories import an_order, to_merchant, to_ops, to_payer, told
from tillkeeper.domain.order.notices import Audience
from tillkeeper.domain.order.status import Summary
from tillkeeper.domain.statuses import Status
from tillkeeper.store.outbox.sending import SettledNotice, claim, lock_order, mark, settle

LEASE = timedelta(minutes=1)
EVERYBODY = tuple(Audience)


async def claimed(pool, *, now=NOON, audiences=EVERYBODY, limit=10):
    async with pool.acquire() as conn:
        return await claim(conn, audiences=audiences, limit=limit, leased_until=now + LEASE, now=now)


async def settled(pool, row, **fields):
    defaults = {"channels": {}, "state": "sent", "due_at": None, "last_error": None, "finished_at": NOON}
    async with pool.acquire() as conn:
        return await settle(conn, [SettledNotice(key=row.key, claim=row.claim, **{**defaults, **fields})])


async def test_the_longest_due_are_claimed_first_and_only_those_that_are_due(pool):
    await told(pool, to_merchant(key="late"), now=NOON)
    await told(pool, to_merchant(key="early"), now=NOON - timedelta(hours=1))
    await told(pool, to_merchant(key="tomorrow"), now=NOON + timedelta(days=1))
    assert [each.key for each in await claimed(pool)] == ["early", "late"]


async def test_a_claim_is_a_lease_and_the_next_one_has_a_number_of_its_own(pool):
    await told(pool, to_merchant(key="k"))
    [first] = await claimed(pool)
    assert await claimed(pool) == []
    [second] = await claimed(pool, now=NOON + LEASE)
    assert (first.claim, second.claim) == (1, 2)


async def test_whose_claim_is_over_writes_nothing(pool):
    await told(pool, to_merchant(key="k"))
    [first] = await claimed(pool)
    [second] = await claimed(pool, now=NOON + LEASE)
    async with pool.acquire() as conn:
        assert not await mark(conn, first, {"x": {"outcome": "sent"}})
        assert await mark(conn, second, {"y": {"outcome": "sent"}})
    assert await settled(pool, first) == set()
    assert await settled(pool, second, channels={"y": 1}) == {"k"}
    assert await settled(pool, second) == set()  # nor twice
    row = await pool.fetchrow("SELECT state, channels, due_at, finished_at FROM outbox")
    assert tuple(row) == ("sent", '{"y": 1}', None, NOON)


async def test_what_is_put_off_is_free_again_when_it_is_due(pool):
    await told(pool, to_merchant(key="k"))
    [row] = await claimed(pool)
    later = NOON + timedelta(seconds=30)
    assert await settled(pool, row, state="pending", due_at=later, finished_at=None) == {"k"}
    assert await claimed(pool, now=later - timedelta(microseconds=1)) == []
    assert [each.key for each in await claimed(pool, now=later)] == ["k"]


async def test_each_audience_can_be_claimed_by_itself(pool):
    await told(pool, to_merchant(key="m"), to_ops(key="o"), to_payer(await an_order(pool), key="p"))
    for audience, key in ((Audience.OPS, "o"), (Audience.PAYER, "p"), (Audience.MERCHANT, "m")):
        assert [each.key for each in await claimed(pool, audiences=(audience,))] == [key]


async def test_a_payers_notice_comes_with_its_order_as_it_is_now_and_whom_to_tell(pool):
    await told(pool, to_payer(await an_order(pool, status="paid", paid=12900, locale="zh"), key="p"))
    await pool.execute("UPDATE orders SET held_until = $1, closed_at = $2", NOON + LEASE, NOON)
    [row] = await claimed(pool)
    summary = Summary(status=Status.PAID, captured=12900, refunding=0, refunded=0)
    assert msgspec.structs.astuple(row.order) == (summary, True, True, False, False, False, 0)
    assert (row.recipient.email, row.recipient.locale) == ("payer@example.com", "zh")
    assert "payer@example.com" not in row.payload.decode()


async def test_terms_that_nobody_understands_keep_no_notice_here(pool):
    await told(pool, to_payer(await an_order(pool), key="p"))
    await pool.execute("""UPDATE orders SET terms = '{"payer": {"email": 5}}'""")
    [row] = await claimed(pool)
    assert (row.recipient.email, row.order.summary.status) == (None, "processing")


async def test_notices_to_others_come_without_the_payers_contact(pool):
    order_id = await an_order(pool)
    await told(pool, to_merchant(key="m"))
    await pool.execute("UPDATE outbox SET order_id = $1", order_id)
    [row] = await claimed(pool)
    assert (row.order, row.recipient) == (None, None)


async def test_mails_told_or_perhaps_told_are_counted_but_not_this_one(pool):
    order_id = await an_order(pool)
    for number, outcome in enumerate(("sent", "uncertain", "failing", "dropped", "sent")):
        await told(pool, to_payer(order_id, key=f"k{number}"))
        await pool.execute(
            "UPDATE outbox SET channels = jsonb_build_object('mail', jsonb_build_object('outcome', $1::text))"
            " WHERE key = $2",
            outcome,
            f"k{number}",
        )
    rows = {each.key: each for each in await claimed(pool)}
    async with pool.acquire() as conn, conn.transaction():
        assert (await lock_order(conn, rows["k4"], now=NOON)).mails == 2


async def test_a_thousand_rows_and_eight_claimers_are_each_claimed_once(pool):
    await told(pool, *(to_merchant(key=f"k{number:04}") for number in range(1000)))

    async def take_all():
        keys = []
        while rows := await claimed(pool, limit=7):
            keys += [row.key for row in rows]
        return keys

    taken = await asyncio.gather(*(take_all() for _ in range(8)))
    assert sorted(key for keys in taken for key in keys) == [f"k{number:04}" for number in range(1000)]
