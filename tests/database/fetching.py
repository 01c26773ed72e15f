"""Fetches for tests: a clock, gateways, a loop."""

import asyncio
from datetime import timedelta
from uuid import uuid4

from tests.database.factories import NOON, a_delivery, a_registration, an_event
from tillkeeper.domain.events import Evidence
from tillkeeper.domain.fetching import Fetch
from tillkeeper.domain.policy import Policy
from tillkeeper.gateways.messages import Answer
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.apply.registration import register
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.store.reports.audit import audit
from tillkeeper.workers.database_retry import DatabaseRetry
from tillkeeper.workers.fetch import FetchLoop

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
ASK_WITHIN_S = 40.0
ACCOUNT = "stripe-main"
PAYMENT = Fetch(about="payment", payment_ref="tr_1")


class Gateways:
    """Stands for tillkeeper/api_client: says what a test has it say, and keeps what it was asked when."""

    def __init__(self, clock):
        self.clock = clock
        self.asked = []
        self.made = []
        self.says = lambda _account, _question: Answer(found=False)

    async def query(self, account, query):
        self.asked.append((self.clock.at - NOON, account, query))
        said = self.says(account, query)
        if asyncio.iscoroutine(said):
            said = await said
        if isinstance(said, Exception):
            raise said
        return said

    async def make(self, account, calls):
        self.made.append((account, *calls))


def a_loop(pool, gateways, clock):
    return FetchLoop(
        pool=pool,
        api_client=gateways,
        retry=DatabaseRetry(asyncio.Event()),
        policy=Policy,
        now=clock,
        jitter=lambda *_: 1.0,
        ask_within_s=ASK_WITHIN_S,
    )


async def requested(pool, *fetches, now=NOON, account=ACCOUNT, events=()):
    """By a delivery of a receiver of its own, so that no number is missing."""
    delivery = a_delivery(*events, run=uuid4(), number=1, fetches=fetches, account=account)
    return await repeat_on_conflict(pool, lambda conn: apply_deliveries(conn, [delivery], policy=Policy(), now=now))


async def registered(pool, order_ref="A1"):
    await register(pool, a_registration(order_ref), policy=Policy(), now=NOON)


def paid(payment_ref="tr_1", order_ref="A1", **more):
    event = an_event(
        event_id=f"query:{payment_ref}:paid", payment_ref=payment_ref, order_ref=order_ref, evidence=Evidence.QUERY
    )
    return Answer(found=True, events=(event,), **more)


async def books(pool, now=NOON):
    return await audit(pool, settled_until=now, now=now)


async def rows(pool):
    return [dict(row) for row in await pool.fetch("SELECT * FROM fetches ORDER BY id")]


async def until(loop, clock, moment, step=MINUTE):
    while clock.at < NOON + moment:
        clock.at += step
        while await loop.run_once():
            pass
