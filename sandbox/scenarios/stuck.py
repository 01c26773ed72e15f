"""`stuck-at-gateway`: every payment reaches its gateway and stays undecided there, and one gateway cannot even be asked
for a day.  Each order climbs its ladder, each step on time and once; people and payers are told; nothing is concluded.

What must come of it, stuck_judge.py says.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from tillkeeper import clock
from tillkeeper.domain.policy import Policy
from tillkeeper.policy.reading import load_policy
from tillkeeper.sandbox.apis.faults import ApiFault, FaultPeriod
from tillkeeper.sandbox.scenarios.asking_to_pay import payer_of
from tillkeeper.sandbox.scenarios.delivery_faults import ArrivingWebhook, DeliveryCounts, DeliveryFaults, arrivals
from tillkeeper.sandbox.scenarios.run import (
    ProgressLine,
    Say,
    ScenarioOptions,
    SimulatedGateways,
    open_system,
    simulate_gateways,
)
from tillkeeper.sandbox.scenarios.simulation import MerchantOptions, Simulation
from tillkeeper.sandbox.scenarios.stuck_judge import (
    BROKEN_ACCOUNT,
    BROKEN_SINCE,
    BROKEN_UNTIL,
    ENDS_AT,
    EXPIRES_AFTER,
    Judge,
)
from tillkeeper.sandbox.scenarios.system import System
from tillkeeper.sandbox.scenarios.templates import STUCK_TEMPLATES
from tillkeeper.sandbox.servers import Postgres
from tillkeeper.store.reports.audit import audit
from tillkeeper.store.reports.overview import standings
from tillkeeper.store.reports.recorded import cases, notices, steps

BEGUN_WITHIN_S: Final = 4 * 3600
EXAMPLES_MAX: Final = 10


class Stuck(msgspec.Struct, frozen=True, kw_only=True):
    """What the days showed."""

    options: ScenarioOptions
    took_s: float = 0.0
    steps: int = 0
    orders: int
    in_doubt: int  # orders of which nothing could be known for a day, and whose closing came due meanwhile
    queries: dict[str, int]
    unanswered: int
    ladder_steps: dict[str, int]  # taken, by action
    cases: dict[str, int]  # opened, by kind
    entries: dict[str, int]  # of cases' histories
    payers_told: dict[str, int]  # by topic
    ops_told: dict[str, int]  # likewise
    latest_s: float  # how late the latest step was
    wrong: tuple[str, ...]
    wrongs: int

    def problems(self) -> list[str]:
        """Returns what does not hold, a line each."""
        problems = [] if self.orders else ["no order was played"]
        if self.wrongs:
            problems.append(f"{self.wrongs} things are not as the policy says")
        return problems

    def as_dict(self) -> dict[str, Any]:
        """As one JSON document."""
        figures = msgspec.structs.asdict(self)
        del figures["options"]
        head = {"scenario": "stuck-at-gateway", "seed": self.options.seed, "payments": self.options.payments}
        problems = self.problems()
        return head | figures | {"took_s": round(self.took_s, 1), "problems": problems, "holds": not problems}


async def stuck_at_gateway(options: ScenarioOptions, postgres: Postgres, say: Say) -> Stuck:
    """Plays four days of it."""
    broken = FaultPeriod(account=BROKEN_ACCOUNT, fault=ApiFault.BROKEN, since=BROKEN_SINCE, until=BROKEN_UNTIL)
    simulated = simulate_gateways(options, STUCK_TEMPLATES, periods=[broken], within_s=BEGUN_WITHIN_S)
    policy, started_s = load_policy(), clock.monotonic_s()
    webhooks = list(arrivals(simulated.stories, DeliveryFaults(), seed=options.seed, counts=DeliveryCounts()))
    async with open_system(simulated, postgres, options=options, policy=policy) as system:
        days = Simulation(
            system,
            simulated.signers,
            stories=simulated.stories,
            arrivals=webhooks,
            merchant=MerchantOptions(expires_after=dict.fromkeys(STUCK_TEMPLATES, EXPIRES_AFTER), mail=payer_of),
            sweeps=True,
        )
        await days.run(until=ENDS_AT, show=ProgressLine(say, "stuck"))
        judge = await _judge(system, simulated, policy, _known_at(simulated, webhooks))
        books = await audit(system.pool, settled_until=ENDS_AT, now=ENDS_AT)
    wrong = [*judge.wrong(), *(() if books.balances else ("the books do not balance",))]
    shown = _shown(options, simulated, judge, wrong)
    return msgspec.structs.replace(shown, took_s=clock.monotonic_s() - started_s, steps=days.steps)


def _known_at(simulated: SimulatedGateways, webhooks: Sequence[ArrivingWebhook]) -> dict[str, datetime | None]:
    """Returns when a webhook told of each order that its payment is under way; None where none does."""
    told = {
        arrival.story.order_ref: arrival.at
        for arrival in webhooks
        if arrival.event.event_type in ("payment_intent.processing", "WAIT_BUYER_PAY")
    }
    return {story.order_ref: told.get(story.order_ref) for story in simulated.stories}


def _shown(options: ScenarioOptions, simulated: SimulatedGateways, judge: Judge, wrong: Sequence[str]) -> Stuck:
    return Stuck(
        options=options,
        orders=len(simulated.stories),
        in_doubt=sum(judge.was_in_doubt(story) for story in simulated.stories),
        queries=dict(simulated.log.counts),
        unanswered=sum(query.fault is not None for query in simulated.log.queries),
        ladder_steps=dict(Counter(step.action for step in judge.taken)),
        cases=dict(Counter(case.kind for case in judge.cases)),
        entries=dict(Counter(what for case in judge.cases for what, _, _ in case.entries)),
        payers_told=dict(Counter(notice.topic for notice in judge.notices if notice.audience == "payer")),
        ops_told=dict(Counter(notice.topic for notice in judge.notices if notice.audience == "ops")),
        latest_s=judge.latest.total_seconds(),
        wrong=tuple(wrong[:EXAMPLES_MAX]),
        wrongs=len(wrong),
    )


async def _judge(
    system: System, simulated: SimulatedGateways, policy: Policy, known_at: Mapping[str, datetime | None]
) -> Judge:
    return Judge(
        simulated,
        policy,
        known_at,
        stand=await standings(system.pool, begins="S"),
        taken=await steps(system.pool),
        cases=await cases(system.pool),
        notices=await notices(system.pool),
    )
