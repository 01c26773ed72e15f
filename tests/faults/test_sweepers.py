"""Two sweepers, one of them killed -9 every moment: judged from the gateways' own log of questions and the mailbox."""

import asyncio
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from tests.database.factories import a_delivery, a_registration, an_event
from tests.faults.house import until
from tests.gateway_apis import Gateways
from tests.notice_servers import smtp_server
from tillkeeper import clock
from tillkeeper.domain.events import Kind
from tillkeeper.domain.order.registration import Payer
from tillkeeper.policy import load_policy
from tillkeeper.sandbox.accounts import write_config
from tillkeeper.sandbox.apis.faults import ApiFault, FaultPeriod
from tillkeeper.sandbox.servers.child import Child
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.apply.registration import register
from tillkeeper.store.postgres.transactions import repeat_on_conflict

PENDING = {"stripe-main": "payment_intent.processing", "alipay-main": "WAIT_BUYER_PAY", "wechatpay-main": "USERPAYING"}
PAID = {
    "stripe-main": "payment_intent.succeeded",
    "alipay-main": "TRADE_SUCCESS",
    "wechatpay-main": "TRANSACTION.SUCCESS",
}
ORDERS_OF_EACH = 12  # at each gateway; every second of them is paid there after some seconds, and no webhook says so
PAID_AFTER_S = 6
KILLS = 6
QUERIES_S = (1, 3, 5, 7, 9, 11, 13, 15, 17, 19)
POLICY = f"""
[processing]
query = {[f"{second}s" for second in QUERIES_S]}
remind = "5s"
case = "8s"
escalate = ["12s", "14s"]
[paid]
query = []
"""
SETTINGS = """
[sweep]
metrics_port = 0
ask_within_s = 1
orders_at_once = 12
[notify]
metrics_port = 0
from_address = "pay@shop.example"
[notify.smtp]
host = "127.0.0.1"
port = {port}
security = "none"
"""


@pytest.fixture
async def gateways(signers):
    played = Gateways(signers)
    played.begins = clock.now().replace(microsecond=0)
    return played


def tells(gateways: Gateways) -> dict[str, str]:
    """Enters the stories; returns how each order must end."""
    truth = {}
    for account, pending in PENDING.items():
        for number in range(ORDERS_OF_EACH):
            order_ref = f"{account[0]}{number}"
            is_paid = number % 2 == 0
            later = [(PAID[account], PAID_AFTER_S / 60)] if is_paid else []
            gateways.tells(account, (pending, 0), *later, order_ref=order_ref)
            truth[order_ref] = "paid" if is_paid else "processing"
    return truth


async def begin(pool: asyncpg.Pool, gateways: Gateways, policy) -> None:
    """Registers every order, and applies the one webhook that came."""
    now = clock.now()
    for order_ref, story in gateways.ledger.stories.items():
        registration = a_registration(
            order_ref,
            amount=story.amount,
            currency=story.due_currency,
            accounts=(story.account,),
            payer=Payer(email=f"{order_ref}@payers.example", locale="en"),
        )
        await register(pool, registration, policy=policy, now=now)
    events = [
        an_event(
            Kind.PAYMENT_PENDING,
            account=story.account,
            order_ref=order_ref,
            payment_ref=story.payment_ref,
            currency=story.currency,
        )
        for order_ref, story in gateways.ledger.stories.items()
    ]
    await repeat_on_conflict(pool, lambda conn: apply_deliveries(conn, [a_delivery(*events)], policy=policy, now=now))


class Programs:
    """`tillkeeper sweep` and `notify`, each a process of its own."""

    def __init__(self, config: Path, directory: Path) -> None:
        self._config, self._directory, self._starts = config, directory, 0
        self.running: list[Child] = []

    async def start(self, role: str) -> Child:
        self._starts += 1
        child = await Child.start(
            [sys.executable, "-m", "tillkeeper", role, "--config", str(self._config)],
            directory=self._directory,
            log=self._directory / f"{role}-{self._starts}.log",
        )
        self.running.append(child)
        return child

    async def kill(self, child: Child) -> None:
        self.running.remove(child)
        await child.kill()


@pytest.mark.long(seconds=20)
async def test_no_step_is_taken_twice_however_often_a_sweeper_is_killed(pool, database, gateways, signers, tmp_path):
    truth = tells(gateways)
    slow = [
        FaultPeriod(
            account=account, fault=ApiFault.SLOW, since=gateways.begins, until=gateways.begins + timedelta(hours=1)
        )
        for account in PENDING
    ]
    policy_file = tmp_path / "policy.toml"
    policy_file.write_text(POLICY)
    async with gateways.open(*slow) as bases, smtp_server() as mailbox:
        gateways_clock = asyncio.ensure_future(run_clock(gateways))
        config = tmp_path / "tillkeeper.toml"
        write_config(
            config,
            signers,
            database_url=database,
            broker_url=None,
            port=0,
            token="t" * 20,
            bases=bases,
            more=SETTINGS.format(port=mailbox.port),
        )
        config.write_text(f'policy = "{policy_file}"\n' + config.read_text())
        programs = Programs(config, tmp_path)
        try:
            await programs.start("notify")
            mortal, _ = await programs.start("sweep"), await programs.start("sweep")
            await begin(pool, gateways, load_policy(policy_file))
            for kill in range(1, KILLS + 1):
                await asked(gateways, kill * len(truth) // 2)  # it is killed with questions under way
                await programs.kill(mortal)
                mortal = await programs.start("sweep")
            await settled(pool)
        finally:
            gateways_clock.cancel()
            await asyncio.gather(*(child.kill() for child in programs.running))
    await judge(pool, gateways, mailbox, truth)


async def run_clock(gateways: Gateways) -> None:
    while True:
        gateways.now = clock.now()
        await asyncio.sleep(0.02)


async def asked(gateways: Gateways, questions: int) -> None:
    async def so_many() -> bool:
        return sum(gateways.log.counts.values()) >= questions

    await until(so_many)


async def settled(pool: asyncpg.Pool) -> None:
    """Returns when every ladder was climbed to its end, and everything was told."""

    async def is_done() -> bool:
        return not await pool.fetchval("SELECT count(*) FROM due_orders WHERE due_at IS NOT NULL") and not (
            await pool.fetchval("SELECT count(*) FROM outbox WHERE due_at IS NOT NULL")
        )

    await until(is_done, within_s=300)


async def judge(pool: asyncpg.Pool, gateways: Gateways, mailbox, truth: dict[str, str]) -> None:
    statuses = {row["order_ref"]: row["status"] for row in await pool.fetch("SELECT order_ref, status FROM orders")}
    assert statuses == truth
    taken = await pool.fetch(
        "SELECT order_ref, count(*) AS rungs, sum(tries)::int AS tries FROM steps JOIN orders ON orders.id = order_id "
        "WHERE action = 'query' GROUP BY 1"
    )
    rungs, tries = (Counter({row["order_ref"]: row[column] for row in taken}) for column in ("rungs", "tries"))
    # Which session an intent was paid in belongs to the query about the intent.
    questions = Counter(query.order_ref for query in gateways.log.queries if query.about != "session")
    assert all(questions[ref] <= tries[ref] and rungs[ref] <= len(QUERIES_S) for ref in truth), (questions, taken)
    assert tries.total() - rungs.total() <= KILLS * len(truth), "only a killed sweeper's question is put again"
    assert tries.total() - questions.total() <= KILLS * len(truth), "only a killed sweeper loses a question"
    stuck = {ref for ref, status in truth.items() if status == "processing"}
    mails = Counter(mailbox.to)
    assert all(count == 1 for (ref, count) in mails_by_topic(mailbox).items()), mails_by_topic(mailbox)
    assert all(mails[f"{ref}@payers.example"] == 1 for ref in stuck), mails
    assert all(mails[f"{ref}@payers.example"] >= 1 for ref in truth), mails
    cases = Counter(
        {
            row["order_ref"]: row["level"]
            for row in await pool.fetch(
                "SELECT order_ref, level FROM cases JOIN orders ON orders.id = order_id WHERE cases.closed_at IS NULL"
            )
        }
    )
    assert cases == dict.fromkeys(stuck, 3)
    told = await pool.fetch("SELECT topic, count(*) FROM outbox WHERE audience = 'ops' GROUP BY 1")
    assert {row["topic"]: row["count"] for row in told}["case.escalated"] == 2 * len(stuck)


def mails_by_topic(mailbox) -> Counter[tuple[str, str]]:
    return Counter((mail["To"].partition("@")[0].lstrip("<"), mail["Subject"]) for mail in mailbox.mails())
