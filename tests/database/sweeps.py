"""Sweeps for tests: a clock, gateways, a policy."""

import asyncio
from datetime import timedelta

from tests.database.factories import NOON, a_delivery, a_registration, an_event
from tillkeeper.domain.events import Evidence
from tillkeeper.domain.ladder import Action, ActionSteps, Anchor, Ladder, StepTime
from tillkeeper.domain.order.registration import Payer
from tillkeeper.domain.policy import Policy
from tillkeeper.domain.statuses import Status
from tillkeeper.gateways.messages import Answer
from tillkeeper.policy import load_policy
from tillkeeper.settings import SweepSettings
from tillkeeper.store.apply.batch import apply_deliveries
from tillkeeper.store.apply.registration import register
from tillkeeper.store.jobs.sweeping import take_due
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.workers.database_retry import DatabaseRetry
from tillkeeper.workers.sweep import Sweep

MINUTE = timedelta(minutes=1)
LEASE = MINUTE
HOUR = timedelta(hours=1)


def action_steps(action, *steps, every=None, anchor=Anchor.START):
    return ActionSteps(action=action, times=tuple(StepTime(offset=step, anchor=anchor) for step in steps), every=every)


POLICY = Policy(
    ladders={
        Status.UNPAID: Ladder(
            actions=(
                action_steps(Action.QUERY, 3 * MINUTE),
                action_steps(Action.REMIND, -HOUR, anchor=Anchor.EXPIRY),
                action_steps(Action.CLOSE, 10 * MINUTE, every=HOUR, anchor=Anchor.EXPIRY),
            )
        ),
        Status.PROCESSING: Ladder(
            actions=(
                action_steps(Action.QUERY, 2 * MINUTE, 15 * MINUTE, every=HOUR),
                action_steps(Action.REMIND, 15 * MINUTE),
                action_steps(Action.CASE, 30 * MINUTE),
                action_steps(Action.ESCALATE, 2 * HOUR, 4 * HOUR),
            )
        ),
        Status.FAILED: Ladder(actions=(action_steps(Action.QUERY, MINUTE), action_steps(Action.GRACE, 10 * MINUTE))),
        Status.PARTIALLY_PAID: Ladder(actions=(action_steps(Action.REMIND, timedelta(0), anchor=Anchor.DUE),)),
    }
)


class Gateways:
    """Stands for tillkeeper/api_client: says what a test has it say, and keeps what it was asked when."""

    def __init__(self, clock):
        self.clock = clock
        self.asked = []
        self.says = lambda _account, _question: Answer(found=False)

    @property
    def moments(self):
        """When anything was asked; several questions at once are one moment."""
        return list(dict.fromkeys(at for at, *_ in self.asked))

    async def query(self, account, query):
        self.asked.append((self.clock.at - NOON, account, query))
        said = self.says(account, query)
        if isinstance(said, Exception):
            raise said
        return said


def a_sweep(pool, gateways, clock, policy=POLICY, **settings):
    return Sweep(
        pool=pool,
        api_client=gateways,
        retry=DatabaseRetry(asyncio.Event()),
        policy=lambda: policy,
        now=clock,
        settings=SweepSettings(**settings),
    )


async def registered(pool, order_ref="A1", policy=POLICY, **fields):
    fields = {"accounts": ("stripe-main",), "payer": Payer(email="mei@example.com", locale="zh"), **fields}
    return await register(pool, a_registration(order_ref, **fields), policy=policy, now=NOON)


async def told(pool, *events, now=NOON, policy=POLICY):
    await repeat_on_conflict(pool, lambda conn: apply_deliveries(conn, [a_delivery(*events)], policy=policy, now=now))


async def until(sweep, clock, moment, step=MINUTE):
    """Lets time pass in steps, sweeping at each."""
    while clock.at < NOON + moment:
        clock.at += step
        while await sweep.run_once():
            pass


async def steps(pool):
    rows = await pool.fetch("SELECT action, at, result FROM steps ORDER BY at, action")
    return [(row["action"], row["at"] - NOON, row["result"]) for row in rows]


async def topics(pool, audience):
    rows = await pool.fetch("SELECT topic FROM outbox WHERE audience = $1 ORDER BY id", audience)
    return [row["topic"] for row in rows]


def heard(**fields):
    return an_event(evidence=Evidence.QUERY, event_id="query:pi_1", **fields)


SHIPPED = load_policy()


def heard_of(order_ref, payment_ref):
    return an_event(
        evidence=Evidence.QUERY, event_id=f"query:{payment_ref}", order_ref=order_ref, payment_ref=payment_ref
    )


async def take_and_die(pool, clock, policy=POLICY):
    """A sweeper that takes what is due, and is killed before it asks."""
    await repeat_on_conflict(pool, lambda conn: take_due(conn, policy=policy, limit=10, lease=LEASE, now=clock.at))
