"""The desk's API for tests: a desk with its real access, programs with tokens, and a till where something of everything
is open."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

import asyncpg
from aiohttp.test_utils import TestClient, TestServer

from tests.browsing import LOOPBACK
from tests.database.factories import NOON, a_delivery
from tests.database.test_guard_sweeping import paused
from tests.desk_orders import ACCOUNT, MINUTE, a_busy_till, a_paid_order, a_refunded_order, an_order, of_alipay, tell
from tests.desks import reading
from tillkeeper.desk.access.middleware import access
from tillkeeper.desk.app import build_app
from tillkeeper.desk.context import Desk
from tillkeeper.desk.server import ADDRESS_BYTES_MAX
from tillkeeper.domain.people import Role
from tillkeeper.store.deliveries.parked import park_event
from tillkeeper.store.deliveries.refused import RefusedDelivery, keep_refused
from tillkeeper.store.people.approvals import propose
from tillkeeper.store.people.people import add_person
from tillkeeper.store.people.tokens import make_token

LATER = NOON + 90 * MINUTE
ORDER = "ORD-1042"
TYPED = "ORD-1O42"  # an O for a 0
WAITS = "2026112822001422"


class Program:
    """A program that calls the API with its token."""

    def __init__(self, client: TestClient, token: str) -> None:
        self.client = client
        self.token = token

    async def get(self, path: str, **query: str):
        return await self.client.get(path, params=query, headers=self._headers())

    async def post(self, path: str, body: object = None, *, key: str | None = None):
        headers = self._headers() | ({} if key is None else {"Idempotency-Key": key})
        return await self.client.post(path, json={} if body is None else body, headers=headers)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


async def a_token(desk: Desk, name: str = "mei", role: Role = Role.OPERATOR, *, token: str = "nightly", **more) -> str:
    """Adds a person who has a token."""
    now = desk.now()
    async with desk.pool.acquire() as conn:
        if not await conn.fetchval("SELECT count(*) FROM people WHERE name = $1", name):
            await add_person(conn, name=name, display_name=name, role=role, locale="en", by="root", now=now)
        told = {"may_act": True, "expires_at": now + timedelta(days=1), "by": "root", **more}
        return await make_token(conn, name, name=token, role=role, now=now, **told)


@asynccontextmanager
async def serving(desk: Desk) -> AsyncIterator[TestClient]:
    """A client of a desk with its real access."""
    server = TestServer(build_app(desk, access(LOOPBACK)))
    await server.start_server(max_line_size=ADDRESS_BYTES_MAX, auto_decompress=False)
    async with reading(desk), server, TestClient(server) as client:
        yield client


async def problem_of(answer, status: int) -> dict:
    """The body of an error."""
    assert answer.status == status, await answer.text()
    assert answer.content_type == "application/problem+json"
    body = await answer.json()
    assert body["status"] == status
    assert body["detail"]
    assert body["remedy"]
    return body


async def something_of_everything(pool: asyncpg.Pool) -> None:
    """Orders in which everything happened, and of each queue something."""
    await a_paid_order(pool)
    await a_refunded_order(pool)
    await a_busy_till(pool, now=LATER - 10 * MINUTE)
    await tell(pool, of_alipay(order_ref=TYPED, payment_ref=WAITS, amount=12_900), at=NOON + MINUTE)
    await tell(pool, of_alipay(order_ref="NOBODYS", payment_ref="P-2", amount=1), at=NOON + 2 * MINUTE)
    await an_order(pool, "ORD-9001")
    await tell(pool, of_alipay(order_ref="ORD-9001", payment_ref="P-9001", amount=20_000))
    for order_ref in ("ORD-9002", "ORD-9003"):
        await parked(pool, order_ref)
        await refused(pool)
        await a_dead_notice(pool, order_ref)
    await paused(pool, ACCOUNT, now=LATER)
    async with pool.acquire() as conn:
        content = {"account": ACCOUNT, "payment_ref": WAITS, "order_ref": ORDER}
        told = {"content": content, "reason": "an O for a 0", "by": "ana", "now": LATER}
        await propose(conn, act="bind waiting money", subject=f"payment {ACCOUNT}/{WAITS}", **told)


async def parked(pool: asyncpg.Pool, order_ref: str = ORDER) -> int:
    """Parks a payment of an order; returns its number."""
    event = of_alipay(order_ref=order_ref, payment_ref=f"P-{uuid4().hex}", amount=12_900, event_id=uuid4().hex)
    delivery = a_delivery(event, run=uuid4(), number=1, account=ACCOUNT, body=b"paid")
    async with pool.acquire() as conn:
        await park_event(conn, delivery, event, reason="cannot_be_applied", error="refused", now=NOON)
        return await conn.fetchval("SELECT max(id) FROM parked")


async def refused(pool: asyncpg.Pool) -> int:
    """Keeps a delivery as refused; returns its number."""
    kept = RefusedDelivery(
        account=ACCOUNT,
        received_at=NOON,
        step="signature",
        finding="wrong_secret",
        reason="no key fits",
        detail="put the right key first",
        query="",
        headers=(("x", "y"),),
        body=b"paid",
    )
    async with pool.acquire() as conn:
        return await keep_refused(conn, kept)


async def a_dead_notice(pool: asyncpg.Pool, order_ref: str) -> str:
    """Has a paid order whose notice to the shop was given up; returns its key."""
    await an_order(pool, order_ref)
    await tell(pool, of_alipay(order_ref=order_ref, payment_ref=f"P-{order_ref}", amount=12_900))
    key = await pool.fetchval("SELECT key FROM outbox WHERE audience = 'merchant' ORDER BY id DESC LIMIT 1")
    channels = {"webhook": {"outcome": "dead", "at": "x", "why": "connection refused"}}
    await pool.execute(
        "UPDATE outbox SET state = 'dead', due_at = NULL, finished_at = $2, attempts = 9, channels = $3,"
        " last_error = 'connection refused' WHERE key = $1",
        *(key, NOON + 60 * MINUTE, json.dumps(channels)),
    )
    return key
