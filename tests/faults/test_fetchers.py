"""Workers and sweepers killed -9 while gateways are asked what deliveries wanted to know: nothing lost or doubled."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from tests.database.factories import a_delivery, a_registration
from tests.faults.house import until
from tests.faults.test_sweepers import Programs, asked, run_clock
from tests.gateway_apis import Gateways
from tillkeeper import clock
from tillkeeper.domain.delivery import Envelope, EnvelopeKeys
from tillkeeper.domain.fetching import Fetch
from tillkeeper.lanes.spool import SpoolSender
from tillkeeper.policy import load_policy
from tillkeeper.sandbox.accounts import write_config
from tillkeeper.sandbox.apis.faults import ApiFault, FaultPeriod
from tillkeeper.settings import load_settings
from tillkeeper.store.apply.registration import register
from tillkeeper.store.reports.audit import audit

PAID = {
    "stripe-main": "payment_intent.succeeded",
    "alipay-main": "TRADE_SUCCESS",
    "wechatpay-main": "TRANSACTION.SUCCESS",
}
PAYMENTS_OF_EACH = 20
DELIVERIES_OF_EACH = 3  # of each payment, over the whole time
KILLS = 6
SETTINGS = """
[sweep]
metrics_port = 0
ask_within_s = 4
[api_client]
calls_per_s = 0
"""


@pytest.fixture
async def gateways(signers):
    played = Gateways(signers)
    played.begins = clock.now().replace(microsecond=0)
    return played


@pytest.mark.long
async def test_every_query_is_answered_however_often_those_who_ask_are_killed(
    pool, database, gateways, signers, tmp_path
):
    for account, word in PAID.items():
        for number in range(PAYMENTS_OF_EACH):
            gateways.tells(account, (word, 0), order_ref=f"{account[0]}{number}")
    stories = gateways.ledger.stories
    slow = [
        FaultPeriod(
            account=account, fault=ApiFault.SLOW, since=gateways.begins, until=gateways.begins + timedelta(hours=1)
        )
        for account in PAID
    ]
    policy_file = tmp_path / "policy.toml"
    policy_file.write_text("[paid]\nquery = []\n")  # no ladder: what is known comes of these questions alone
    policy = load_policy(policy_file)
    for order_ref, story in stories.items():
        fields = {"amount": story.amount, "currency": story.due_currency, "accounts": (story.account,)}
        await register(pool, a_registration(order_ref, **fields), policy=policy, now=clock.now())
    async with gateways.open(*slow) as bases:
        gateways_clock = asyncio.ensure_future(run_clock(gateways))
        config = tmp_path / "tillkeeper.toml"
        write_config(
            config, signers, database_url=database, broker_url=None, port=0, token="t" * 20, bases=bases, more=SETTINGS
        )
        config.write_text(f'policy = "{policy_file}"\n' + config.read_text())
        programs = Programs(config, tmp_path)
        try:
            mortal = {role: await programs.start(role) for role in ("sweep", "work")}
            await programs.start("sweep")
            keys = EnvelopeKeys(load_settings(config, {}).envelope_keys)  # as a receiver would
            for kill in range(KILLS):
                await request(pool, keys, stories, since=kill, every=KILLS // DELIVERIES_OF_EACH)
                await asked(gateways, kill * len(stories) // 6 + 5)  # answers take 1.5 s: some are under way
                for role in ("sweep", "work"):
                    await programs.kill(mortal[role])
                    mortal[role] = await programs.start(role)

            async def is_done():
                return not await pool.fetchval("SELECT count(*) FROM fetches WHERE due_at IS NOT NULL") and not (
                    await pool.fetchval("SELECT count(*) FROM spool")
                )

            await until(is_done, within_s=300)
        finally:
            gateways_clock.cancel()
            await asyncio.gather(*(child.kill() for child in programs.running))
    assert {row["status"] for row in await pool.fetch("SELECT status FROM orders")} == {"paid"}
    kinds = await pool.fetch("SELECT payment_ref, count(*) FROM inbox WHERE outcome = 'applied' GROUP BY 1")
    assert {row["payment_ref"]: row["count"] for row in kinds} == dict.fromkeys(
        [story.payment_ref for story in stories.values()], 1
    )
    told = await audit(pool, settled_until=clock.now(), now=clock.now())
    assert told.balances, told
    assert told.fetches["wanted"] == told.fetches["found"] == DELIVERIES_OF_EACH * len(stories)


async def request(pool, keys, stories, *, since, every):
    """A delivery for each second or so of the payments, which says that it changed."""
    for number, story in enumerate(stories.values()):
        if number % every == since % every:
            fetch = Fetch(about="payment", payment_ref=story.payment_ref)
            delivery = a_delivery(run=uuid4(), number=1, account=story.account, fetches=(fetch,), events=())
            await SpoolSender(pool).put(keys.seal(Envelope(run=delivery.run, deliveries=(delivery,))))
