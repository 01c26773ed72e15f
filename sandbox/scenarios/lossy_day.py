"""`lossy-day`: three in ten webhooks lost, some doubled, some late, a gateway silent for two hours.  At the end every
order is as its gateway knows it, with nobody's help, and no payer was asked for what was paid or under way.

The same day is replayed a second time with webhooks alone, to see what the sweeps are worth.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from tillkeeper import clock
from tillkeeper.sandbox.apis.faults import ApiFault, FaultPeriod
from tillkeeper.sandbox.comparison import Difference
from tillkeeper.sandbox.scenarios.asking_to_pay import ASKS_TO_PAY, asked_wrongly, payer_of
from tillkeeper.sandbox.scenarios.delivery_faults import DeliveryCounts, DeliveryFaults, SilentPeriod, arrivals
from tillkeeper.sandbox.scenarios.resolution import Resolutions, is_true, resolutions
from tillkeeper.sandbox.scenarios.run import (
    BEGINS_AT,
    ProgressLine,
    Say,
    ScenarioOptions,
    SimulatedGateways,
    open_system,
    simulate_gateways,
)
from tillkeeper.sandbox.scenarios.simulation import STEP, MerchantOptions, Simulation
from tillkeeper.sandbox.scenarios.system import System
from tillkeeper.sandbox.scenarios.templates import DAY_TEMPLATES
from tillkeeper.sandbox.servers import Postgres
from tillkeeper.sandbox.story import Story
from tillkeeper.store.reports.audit import audit
from tillkeeper.store.reports.overview import OrderStanding, standings
from tillkeeper.store.reports.recorded import cases, histories, notices

ENDS_AT: Final = BEGINS_AT + timedelta(days=9)  # a day of payments, and time for what is looked for only a week later
SILENT_ACCOUNT: Final = "alipay-main"
SILENT_SINCE: Final = BEGINS_AT + timedelta(hours=13)
SILENT_FOR: Final = timedelta(hours=2)
LOST: Final = 0.30
DOUBLED: Final = 0.10
LATE: Final = 0.20
# Gateways' APIs are never quite well either: by share of questions, all the time.
UNWELL: Final[Mapping[ApiFault, float]] = {ApiFault.BROKEN: 0.01, ApiFault.FORGED: 0.005, ApiFault.HUNG_UP: 0.005}
EXPIRES_AFTER: Final = {"stripe": timedelta(hours=24), "alipay": timedelta(hours=2), "wechatpay": timedelta(hours=2)}
DIFFERENCES_MAX: Final = 10


class Half(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two runs."""

    took_s: float = 0.0
    steps: int = 0
    resolutions: Resolutions
    differences: list[Difference]
    queries: dict[str, int]  # by account
    cases_opened: int
    cases_left: dict[str, int]  # open at the end, by kind
    balances: bool
    asked_to_pay: int  # times that a payer was
    asked_wrongly: list[str]


class LossyDay(msgspec.Struct, frozen=True, kw_only=True):
    """What the day showed."""

    options: ScenarioOptions
    counts: DeliveryCounts
    swept: Half
    unswept: Half

    def problems(self) -> list[str]:
        """Returns what does not hold, a line each."""
        swept, by = self.swept, self.swept.resolutions.by()
        differing = len({difference.order_ref for difference in swept.differences})
        found = {
            "no order was played": not swept.resolutions.found,
            f"{differing} orders are not as their gateways know them": differing,
            f"{swept.resolutions.never} orders never came to their truth": swept.resolutions.never,
            f"{by.get('operator', 0)} orders were resolved by a person": by.get("operator", 0),
            f"{len(swept.asked_wrongly)} times a payer was asked for what was paid or under way": swept.asked_wrongly,
            "the books do not balance": not (swept.balances and self.unswept.balances),
        }
        return [problem for problem, holds in found.items() if holds]

    def as_dict(self) -> dict[str, Any]:
        """As one JSON document.  Times in seconds of simulated time; null is never."""
        return {
            "scenario": "lossy-day",
            "seed": self.options.seed,
            "payments": self.options.payments,
            "to_find_out": len(self.swept.resolutions.found),
            "webhooks": msgspec.structs.asdict(self.counts),
            "resolution_s": STEP.total_seconds(),
            "with_sweeps": _told(self.swept),
            "without_sweeps": _told(self.unswept),
            "differences": [
                msgspec.structs.asdict(difference) for difference in self.swept.differences[:DIFFERENCES_MAX]
            ],
            "asked_wrongly": self.swept.asked_wrongly[:DIFFERENCES_MAX],
            "problems": (problems := self.problems()),
            "holds": not problems,
        }


def _told(half: Half) -> dict[str, Any]:
    found = half.resolutions
    return {
        "time_to_truth_s": {"median": found.after_s(0.5), "p90": found.after_s(0.9), "p99": found.after_s(0.99)},
        "slowest_s": found.after_s(1.0),
        "never": found.never,
        "resolved_by": found.by(),
        "queries": sum(half.queries.values()),
        "queries_by_account": half.queries,
        "cases_opened": half.cases_opened,
        "cases_left": half.cases_left,
        "balances": half.balances,
        "asked_to_pay": half.asked_to_pay,
        "took_s": round(half.took_s, 1),
        "steps": half.steps,
    }


async def lossy_day(options: ScenarioOptions, postgres: Postgres, say: Say, *, ends_at: datetime = ENDS_AT) -> LossyDay:
    """Replays the day twice."""
    periods = [
        FaultPeriod(account=account, fault=fault, since=BEGINS_AT, until=ends_at, share=share)
        for account in ("stripe-main", "alipay-main", "wechatpay-main")
        for fault, share in UNWELL.items()
    ]
    simulated = simulate_gateways(options, DAY_TEMPLATES, periods=periods)
    counts = DeliveryCounts()
    # Both at once: each waits for its database most of the time.  The second asks nobody.
    swept, unswept = await asyncio.gather(
        _half(simulated, options, postgres, say, counts=counts, sweeps=True, ends_at=ends_at),
        _half(simulated, options, postgres, say, counts=DeliveryCounts(), sweeps=False, ends_at=ends_at),
    )
    return LossyDay(options=options, counts=counts, swept=swept, unswept=unswept)


async def _half(
    simulated: SimulatedGateways,
    options: ScenarioOptions,
    postgres: Postgres,
    say: Say,
    *,
    counts: DeliveryCounts,
    sweeps: bool,
    ends_at: datetime,
) -> Half:
    silence = SilentPeriod(account=SILENT_ACCOUNT, since=SILENT_SINCE, until=SILENT_SINCE + SILENT_FOR)
    faults = DeliveryFaults(lost=LOST, doubled=DOUBLED, late=LATE, silent_periods=(silence,))
    started_s = clock.monotonic_s()
    async with open_system(simulated, postgres, options=options) as system:
        day = Simulation(
            system,
            simulated.signers,
            stories=simulated.stories,
            arrivals=arrivals(simulated.stories, faults, seed=options.seed, counts=counts),
            merchant=MerchantOptions(expires_after=EXPIRES_AFTER, mail=payer_of),
            sweeps=sweeps,
        )
        await day.run(until=ends_at, show=ProgressLine(say, "with sweeps" if sweeps else "with webhooks alone"))
        half = await _judged(system, simulated, sweeps=sweeps, ends_at=ends_at)
    return msgspec.structs.replace(half, took_s=clock.monotonic_s() - started_s, steps=day.steps)


async def _judged(system: System, simulated: SimulatedGateways, *, sweeps: bool, ends_at: datetime) -> Half:
    """Returns what the database holds at the end, against what the gateways know."""
    stand = await standings(system.pool, begins="S")
    opened, sent = await cases(system.pool), await notices(system.pool)
    books = await audit(system.pool, settled_until=ends_at, now=ends_at)
    return Half(
        resolutions=resolutions(simulated.stories, simulated.gateways, await histories(system.pool)),
        differences=[
            _difference(story, stand.get(story.order_ref))
            for story in simulated.stories
            if not is_true(story, stand.get(story.order_ref))
        ],
        queries=dict(simulated.log.counts) if sweeps else {},
        cases_opened=len(opened),
        cases_left=dict(Counter(case.kind for case in opened if case.closed_by is None)),
        balances=books.balances,
        asked_to_pay=sum(notice.topic in ASKS_TO_PAY for notice in sent),
        asked_wrongly=list(asked_wrongly(simulated.stories, simulated.ledger, sent)),
    )


def _difference(story: Story, standing: OrderStanding | None) -> Difference:
    expected = story.expected
    return Difference(
        order_ref=story.order_ref,
        story=story.name,
        field="standing",
        expected=f"{expected.status} {expected.paid} {expected.refunded}",
        found="nothing" if standing is None else f"{standing.status} {standing.paid} {standing.refunded}",
    )
