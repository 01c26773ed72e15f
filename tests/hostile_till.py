"""A till in which every text that a page shows was written by somebody who wishes it ill, and sums are as long as they
may be."""

import json
from datetime import datetime, timedelta
from uuid import uuid4

import asyncpg

from tests.database.factories import NOON, a_delivery
from tests.desk_orders import ACCOUNT, ACTIVE, HOSTILE, MINUTE, a_hostile_order, an_order, of_alipay, tell
from tillkeeper.domain.delivery import EnvelopeKeys
from tillkeeper.domain.events import REF_CHARS_MAX, Kind
from tillkeeper.domain.guard import GuardSign, PauseReason
from tillkeeper.domain.people import Role
from tillkeeper.domain.policy import CasePolicy
from tillkeeper.store.cases import acts as case_acts
from tillkeeper.store.deliveries.parked import park_event, park_unreadable
from tillkeeper.store.deliveries.refused import RefusedDelivery, keep_refused
from tillkeeper.store.guard.deciding_in_two import propose_decision
from tillkeeper.store.guard.holding import hold
from tillkeeper.store.guard.pausing import pause
from tillkeeper.store.orders import acts as order_acts
from tillkeeper.store.people.approvals import propose
from tillkeeper.store.people.people import add_person
from tillkeeper.store.people.sessions import open_session
from tillkeeper.store.people.tokens import make_token
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.postgres.transactions import repeat_on_conflict

NOW = NOON + 90 * MINUTE
ASKS = '<img src="http://evil.invalid/x" onerror="alert(1)"><style>*{display:none}</style>'
MARKS = "e" + "\u0336\u0308\u0310\u0351\u0345\u0323" * 20  # they stack above and below the lines around
BROAD = "\U0001242b\ufdfd"  # one character, as broad as a word
EVIL = HOSTILE + ASKS + MARKS + BROAD
DIGITS = "9" * 10_000
LONG = EVIL + DIGITS + "m" * 1_000_000
REF = f"{EVIL}{DIGITS}"[:REF_CHARS_MAX]
BROADEST = 10**15 - 1  # in minor units: no amount has more digits
DEAD = """
UPDATE outbox SET state = 'dead', due_at = NULL, finished_at = $1, attempts = 9, channels = $2, last_error = $3
WHERE id % 2 = 0
"""
FAILS = "UPDATE outbox SET last_error = $1, attempts = 3 WHERE state = 'pending'"
UNANSWERING = """
INSERT INTO account_health (account, watched_at, answered_at, failing_since, failed_at, reason)
VALUES ($1, $2, $2, $2, $2, $3) ON CONFLICT (account) DO UPDATE SET reason = excluded.reason
"""
SILENT = "INSERT INTO silences (account, kind, since, noticed_at, asked_at) VALUES ($1, $2, $3, $3, $3)"
USED = "INSERT INTO key_uses VALUES ($1, $2, $3, $3, $4) ON CONFLICT DO NOTHING"
HANDED_OVER = "INSERT INTO handovers (at, by) VALUES ($1, $2)"


async def a_hostile_till(pool: asyncpg.Pool) -> str:
    """Fills it; returns the token of a session of somebody who has a hostile name, too."""
    await a_hostile_order(pool, REF, REF[:-1])
    await money_that_waits(pool)
    await what_was_put_aside(pool)
    await what_people_wrote(pool)
    await what_gateways_are_like(pool)
    await an_account_that_is_paused(pool)
    await notices_that_failed(pool)
    return await somebody(pool)


async def money_that_waits(pool: asyncpg.Pool) -> None:
    """Of the most digits: under a reference like an order's, in another currency, and more than was due."""
    sums = {"amount": BROADEST, "currency": "CNY"}
    await an_order(pool, "LIKE-1000", amount=BROADEST)
    waiting = {"order_ref": "LIKE-1O00", "payment_ref": f"W{REF}"[:-1], "method": REF, **sums}
    await tell(pool, of_alipay(second=60, **waiting), body=LONG.encode()[:200_000], at=NOON + MINUTE)
    await an_order(pool, f"B{REF}"[:-1], amount=BROADEST)
    other = {"order_ref": f"B{REF}"[:-1], "payment_ref": f"C{REF}"[:-1]}
    await tell(pool, of_alipay(second=70, **other, amount=BROADEST, currency="USD"), at=NOON + 2 * MINUTE)
    await tell(pool, of_alipay(Kind.PAYMENT_PENDING, 80, **other), at=NOON + 2 * MINUTE)


async def what_was_put_aside(pool: asyncpg.Pool) -> None:
    """Parked events and messages, and deliveries that were refused."""
    event = of_alipay(order_ref=f"B{REF}"[:-1], payment_ref=f"D{REF}"[:-1], amount=BROADEST, event_id=f"E{REF}"[:-1])
    delivery = a_delivery(event, run=uuid4(), number=1, account=ACCOUNT, body=LONG.encode(), headers=((REF, LONG),))
    refused = RefusedDelivery(
        account=ACCOUNT,
        received_at=NOW - MINUTE,
        step="signature",
        finding="wrong_key",
        reason=LONG[:2_000],
        detail=LONG[:2_000],
        query=LONG[:2_000],
        headers=((REF, LONG[:2_000]), *((f"X-{number}", EVIL) for number in range(20))),
        body=LONG.encode()[:30_000],
    )
    async with pool.acquire() as conn:
        await park_event(conn, delivery, event, reason="cannot_be_applied", error=LONG, now=NOON)
        await park_unreadable(conn, LONG.encode(), reason="unreadable", error=LONG, now=NOON)
        await keep_refused(conn, refused)


async def what_people_wrote(pool: asyncpg.Pool) -> None:
    """At a terminal a name is any text, and a reason is as long as somebody likes."""
    by = {"by": EVIL, "now": NOON + 3 * MINUTE}
    rows = await pool.fetch("SELECT id FROM cases WHERE closed_at IS NULL ORDER BY id")
    for number, row in enumerate(rows):
        case_id = row["id"]
        await in_one(pool, case_acts.note, case_id, text=LONG, **by)
        await in_one(pool, case_acts.follow_up_at, case_id, at=NOW + number * MINUTE, text=LONG, **by)
        if number % 2:
            await in_one(pool, case_acts.assign, case_id, owner=EVIL, **by)
    await in_one(pool, order_acts.hold, REF, until=NOW + timedelta(days=2), note=LONG, **by)
    content = {"account": ACCOUNT, "payment_ref": f"W{REF}"[:-1], "order_ref": "LIKE-1000"}
    await in_one(pool, propose, act="bind waiting money", subject=EVIL, content=content, reason=LONG[:3_000], **by)
    await pool.execute(HANDED_OVER, NOON - MINUTE, EVIL)


async def what_gateways_are_like(pool: asyncpg.Pool) -> None:
    """One account is called by nothing that a configuration would take, as one that was removed from it may be."""
    for account in (ACCOUNT, EVIL):
        await pool.execute(ACTIVE, account, NOW.replace(minute=0), 2**62)
        await pool.execute(UNANSWERING, account, NOW, LONG[:3_000])
        await pool.execute(SILENT, account, "silent", NOON - MINUTE)
        await pool.execute(USED, account, REF, NOON, 2**62)


async def an_account_that_is_paused(pool: asyncpg.Pool) -> None:
    """With an event for an order that is not paid there, and with what somebody proposed."""
    finding = PauseReason(sign=GuardSign.FAR_OFF, orders=10**9, paid=10**9, line=10**9, share=0.5, usual_most=10**9)
    event = of_alipay(order_ref=REF, payment_ref=f"H{REF}"[:-1], amount=BROADEST, account=EVIL)
    delivery = a_delivery(event, run=uuid4(), number=1, account=EVIL, body=b"{}")

    async def work(conn: Conn) -> None:
        pauses, _ = await pause(conn, {EVIL: finding}, policy=CasePolicy(), now=NOON)
        await hold(conn, [delivery], pauses, EnvelopeKeys(), now=NOON)
        told = {"by": EVIL, "note": LONG[:3_000], "deaf_s": 0, "now": NOON}
        await propose_decision(conn, EVIL, "go", **told)

    await repeat_on_conflict(pool, work)


async def notices_that_failed(pool: asyncpg.Pool) -> None:
    why = LONG[:3_000]
    channels = json.dumps(
        {EVIL: {"outcome": "dead", "at": "x", "why": why}, "exchange": {"outcome": "sent", "at": EVIL}}
    )
    await pool.execute(DEAD, NOW - MINUTE, channels, why)
    await pool.execute(FAILS, why)


async def somebody(pool: asyncpg.Pool, at: datetime = NOW) -> str:
    name = EVIL[:64]
    async with pool.acquire() as conn, conn.transaction():
        told = {"display_name": EVIL[:100], "role": Role.ADMIN, "locale": "en"}
        person = await add_person(conn, name=name, by=EVIL, now=at, **told)
        expires_at = at + timedelta(days=1)
        token = {"name": EVIL[:100], "role": Role.VIEWER, "may_act": False, "expires_at": expires_at}
        await make_token(conn, person.name, by=EVIL, now=at, **token)
        return await open_session(conn, person.id, now=at)


async def in_one(pool: asyncpg.Pool, work, *arguments, **named) -> None:
    await repeat_on_conflict(pool, lambda conn: work(conn, *arguments, **named))
