"""A search finds what somebody has in hand, says why, and reads indexes alone."""

import json
from datetime import timedelta
from uuid import uuid4

import pytest

from tests.database.factories import NOON, a_delivery, a_registration, an_event
from tests.database.sweeps import POLICY
from tillkeeper.domain.events import Kind
from tillkeeper.domain.order.registration import Payer
from tillkeeper.domain.search.hits import READ_MAX, SHOWN_MAX, HitKind, HitReason
from tillkeeper.domain.search.parsing import search_for
from tillkeeper.domain.search.probes import backwards_span
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.apply.registration import register
from tillkeeper.store.deliveries.parked import park_event
from tillkeeper.store.deliveries.refused import RefusedDelivery, keep_refused
from tillkeeper.store.erasure import order as erasure
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.store.search import others, references
from tillkeeper.store.search.find import find

PAYER = Payer(email="Mei@Example.com", phone="+86 138-1234-5678")
ZONE = NOON.tzinfo


async def registered(pool, order_ref, **fields):
    await register(pool, a_registration(order_ref, **fields), policy=POLICY, now=NOON)


async def received(pool, *events):
    deliveries = [a_delivery(event, run=uuid4(), number=1) for event in events]
    await repeat_on_conflict(pool, lambda conn: apply_deliveries(conn, deliveries, policy=POLICY, now=NOON))


async def found(pool, text):
    return await find(pool, search_for(text, now=NOON, zone=ZONE))


async def hits(pool, text):
    """What was found, as (kind, reference, why)."""
    return [(hit.kind, hit.ref, hit.why) for group in (await found(pool, text)).groups for hit in group.hits]


REFERENCES = [
    ("ORD-77012345", (HitKind.ORDER, "ORD-77012345", HitReason.WHOLE)),
    ("ord-77012345", (HitKind.ORDER, "ORD-77012345", HitReason.WHOLE)),
    ("ORD_77012345", (HitKind.ORDER, "ORD-77012345", HitReason.SPELT)),
    ("ord77O12345", (HitKind.ORDER, "ORD-77012345", HitReason.SPELT)),
    ("客户说单号是：ORD-77O12345，金额129", (HitKind.ORDER, "ORD-77012345", HitReason.SPELT)),
    ("PI-9001", (HitKind.PAYMENT, "pi_9001", HitReason.SPELT)),
    ("2345", (HitKind.ORDER, "ORD-77012345", HitReason.END)),
    ("pi_9001", (HitKind.PAYMENT, "pi_9001", HitReason.WHOLE)),
    ("9001", (HitKind.PAYMENT, "pi_9001", HitReason.END)),
    ("re_9002", (HitKind.REFUND, "re_9002", HitReason.WHOLE)),
    ("dp_9003", (HitKind.DISPUTE, "dp_9003", HitReason.WHOLE)),
    ("cap_9004", (HitKind.EVENT, "cap_9004", HitReason.WHOLE)),
    ("evt_Whole", (HitKind.EVENT, "evt_Whole", HitReason.WHOLE)),
    ("ORD-nobody-81", (HitKind.WAITING, "evt_waits", HitReason.WHOLE)),
    ("pi_nobody_82", (HitKind.WAITING, "evt_waits", HitReason.WHOLE)),
    ("the customer wrote: 订单 ORD-77012345, thanks", (HitKind.ORDER, "ORD-77012345", HitReason.WHOLE)),
    ("mei@example.com", (HitKind.ORDER, "ORD-77012345", HitReason.EMAIL)),
    ("13812345678", (HitKind.ORDER, "ORD-77012345", HitReason.PHONE)),
    ("138 1234 5678", (HitKind.ORDER, "ORD-77012345", HitReason.PHONE)),
    ("1.00 2026-11-22", (HitKind.ORDER, "ORD-77012345", HitReason.AMOUNT)),
    ("¥1 今天", (HitKind.PAYMENT, "pi_9001", HitReason.AMOUNT)),
    ("¥1 2026-11-22", (HitKind.WAITING, "evt_waits", HitReason.AMOUNT)),
]


@pytest.mark.parametrize(("text", "wanted"), REFERENCES)
async def test_whatever_is_in_hand_is_found_and_says_why(pool, text, wanted):
    await registered(pool, "ORD-77012345", payer=PAYER)
    of_order = {"order_ref": "ORD-77012345", "payment_ref": "pi_9001"}
    await received(
        pool,
        an_event(**of_order, event_id="evt_Whole"),
        an_event(**of_order, capture_ref="cap_9004", amount=10),
        an_event(Kind.REFUND_SUCCEEDED, refund_ref="re_9002", amount=10, **of_order),
        an_event(Kind.DISPUTE_OPENED, dispute_ref="dp_9003", amount=10, **of_order),
        an_event(event_id="evt_waits", order_ref="ORD-nobody-81", payment_ref="pi_nobody_82"),
    )
    assert wanted in await hits(pool, text)


async def test_a_reference_with_a_blank_comes_before_others_that_end_so(pool):
    """SHOP 1042 is SHOP-1042, though a later order of another prefix ends in the same digits."""
    await registered(pool, "SHOP-1042")
    await registered(pool, "B2B-001042")
    first, *others = await hits(pool, "SHOP 1042")
    assert first == (HitKind.ORDER, "SHOP-1042", HitReason.SPELT)
    assert others == [(HitKind.ORDER, "B2B-001042", HitReason.END)]
    assert (await found(pool, "SHOP 1042")).order_refs() == ["SHOP-1042"]
    assert [why for _, _, why in await hits(pool, "1042")] == [HitReason.END, HitReason.END]


async def test_a_mistyped_reference_finds_the_order_beside_the_money_that_waits_under_it(pool):
    await registered(pool, "SHOP-1043")
    await received(pool, an_event(event_id="evt_w", order_ref="SHOP-1O43", payment_ref="pi_w"))
    assert await hits(pool, "SHOP-1O43") == [
        (HitKind.WAITING, "evt_w", HitReason.WHOLE),
        (HitKind.ORDER, "SHOP-1043", HitReason.SPELT),
    ]


async def test_what_counts_for_nothing_is_parked_or_was_refused_is_found(pool):
    await registered(pool, "A-4711")
    await received(pool, an_event(event_id="evt_foreign", order_ref="A-4711", payment_ref="pi_usd_77", currency="USD"))
    async with pool.acquire() as conn:
        event = an_event(order_ref="A-4711", payment_ref="pi_parked_78")
        await park_event(conn, a_delivery(event), event, reason="bad", error="x", now=NOON)
        refusal = RefusedDelivery(
            account="stripe-main",
            received_at=NOON,
            step="signature",
            finding="wrong_key",
            reason="r",
            detail="d",
            query="",
            headers=(),
            body=b'{"order": "A-4711"}',
        )
        number = await keep_refused(conn, refusal)
    by_order = await hits(pool, "A-4711")
    assert (HitKind.MISMATCHED, "evt_foreign", HitReason.WHOLE) in by_order
    assert (HitKind.PARKED, "1", HitReason.WHOLE) in by_order
    assert (HitKind.REFUSED, str(number), HitReason.IN_BODY) in by_order
    assert (HitKind.MISMATCHED, "evt_foreign", HitReason.END) in await hits(pool, "usd_77")
    assert (HitKind.CASE, "1", HitReason.WHOLE) in await hits(pool, "pi_usd_77")
    assert (HitKind.PARKED, "1", HitReason.WHOLE) in await hits(pool, "pi_parked_78")
    numbered = [
        (HitKind.PARKED, "1", HitReason.NUMBER),
        (HitKind.REFUSED, "1", HitReason.NUMBER),
        (HitKind.CASE, "1", HitReason.NUMBER),
    ]
    assert sorted(await hits(pool, "#1")) == sorted(numbered)


async def test_a_notice_is_found_by_its_id(pool):
    await registered(pool, "A-4711")
    await received(pool, an_event(order_ref="A-4711"))
    key = await pool.fetchval("SELECT key FROM outbox WHERE audience = 'merchant'")
    assert (HitKind.NOTICE, key, HitReason.WHOLE) in await hits(pool, key)


async def test_an_amount_is_looked_for_on_its_day_alone(pool):
    await registered(pool, "A-4711")
    assert await hits(pool, "1.00 2026-11-21") == []
    assert await hits(pool, "1.00 eur 2026-11-22") == []
    assert await hits(pool, "¥1 2026-11-22") == [(HitKind.ORDER, "A-4711", HitReason.AMOUNT)]


MANY = """
INSERT INTO orders (order_ref, amount_minor, currency, accounts, terms, registered_at, changed_at, phase_since)
SELECT 'many-' || i || '-0042', 100, 'CNY', '{stripe-main}', '{}', now(), now(), now() FROM generate_series(1, $1) i
"""


async def test_counts_are_honest(pool):
    await pool.execute(MANY, SHOWN_MAX + 1)
    [group] = (await found(pool, "0042")).groups
    assert (len(group.hits), group.found, group.more) == (SHOWN_MAX, SHOWN_MAX + 1, False)
    await pool.execute(MANY.replace("many", "more"), READ_MAX)
    [group] = (await found(pool, "0042")).groups
    assert (group.found, group.more) == (READ_MAX, True)


FILL = (
    """
    INSERT INTO orders (order_ref, amount_minor, currency, accounts, terms, registered_at, changed_at, phase_since)
    SELECT 'ORD-' || i * 7919, 100, 'CNY', '{stripe-main}',
           jsonb_build_object('payer', jsonb_build_object('email', i || '@example.com',
                                                          'phone', '+861380' || 1000000 + i)),
           $1::timestamptz - interval '1 hour' * i, now(), now()
    FROM generate_series(1, 20000) i
    """,
    """
    INSERT INTO payments (account, payment_ref, order_id, status, facts, captured_minor)
    SELECT 'stripe-main', 'pi_' || id * 7919, id, 'pending', '{}', 0 FROM orders WHERE $1::timestamptz IS NOT NULL
    """,
    """
    INSERT INTO refunds (account, refund_ref, order_id, status, facts)
    SELECT 'stripe-main', 're_' || id * 7919, id, 'pending', '{}' FROM orders WHERE $1::timestamptz IS NOT NULL
    """,
    """
    INSERT INTO disputes (account, dispute_ref, order_id, status, facts)
    SELECT 'stripe-main', 'dp_' || id * 7919, id, 'opened', '{}' FROM orders WHERE $1::timestamptz IS NOT NULL
    """,
    """
    INSERT INTO inbox (account, event_id, kind, evidence, order_ref, payment_ref, capture_ref, amount_minor, currency,
                       occurred_at, recorded_at, digest, outcome, order_id)
    SELECT 'stripe-main', 'evt_' || id, 'payment.succeeded', 'query', order_ref, 'pi_' || id * 7919,
           'cap_' || id * 7919, 100, 'CNY', registered_at, registered_at, '',
           CASE WHEN id % 2 = 1 THEN 'waiting' ELSE 'applied' END,
           CASE WHEN id % 2 = 0 THEN id END
    FROM orders WHERE $1::timestamptz IS NOT NULL ORDER BY registered_at
    """,
    """
    INSERT INTO parked (account, body, readable, reason, error, parked_at, order_ref, payment_ref)
    SELECT 'stripe-main', '', true, 'r', 'e', $1, order_ref, 'pi_' || id * 7919 FROM orders
    """,
    """
    INSERT INTO cases (kind, subject, details, opened_at, follow_up_at)
    SELECT 'stuck', 'payment:stripe-main/pi_' || id * 7919, '{}', $1, $1 FROM orders
    """,
    """
    INSERT INTO outbox (key, order_id, audience, topic, payload, created_at, due_at)
    SELECT 'order/' || id || '/1/x', id, 'merchant', 'x', '{}', $1, $1 FROM orders
    """,
)
LOW, HIGH = backwards_span("7919")
DAY = timedelta(days=1)
BY_END = {
    f"{field}, {kind}": (statement, [LOW], [HIGH], READ_MAX) for statement, (kind, field) in references.BY_END.items()
}
LOOKS = {
    **BY_END,
    "event": (references.EVENTS, ["evt_17"]),
    "notice": (references.NOTICES, ["order/17/1/x"]),
    "email": (others.BY_EMAIL, "17@example.com", READ_MAX),
    "phone": (others.BY_PHONE, *backwards_span("3801000017"), READ_MAX),
    "orders of a day": (others.ORDERS_OF_AMOUNT, NOON - 9 * DAY, NOON - 8 * DAY, [100], READ_MAX),
    "events of a day": (others.EVENTS_OF_AMOUNT, NOON - 9 * DAY, NOON - 8 * DAY, [100], READ_MAX),
    "to erase by email": (erasure.BY_EMAIL, "17@example.com"),
    "to erase by phone": (erasure.BY_PHONE, *backwards_span("3801000017")),
}
PAGES_MAX = 200  # BRIN reads spans of 64 pages, here two or three of them


async def test_every_look_up_reads_an_index_and_no_table_whole(pool):
    for statement in FILL:
        await pool.execute(statement, NOON)
    await pool.execute("VACUUM ANALYZE")
    sizes = await pool.fetch("SELECT relpages FROM pg_class WHERE relname IN ('orders', 'inbox')")
    assert min(row["relpages"] for row in sizes) > 2 * PAGES_MAX
    for name, (statement, *arguments) in LOOKS.items():
        async with pool.acquire() as conn:
            explained = await conn.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", *arguments)
        [told] = json.loads(explained)
        pages = told["Plan"]["Shared Hit Blocks"] + told["Plan"]["Shared Read Blocks"]
        assert told["Plan"]["Actual Rows"] > 0, name
        assert pages < PAGES_MAX, (name, explained)
