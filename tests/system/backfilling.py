"""Backfills for tests."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

from tests.database.factories import a_registration
from tests.gateway_apis import NOON
from tests.system.receiving import TOKEN
from tillkeeper.api_client.client import ApiClient
from tillkeeper.api_client.http import open_http
from tillkeeper.domain.policy import Policy
from tillkeeper.sandbox.accounts import write_config
from tillkeeper.settings import load_settings
from tillkeeper.store.apply.registration import register
from tillkeeper.store.jobs.backfill import (
    request_backfill,
)
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.workers.backfill import Backfill
from tillkeeper.workers.database_retry import DatabaseRetry

STRIPE, ALIPAY, WECHATPAY = "stripe-main", "alipay-main", "wechatpay-main"
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


@asynccontextmanager
async def asker_of(gateways, configured, *spells):
    """An ApiClient of the sandbox's APIs, in their time."""
    async with gateways.open(*spells) as bases:
        settings = load_settings(configured(bases), {})
        ask = settings.api_client.model_copy(update={"calls_per_s": 0.0, "attempts": 1, "breaker_failures": 1000})
        async with open_http(ask) as send:
            yield ApiClient(settings.build_gateways(), ask, send=send, now=lambda: gateways.now)


def a_backfill(pool, lists, now, accounts=(STRIPE, ALIPAY, WECHATPAY), **more):
    defaults = {"policy": Policy, "retry": DatabaseRetry(asyncio.Event()), "calls_per_s": 10.0}
    return Backfill(pool=pool, lists=lists, accounts=accounts, now=now, **{**defaults, **more})


async def registered(pool, story, at=NOON):
    await register(
        pool,
        a_registration(story.order_ref, amount=story.amount, currency=story.currency, accounts=(story.account,)),
        policy=Policy(),
        now=at,
    )


async def requested(pool, account, since, now, reason="outage"):
    await repeat_on_conflict(pool, lambda conn: request_backfill(conn, account, since, reason=reason, now=now))


async def row_of(pool, account=STRIPE):
    return await pool.fetchrow("SELECT * FROM backfills WHERE account = $1", account)


def paid_stories(gateways, account, number, *, minute=1):
    pays = gateways.signers[account].pays
    return [gateways.tells(account, (pays, minute + n), order_ref=f"T-{n:06}") for n in range(number)]


def config_in(directory, signers, database, bases):
    """Writes a configuration that asks the sandbox's APIs where they are."""
    path = directory / "tillkeeper.toml"
    write_config(path, signers, database_url=database, broker_url=None, port=0, token=TOKEN, bases=bases)
    return path
