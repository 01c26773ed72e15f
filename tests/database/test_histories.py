"""Random histories on a real database: any order of arrival, split and death between steps ends alike, and truly.

HISTORIES=500 .venv/bin/python -m pytest tests/database/test_histories.py  for more of them
"""

import os
import random
from datetime import timedelta
from itertools import count

import asyncpg
import msgspec
import pytest

from tests.database.factories import NOON, STANDING_OTHERWISE, a_delivery, a_registration
from tests.database.sweeps import Gateways, a_sweep
from tests.pure.domain.histories import END, ORDER, History, answer_at, ends_of, history_of, truth_of
from tests.resolving import resolve_by_two
from tests.virtual_time import Clock
from tillkeeper.domain.events import Evidence
from tillkeeper.domain.order.case_reasons import reasons_in
from tillkeeper.domain.order.status import summarize
from tillkeeper.domain.statuses import Status
from tillkeeper.gateways.messages import Answer
from tillkeeper.policy import load_policy
from tillkeeper.store.apply.batch import apply_deliveries, apply_found
from tillkeeper.store.apply.registration import register
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.store.reports.audit import audit
from tillkeeper.store.reports.order import show

HISTORIES = int(os.environ.get("HISTORIES", "12"))  # of each kind; each in four orders of arrival
SEEDS = range(1, HISTORIES + 1)
POLICY = load_policy()
REFS = ("order_ref", "payment_ref", "refund_ref", "dispute_ref")
_runs = count(1)


class Death(Exception):
    """The process ended here."""


class Told:
    """One telling of a history, under names of its own, so that many fit into one database."""

    def __init__(self, pool: asyncpg.Pool, history: History, chance: random.Random) -> None:
        self.pool, self.history, self.chance = pool, history, chance
        self.prefix = f"told{next(_runs)}_"

    def named(self, event):
        refs = {name: f"{self.prefix}{ref}" for name in REFS if (ref := getattr(event, name)) is not None}
        return msgspec.structs.replace(event, event_id=f"{self.prefix}{event.event_id}", **refs)

    async def through_deaths(self, work):
        """Does it, often after dying just before the commit, and sometimes once more."""
        while self.chance.random() < 0.3:
            with pytest.raises(Death):
                await repeat_on_conflict(self.pool, lambda conn: self._dying(conn, work))
        for _ in range(self.chance.choice((1, 1, 2))):
            await repeat_on_conflict(self.pool, work)

    async def _dying(self, conn, work):
        await work(conn)
        raise Death

    async def register(self, order_ref):
        registration = a_registration(f"{self.prefix}{order_ref}")
        await register(self.pool, registration, policy=POLICY, now=NOON)

    async def tell(self, events):
        deliveries = [a_delivery(self.named(event)) for event in events if event.evidence is Evidence.WEBHOOK]
        answers = [self.named(event) for event in events if event.evidence is not Evidence.WEBHOOK]
        if deliveries:
            await self.through_deaths(lambda conn: apply_deliveries(conn, deliveries, policy=POLICY, now=NOON))
        if answers:
            await self.through_deaths(lambda conn: apply_found(conn, answers, policy=POLICY, now=NOON))

    async def all_of_it(self):
        """Every event and both registrations, in an order of its own, in batches."""
        steps = [*self.history.heard, "A1", "A2"]
        self.chance.shuffle(steps)
        batch = []
        for step in steps:
            if isinstance(step, str) or self.chance.random() < 0.3:
                await self.tell(batch)
                batch = []
            if isinstance(step, str):
                await self.register(step)
            else:
                batch.append(step)
        await self.tell(batch)

    async def end(self, order_ref):
        """All that is told of an order, without what depends on when it was heard."""
        order = await show(self.pool, f"{self.prefix}{order_ref}")
        text = msgspec.json.encode(
            {
                **{name: order[name] for name in ("status", "paid", "refunding", "refunded", "charged_back")},
                **{name: order[name] for name in ("payments", "refunds", "disputes")},
                "cases": sorted(
                    (case["kind"], case["subject"], str(case["details"].get("state")))
                    for case in order["cases"]
                    if case["closed_at"] is None
                ),
            }
        ).decode()
        return text.replace(self.prefix, "")

    async def outcomes(self):
        rows = await self.pool.fetch(
            "SELECT event_id, outcome, reason FROM inbox WHERE starts_with(event_id, $1) ORDER BY event_id", self.prefix
        )
        same = {"no_change": "counts", "applied": "counts"}
        return [(row[0].replace(self.prefix, "", 1), same.get(row[1], row[1]), row[2]) for row in rows]


@pytest.mark.parametrize("seed", SEEDS)
async def test_four_orders_of_arrival_with_deaths_between_end_alike_and_truly(pool, seed):
    history = history_of(seed)
    ends = []
    for number in range(4):
        telling = Told(pool, history, random.Random(f"{seed} {number}"))
        await telling.all_of_it()
        ends.append([await telling.end("A1"), await telling.end("A2"), await telling.outcomes()])
    for end in ends[1:]:
        assert end == ends[0]
    expected = summarize(ORDER, ends_of(history.heard)["A1"])
    assert msgspec.json.decode(ends[0][0])["status"] == expected.status
    await telling.tell(history.in_the_end)
    healed = msgspec.json.decode(await telling.end("A1"))
    truth = truth_of(history.happened)
    assert (healed["status"], healed["paid"], healed["refunded"]) == (truth.status, truth.captured, truth.refunded)
    found = await audit(pool, settled_until=NOON - timedelta(days=1), now=NOON)
    assert (found.misjudged, found.stale, found.unbalanced, found.unattended) == ([], [], [], [])


@pytest.mark.parametrize("seed", SEEDS)
async def test_whatever_a_person_resolved_another_state_is_told(pool, seed):
    history = history_of(seed)
    telling = Told(pool, history, random.Random(seed))
    for ref in ("A1", "A2"):
        await telling.register(ref)
    heard = telling.chance.sample(history.heard, len(history.heard))
    for event in [*heard, *history.in_the_end]:
        await telling.tell([event])
        if telling.chance.random() < 0.4:
            for row in await pool.fetch("SELECT id FROM cases WHERE closed_at IS NULL"):
                await repeat_on_conflict(pool, lambda conn, case_id=row["id"]: resolve_by_two(conn, case_id))
    facts = ends_of([*history.heard, *history.in_the_end])
    for order_ref in ("A1", "A2"):
        order = msgspec.structs.replace(ORDER, order_ref=order_ref)
        cases = await pool.fetch(
            "SELECT c.kind, c.subject, c.state, c.closed_by, c.details FROM cases c JOIN orders o ON o.id = c.order_id "
            "WHERE o.order_ref = $1",
            f"{telling.prefix}{order_ref}",
        )
        known = {(each["kind"], each["subject"].replace(telling.prefix, "")): each for each in cases}
        for concern in reasons_in(order, facts[order_ref]):
            if concern.state == "":  # nothing is at stake: what was resolved at another order is no news here
                continue
            case = known[concern.kind, concern.subject]
            assert case["closed_by"] != "system", concern
            if case["closed_by"] is not None and concern.state:
                assert case["state"] == concern.state, concern


def one_payment(seed):
    """The first history from a seed on of one payment that counts, told with its order throughout."""
    while True:
        history = history_of(seed, names_change=False)
        payments = {(each.account, each.ref, each.currency) for each in history.happened if each.object == "payment"}
        if len(payments) == 1 and next(iter(payments))[::2] in {("stripe-main", "CNY"), ("alipay-main", "CNY")}:
            return history
        seed += 1_000_003


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_sweep_that_dies_between_any_two_steps_still_finds_the_success_that_was_lost(pool, seed):
    history = one_payment(seed)
    chance = random.Random(seed)
    telling = Told(pool, history, chance)
    clock = Clock()
    gateways = Gateways(clock)
    gateways.says = lambda account, query: answered(telling, account, query, clock)
    await telling.register("A1")
    happened = [
        each
        for each in history.happened
        if each.object != "payment" or each.word == "reversed" or chance.random() < 0.4
    ]
    clock.at = NOON + timedelta(seconds=END + 100)
    for number, happening in enumerate(happened):
        delivery = a_delivery(telling.named(happening.event(f"evt-{number}")))
        await telling.through_deaths(
            lambda conn, one=delivery: apply_deliveries(conn, [one], policy=POLICY, now=clock.at)
        )
    sweep = a_sweep(pool, gateways, clock, POLICY)
    until = clock.at + timedelta(days=2)
    while (due := await pool.fetchval("SELECT min(due_at) FROM due_orders")) is not None and due < until:
        clock.at = max(clock.at, due)
        await swept_by_mortals(sweep, chance)
    order = await show(pool, f"{telling.prefix}A1")
    truth = truth_of(history.happened)
    assert (order["status"], order["paid"], order["refunded"]) == (truth.status, truth.captured, truth.refunded)
    assert await pool.fetchval(STANDING_OTHERWISE) == 0
    if truth.status is Status.PROCESSING:
        assert "stuck" in {case["kind"] for case in order["cases"]}


def answered(telling, account, query, clock):
    """What the gateway says once everything has happened."""
    said_at = int((clock.at - NOON).total_seconds())
    events = [
        telling.named(each) for each in answer_at(telling.history.happened, END, said_at) if each.account == account
    ]
    if query.about == "refund":
        events = [event for event in events if event.refund_ref == query.refund_ref]
    elif query.payment_ref is not None:
        events = [event for event in events if event.payment_ref == query.payment_ref]
    return Answer(found=bool(events), events=tuple(events))


async def swept_by_mortals(sweep, chance):
    """One pass; whoever does it may die after any step, or do a step twice."""
    _, taken = await sweep.take()
    if chance.random() < 0.15:
        return
    answered = [(each, await sweep.ask(each)) for each in taken]
    if chance.random() < 0.15:
        return
    for _ in range(chance.choice((1, 1, 2))):
        await sweep.apply([said for _, said in answered])
    if chance.random() < 0.15:
        return
    for _ in range(chance.choice((1, 1, 2))):
        await sweep.settle(answered)
