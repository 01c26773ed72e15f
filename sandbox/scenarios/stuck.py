"""`stuck-at-gateway`: every payment reaches its gateway and stays undecided there, and one gateway cannot even be asked
for a day.  Each order climbs its ladder, each step on time and once; people and payers are told; nothing is concluded.

What is expected is reckoned from the policy and the scenario's own agenda, and held against the gateways' own log of
questions and against what was told.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from tillkeeper import clock
from tillkeeper.domain.ladder import Action, Anchor
from tillkeeper.domain.policy import Policy
from tillkeeper.domain.statuses import Status
from tillkeeper.policy.reading import load_policy
from tillkeeper.sandbox.apis.faults import Fault
from tillkeeper.sandbox.apis.faults import Spell as FaultSpell
from tillkeeper.sandbox.apis.query_log import LoggedQuery
from tillkeeper.sandbox.scenarios.asking_to_pay import asked_wrongly, payer_of
from tillkeeper.sandbox.scenarios.delivery_faults import DeliveryCounts, DeliveryFaults, arrivals
from tillkeeper.sandbox.scenarios.run import (
    BEGINS_AT,
    Progress,
    Say,
    ScenarioOptions,
    SimulatedGateways,
    open_system,
    simulate_gateways,
)
from tillkeeper.sandbox.scenarios.simulation import STEP, MerchantOptions, Simulation
from tillkeeper.sandbox.scenarios.system import System
from tillkeeper.sandbox.scenarios.templates import STUCK_TEMPLATES
from tillkeeper.sandbox.servers import Postgres
from tillkeeper.sandbox.story import Story
from tillkeeper.store.reports.audit import audit
from tillkeeper.store.reports.overview import OrderStanding, standings
from tillkeeper.store.reports.recorded import RecordedCase, RecordedNotice, TakenStep, cases, notices, steps

BEGUN_WITHIN_S: Final = 4 * 3600
ENDS_AT: Final = BEGINS_AT + timedelta(days=4, hours=6)
BROKEN_ACCOUNT: Final = "wechatpay-main"
BROKEN_SINCE: Final = BEGINS_AT + timedelta(hours=2)
BROKEN_UNTIL: Final = BEGINS_AT + timedelta(hours=26)
EXPIRES_AFTER: Final = timedelta(hours=2)
LATE_MAX: Final = 2 * STEP  # a moment is met within a step, and a step may begin one step late
# An order that could not be asked about is known to be under way once its query is put again, in 15 minutes at most.
FOUND_AGAIN: Final = timedelta(minutes=15) + LATE_MAX
CONCLUDED: Final = frozenset({"payer.failed", "payer.expired", "payer.paid", "payer.reminder", "order.closed"})
EXAMPLES_MAX: Final = 10


class Stuck(msgspec.Struct, frozen=True, kw_only=True):
    """What the days showed."""

    options: ScenarioOptions
    took_s: float
    steps: int
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
        """What does not hold, a line each."""
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
    broken = FaultSpell(account=BROKEN_ACCOUNT, fault=Fault.BROKEN, since=BROKEN_SINCE, until=BROKEN_UNTIL)
    simulated = simulate_gateways(options, STUCK_TEMPLATES, spells=[broken], within_s=BEGUN_WITHIN_S)
    policy, started_s = load_policy(), clock.monotonic_s()
    known_at = {story.order_ref: None for story in simulated.stories} | {
        it.story.order_ref: it.at
        for it in arrivals(simulated.stories, DeliveryFaults(), seed=options.seed, counts=DeliveryCounts())
        if it.event.event_type in ("payment_intent.processing", "WAIT_BUYER_PAY")
    }
    async with open_system(simulated, postgres, options=options, policy=policy) as system:
        day = Simulation(
            system,
            simulated.signers,
            stories=simulated.stories,
            arrivals=arrivals(simulated.stories, DeliveryFaults(), seed=options.seed, counts=DeliveryCounts()),
            merchant=MerchantOptions(expires_after=dict.fromkeys(STUCK_TEMPLATES, EXPIRES_AFTER), mail=payer_of),
            sweeps=True,
        )
        await day.run(until=ENDS_AT, show=Progress(say, "stuck"))
        judge = await _judge(system, simulated, policy, known_at)
        books = await audit(system.pool, settled_until=ENDS_AT, now=ENDS_AT)
    wrong = [*judge.wrong(), *(() if books.balances else ("the books do not balance",))]
    return Stuck(
        options=options,
        took_s=clock.monotonic_s() - started_s,
        steps=day.steps,
        orders=len(simulated.stories),
        in_doubt=sum(judge.was_in_doubt(it) for it in simulated.stories),
        queries=dict(simulated.log.counts),
        unanswered=sum(it.fault is not None for it in simulated.log.queries),
        ladder_steps=dict(Counter(it.action for it in judge.taken)),
        cases=dict(Counter(it.kind for it in judge.cases)),
        entries=dict(Counter(what for it in judge.cases for what, _, _ in it.entries)),
        payers_told=dict(Counter(it.topic for it in judge.notices if it.audience == "payer")),
        ops_told=dict(Counter(it.topic for it in judge.notices if it.audience == "ops")),
        latest_s=judge.latest.total_seconds(),
        wrong=tuple(wrong[:EXAMPLES_MAX]),
        wrongs=len(wrong),
    )


async def _judge(
    system: System, simulated: SimulatedGateways, policy: Policy, known_at: Mapping[str, datetime | None]
) -> "Judge":
    return Judge(
        simulated,
        policy,
        known_at,
        stand=await standings(system.pool, begins="S"),
        taken=await steps(system.pool),
        cases=await cases(system.pool),
        notices=await notices(system.pool),
    )


class Judge:
    """Holds what was done against what the policy says, order by order."""

    def __init__(
        self,
        simulated: SimulatedGateways,
        policy: Policy,
        known_at: Mapping[str, datetime | None],
        *,
        stand: Mapping[str, OrderStanding],
        taken: Sequence[TakenStep],
        cases: Sequence[RecordedCase],
        notices: Sequence[RecordedNotice],
    ) -> None:
        self._simulated = simulated
        self._policy = policy
        self._known_at = known_at
        self._stand = stand
        self.taken = taken
        self.cases = cases
        self.notices = notices
        self.latest = timedelta(0)
        self._asked = defaultdict[str, list[LoggedQuery]](list)
        for it in simulated.log.queries:
            if it.fault is None:
                self._asked[it.order_ref].append(it)
        self._cases = _by_order(cases)
        self._notices = _by_order(notices)

    def was_in_doubt(self, story: Story) -> bool:
        """Whether nothing was known of it while its closing came due."""
        return (
            story.account == BROKEN_ACCOUNT
            and story.started_at + timedelta(minutes=3) >= BROKEN_SINCE
            and story.started_at + EXPIRES_AFTER < BROKEN_UNTIL
        )

    def wrong(self) -> Iterator[str]:
        """Everything that is not as it should be."""
        for story in self._simulated.stories:
            for wrong in self._wrong_with(story):
                yield f"{story.order_ref} ({story.name}): {wrong}"
        yield from asked_wrongly(self._simulated.stories, self._simulated.ledger, self.notices)
        told = Counter(it.topic for it in self.notices)
        if not any(it.fault is not None for it in self._simulated.log.queries):
            return  # nobody was asked in that time
        for topic in ("account.unanswering", "account.answering"):
            if told[topic] != 1:
                yield f"{topic} was told {told[topic]} times, and once is right"

    def _wrong_with(self, story: Story) -> Iterator[str]:
        stand = self._stand.get(story.order_ref)
        if stand != OrderStanding(status=Status.PROCESSING, paid=0, refunded=0):
            yield f"it stands as {stand}"
        since = self._under_way_since(story)
        if since is None:
            yield "nobody ever learned that it is under way"
            return
        yield from self._questions(story, since)
        yield from self._stuck_case(story, since)
        yield from self._payer_told(story, since)
        if self.was_in_doubt(story):
            yield from self._doubt(story)

    def _under_way_since(self, story: Story) -> datetime | None:
        """When Tillkeeper learned of it: by a webhook, or by the first answer."""
        arrived = self._known_at[story.order_ref]
        if arrived is not None:
            return arrived
        return next((it.at for it in self._asked[story.order_ref]), None)

    def _questions(self, story: Story, since: datetime) -> Iterator[str]:
        # The one that found it, and those before, were by the ladder of unpaid orders.
        put = [it for it in self._asked[story.order_ref] if it.at > since]
        by_name = {it.at for it in put if it.ref != it.order_ref}
        # The search for further payments of the order belongs to the query about the one that is known.
        asked = [it.at for it in put if it.ref != it.order_ref or it.at not in by_name]
        yield from self._met("asked", self._moments(story, Action.QUERY, since), asked, story)

    def _stuck_case(self, story: Story, since: datetime) -> Iterator[str]:
        found = [it for it in self._cases[story.order_ref] if it.kind == "stuck"]
        if len(found) != 1:
            yield f"{len(found)} cases of being stuck were opened"
            return
        entries = found[0].entries
        yield from self._met("a case", self._moments(story, Action.CASE, since), _when("opened", entries), story)
        escalated = _when("escalated", entries)
        yield from self._met("escalated", self._moments(story, Action.ESCALATE, since), escalated, story)
        if found[0].closed_by is not None:
            yield f"its case was closed by {found[0].closed_by}"
        if not _when("followed_up", entries):
            yield "its case was never followed up"

    def _payer_told(self, story: Story, since: datetime) -> Iterator[str]:
        topics = [it for it in self._notices[story.order_ref] if it.audience == "payer"]
        told = [it.created_at for it in topics if it.topic == "payer.processing"]
        yield from self._met("the payer told", self._moments(story, Action.REMIND, since), told, story)
        for it in self._notices[story.order_ref]:
            if it.topic in CONCLUDED:
                yield f"{it.topic} was told at {it.created_at:%d. %H:%M}"

    def _doubt(self, story: Story) -> Iterator[str]:
        found = [it for it in self._cases[story.order_ref] if it.kind == "close_in_doubt"]
        if len(found) != 1:
            yield f"its closing came due in doubt, and {len(found)} cases were opened for that"
        elif found[0].closed_by != "system":
            yield "the doubt is gone, and its case was not closed by that"

    def _moments(self, story: Story, action: Action, since: datetime) -> list[datetime]:
        """When the policy has an action for an order that is processing, until the end."""
        moments: list[datetime] = []
        for each in self._policy.ladder(Status.PROCESSING, story.account).actions:
            if each.action is action:
                moments += [since + time.offset for time in each.times if time.anchor is Anchor.START]
                while each.every is not None and moments[-1] + each.every <= ENDS_AT:
                    moments.append(moments[-1] + each.every)
        return [at for at in moments if at <= ENDS_AT - LATE_MAX]

    def _met(self, what: str, expected: Sequence[datetime], done: Sequence[datetime], story: Story) -> Iterator[str]:
        """Each moment once, on time; those in which the gateway could not answer are asked again when it can."""
        done = [at for at in done if at <= ENDS_AT - LATE_MAX]
        if story.account == BROKEN_ACCOUNT and what == "asked":
            expected, done = _outside(expected), _outside(done)
        if len(expected) != len(done):
            yield f"{what} {len(done)} times, and {len(expected)} times is right"
            return
        for right, at in zip(expected, done, strict=True):
            self.latest = max(self.latest, at - right)
            if not timedelta(0) <= at - right + STEP <= LATE_MAX + STEP:
                yield f"{what} at {at:%d. %H:%M:%S}, and {right:%d. %H:%M:%S} is right"


def _outside(moments: Sequence[datetime]) -> list[datetime]:
    """Without what fell into the time of the broken gateway, and the questions that were made good after it."""
    return [at for at in moments if not BROKEN_SINCE <= at < BROKEN_UNTIL + FOUND_AGAIN]


def _when(what: str, entries: Sequence[tuple[str, str, datetime]]) -> list[datetime]:
    return [at for each, _, at in entries if each == what]


def _by_order(rows: Sequence[Any]) -> defaultdict[str, list[Any]]:
    found = defaultdict[str, list[Any]](list)
    for it in rows:
        if it.order_ref is not None:
            found[it.order_ref].append(it)
    return found
