"""Whole lives of orders, without a database: webhooks, time, answers, people, and deaths between loading and writing.

    what truly happens (histories.py) ──> webhooks, late, twice or lost
    a moment comes ──> the order is loaded ─ handed what happened ─ its changes written, or thrown away and decided anew
    its sweeper asks the gateways, which answer, or do not, or cannot be asked

    python -m tests.pure.domain.lives --count 100000 --seed 1

What must never be is looked for at each write; at the end nothing waits for ever, and all that was told is known.
"""

import argparse
import gc
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime, timedelta
from functools import reduce
from heapq import heappop, heappush
from typing import Any, Final

import msgspec

from tests.pure.domain.histories import END, NOON, ORDER, History, answer_at, brief, history_of, truth_of
from tillkeeper.domain.batch import Item, KnownEvent, digest_of, find_orders, give_ids_of_their_own, sort_out
from tillkeeper.domain.events import Evidence, PaymentEvent
from tillkeeper.domain.ladder import Action
from tillkeeper.domain.order import acts
from tillkeeper.domain.order.advancing import advance
from tillkeeper.domain.order.answers import QueryOutcome, settle
from tillkeeper.domain.order.cases import SYSTEM, CaseKey, KnownCase
from tillkeeper.domain.order.changes import Act, Changes, DueQuery
from tillkeeper.domain.order.facts import OrderFacts, apply
from tillkeeper.domain.order.notices import Audience, Notice
from tillkeeper.domain.order.progress import CANNOT_ASK, Progress, StepTaken
from tillkeeper.domain.order.queries import queries_for, queries_then
from tillkeeper.domain.order.receiving import Outcome, receive
from tillkeeper.domain.order.registration import Instalment, Registration, first_look
from tillkeeper.domain.order.stale_cases import stale_cases
from tillkeeper.domain.order.state import OrderState
from tillkeeper.domain.order.status import Summary, summarize
from tillkeeper.domain.policy import Policy
from tillkeeper.domain.query import Query
from tillkeeper.domain.references import Bindings, Reference, references_of
from tillkeeper.domain.statuses import Status
from tillkeeper.domain.topics import Topic
from tillkeeper.policy import load_policy

POLICY: Final = load_policy()
LEASE: Final = timedelta(minutes=1)
HOURS: Final = 12  # of a life that is looked at
NEWLY: Final = Summary(status=Status.UNPAID, captured=0, refunding=0, refunded=0)
ASKS_TO_PAY: Final = {Topic.FAILED, Topic.REMINDER, Topic.INSTALMENT_DUE}
SECOND: Final = timedelta(seconds=1)
MINUTE: Final = timedelta(minutes=1)


class Kept(msgspec.Struct, kw_only=True):
    """What a database would keep of one order, and of the events that wait for it."""

    order: OrderState | None = None
    steps: dict[tuple[int, Action, datetime], StepTaken] = msgspec.field(default_factory=dict)
    cases: dict[CaseKey, KnownCase] = msgspec.field(default_factory=dict)
    notices: dict[str, Notice] = msgspec.field(default_factory=dict)
    acts: list[Act] = msgspec.field(default_factory=list)
    events: dict[tuple[str, str], PaymentEvent] = msgspec.field(default_factory=dict)
    waiting: set[tuple[str, str]] = msgspec.field(default_factory=set)
    parked: bool = False
    loaded: OrderState | None = None  # as it was read since the last write; nothing changes a state
    derived: tuple[OrderFacts, Summary] | None = None  # facts, and what they come to, which nothing changes either

    def load(self) -> OrderState:
        """The order as it is locked and read."""
        assert self.order is not None
        if self.loaded is None:
            cases = dict(self.cases)
            self.loaded = msgspec.structs.replace(self.order, cases=cases, has_parked=self.parked)
        return self.loaded

    def summary(self, order: OrderState) -> Summary:
        """What its facts come to, reckoned once from these facts alone."""
        if self.derived is None or self.derived[0] is not order.facts:
            self.derived = order.facts, summarize(order.order, order.facts)
        return self.derived[1]

    def write(self, changes: Changes) -> None:
        """Writes the changes whole, as tillkeeper/store does."""
        self.loaded = None
        after = changes.after
        for step in changes.steps:
            known = self.steps.get((step.phase, step.step.action, step.step.at))
            assert known is None or known.retry_at is not None, f"{step.step.action} was taken twice in a phase"
            self.steps[step.phase, step.step.action, step.step.at] = step
        for step in changes.results:
            if (key := (step.phase, step.step.action, step.step.at)) in self.steps:
                self.steps[key] = step
        self.notices |= {notice.key: notice for notice in changes.notices if notice.key not in self.notices}
        self.acts += changes.acts
        self._write_cases(changes)
        stored = after.summary if changes.has_new_facts else after.stored
        self.order = msgspec.structs.replace(after, stored=stored, progress=self._progress(changes))

    def _progress(self, changes: Changes) -> Progress:
        """Its steps of the present phase, read anew where they may be others than those that were loaded."""
        before, phase = changes.before, changes.after.phase
        if not (changes.steps or changes.results) and phase == before.phase:
            return before.progress
        taken = sorted((step for step in self.steps.values() if step.phase == phase), key=lambda each: each.step.at)
        return reduce(Progress.with_taken, taken, Progress())

    def _write_cases(self, changes: Changes) -> None:
        cases, order_id = changes.cases, changes.after.id
        for key, reason in cases.opened.items():
            assert key not in self.cases or not self.cases[key].is_open, "an open case is opened"
            self.cases[key] = KnownCase(
                kind=key[0],
                subject=key[1],
                order_id=order_id,
                state=reason.state,
                captured=reason.sum("captured"),
                refunded=reason.sum("refunded"),
            )
        for noted in cases.noted:
            reason = noted.reason
            self._change(
                reason.key, state=reason.state, captured=reason.sum("captured"), refunded=reason.sum("refunded")
            )
        for key in cases.gone:
            self._change(key, state="")
        for key in cases.closed:
            self._change(key, closed_by=SYSTEM)
        for key, level in cases.escalated.items():
            self._change(key, level=level)

    def _change(self, key: CaseKey, **fields: Any) -> None:
        self.cases[key] = msgspec.structs.replace(self.cases[key], **fields)


class Life:
    """One order's life, made up from a seed."""

    def __init__(self, seed: int, policy: Policy = POLICY) -> None:
        self.seed = seed
        self.policy = policy
        self.chance = random.Random(seed)
        self.history: History = history_of(seed, names_change=False)
        self.kept = Kept()
        self.now = NOON
        self.agenda: list[tuple[datetime, int, Callable[[], None]]] = []
        self.gateways = self.chance.choice(
            ("answer",) * 4 + ("fail at times",) * 3 + ("cannot be asked", "are refused")
        )
        self.done = Counter[str]()

    # --- its course ---------------------------------------------------------------------------------------------------

    def live(self) -> None:
        """Lets everything happen, in the order of its moments."""
        end = NOON + timedelta(hours=HOURS)
        for event in self.history.heard:
            late = self.chance.choice((0, 0, 1, 20, 60, 1800, 20_000))
            self._plan(event.known_at + late * SECOND, lambda each=event: self.tell([each]))
        self._plan(NOON + self.chance.choice((0, 0, 0, 30, 900)) * SECOND, self.register)
        for _ in range(self.chance.choice((0, 0, 1, 2, 4))):
            self._plan(NOON + self.chance.randrange(HOURS * 60) * MINUTE, self.act)
        while (moment := self._next_moment()) is not None and moment <= end:
            self.now = max(self.now, moment)
            if self.agenda and self.agenda[0][0] <= self.now:
                heappop(self.agenda)[2]()
            else:
                self.sweep()

    def _plan(self, at: datetime, what: Callable[[], None]) -> None:
        heappush(self.agenda, (at, len(self.agenda) + self.chance.getrandbits(30), what))

    def _next_moment(self) -> datetime | None:
        order = self.kept.order
        coming = [self.agenda[0][0]] if self.agenda else []
        coming += [order.due_at] if order is not None and order.due_at is not None else []
        return min(coming, default=None)

    def _decide(self, decide: Callable[[OrderState], Changes]) -> Changes:
        """Loads, decides and writes; whoever does it may die before the write, and another begins anew."""
        while self.chance.random() < 0.15:
            decide(self.kept.load())
            self.done["deaths"] += 1
        changes = decide(self.kept.load())
        must_hold(changes)
        self.kept.write(changes)
        self._stands_well()
        return changes

    # --- what happens to it -------------------------------------------------------------------------------------------

    def register(self) -> None:
        """The merchant registers it, and takes up what waits."""
        expires = self.chance.choice((None, None, 30, 120))
        plan = self.chance.choice(((), (), (), ((40, 60), (60, 180))))
        registration = Registration(
            order_ref=ORDER.order_ref,
            amount=ORDER.amount,
            currency=ORDER.currency,
            accounts=tuple(sorted(ORDER.accounts)),
            expires_at=NOON + expires * MINUTE if expires else None,
            instalments=tuple(Instalment(amount=part, due_at=NOON + at * MINUTE) for part, at in plan),
        )
        self.kept.order = OrderState(
            id=1,
            order=ORDER,
            version=1,
            stored=NEWLY,
            facts=OrderFacts(),
            expires_at=registration.expires_at,
            instalments=registration.instalments,
            phase_since=self.now,
            due_at=first_look(registration, policy=self.policy, now=self.now),
            has_mail=True,
        )
        self.tell([], appearing={("order", ORDER.order_ref)})

    def tell(self, events: list[PaymentEvent], *, appearing: set[Reference] | None = None) -> None:
        """Events come, from whatever brings them."""
        while self.chance.random() < 0.15:
            self._told(events, set(appearing or ()), write=False)
        for _ in range(self.chance.choice((1, 1, 1, 2))):  # whoever dies before acknowledging has them come again
            self._told(events, set(appearing or ()), write=True)

    def _told(self, events: list[PaymentEvent], appearing: set[Reference], *, write: bool) -> None:
        items = [Item(event=event, delivery=_delivery(event)) for event in events]
        waited = self._meet(items, appearing)
        give_ids_of_their_own(items, self._known(items))
        batch = sort_out(items, waited, self._known(items))
        arrivals = batch.by_order()
        if not write:
            if 1 in arrivals:
                receive(self.kept.load(), arrivals[1], policy=self.policy, now=self.now)
            return
        if 1 in arrivals:
            self._decide(lambda order: receive(order, arrivals[1], policy=self.policy, now=self.now))
        for item in (*batch.new, *batch.waited):
            self.kept.events[item.key] = item.event
            self.kept.waiting -= {item.key}
            self.kept.waiting |= {item.key} if item.outcome is Outcome.WAITING else set()
            self.done[str(item.outcome)] += 1
        for item in batch.repeated:
            self.kept.events[item.key] = item.event

    def _known(self, items: list[Item]) -> dict[int, KnownEvent]:
        return {
            position: KnownEvent(
                digest=digest_of(row), waits=item.key in self.kept.waiting, parked_id=None, known_at=row.known_at
            )
            for position, item in enumerate(items)
            if (row := self.kept.events.get(item.key)) is not None
        }

    def _meet(self, items: list[Item], appearing: set[Reference]) -> list[Item]:
        """As a batch finds its orders, and whoever waited for what appears with it."""
        bindings = self._bindings()
        alone = find_orders(items, bindings)
        appearing |= bindings.new_objects
        waited: dict[tuple[str, str], Item] = {}
        seen: set[Reference] = set()
        while new := appearing - seen:
            found = [self.kept.events[key] for key in sorted(self.kept.waiting)]
            taken = [Item(event=row, waited=True) for row in found if not new.isdisjoint(references_of(row))]
            waited |= {item.key: item for item in taken}
            alone = find_orders([*alone, *taken], bindings)
            seen |= new
            appearing |= bindings.new_objects
        return list(waited.values())

    def _bindings(self) -> Bindings:
        if self.kept.order is None:
            return Bindings()
        facts = self.kept.order.facts
        named = (("payment", facts.payments), ("refund", facts.refunds), ("dispute", facts.disputes))
        known: dict[Reference, int] = {(name, *key): 1 for name, objects in named for key in objects}
        return Bindings(known={("order", ORDER.order_ref): 1, **known})

    # --- its sweepers -------------------------------------------------------------------------------------------------

    def sweep(self) -> None:
        """Its moment came: a sweeper takes its steps, and may die after each."""
        changes = self._decide(lambda order: advance(order, policy=self.policy, lease=LEASE, now=self.now))
        self.done["sweeps"] += 1
        if changes.query is None or self.chance.random() < 0.1:
            return
        told, outcome = self.ask(changes.query)
        if self.chance.random() < 0.1:
            return
        self.tell(told)
        if self.chance.random() < 0.1:
            return
        for _ in range(self.chance.choice((1, 1, 2))):
            self._settle(outcome)

    def _settle(self, outcome: QueryOutcome) -> None:
        changes = self._decide(lambda order: settle(order, outcome, policy=self.policy, now=self.now))
        if changes.has_closed:
            assert outcome.answered, "it was closed without an answer"
            assert not changes.before.money_is_unclear, "it was closed in doubt"
            assert changes.before.summary.status in (Status.UNPAID, Status.FAILED), "it was closed with money in it"

    def ask(self, due: DueQuery) -> tuple[list[PaymentEvent], QueryOutcome]:
        """What the gateways say, and what came of asking."""
        if self.gateways == "cannot be asked":
            accounts = due.order.order.accounts
            return [], QueryOutcome(query=due, result=CANNOT_ASK, answered=False, unaskable=accounts)
        if self.gateways == "fail at times" and self.chance.random() < 0.5:
            return [], QueryOutcome(query=due, result="no answer: busy", answered=False)
        if self.gateways == "are refused" and self.chance.random() < 0.3:
            return [], QueryOutcome(
                query=due, result="cannot be applied", answered=False, unapplied=("payment.failed",)
            )
        first = queries_for(due.order, abilities={}, now=self.now)
        told = [event for account, query in first for event in self._answer(account, query)]
        then = queries_then(due.order, told, missed=(), abilities={}, now=self.now)
        told += [event for each in then if each not in first for event in self._answer(*each)]
        return told, QueryOutcome(query=due, result="answered", answered=True)

    def _answer(self, account: str, query: Query) -> Iterator[PaymentEvent]:
        second = min(END, int((self.now - NOON) / SECOND))
        for event in answer_at(self.history.happened, second, int((self.now - NOON) / SECOND)):
            named = query.refund_ref if query.about == "refund" else query.payment_ref
            ref = event.refund_ref if query.about == "refund" else event.payment_ref
            if event.account == account and named in (None, ref):
                yield event

    # --- its people ---------------------------------------------------------------------------------------------------

    def act(self) -> None:
        """A person does something to it."""
        what = self.chance.choice(("hold", "release", "ask", "close", "force", "resolve", "park", "replay", "mend"))
        if self.kept.order is None:
            return
        told: dict[str, Any] = {"by": "mei", "note": "", "now": self.now}
        deeds: dict[str, Callable[[OrderState], Changes]] = {
            "hold": lambda order: acts.hold(order, until=self.now + self.chance.choice((10, 90)) * MINUTE, **told),
            "release": lambda order: acts.release(order, **told),
            "ask": lambda order: acts.ask(order, **told),
            "close": lambda order: acts.close(order, nearby=(), force=False, **told),
            "force": lambda order: acts.close(order, nearby=(), force=True, **told),
        }
        if what in deeds:
            try:
                self._decide(deeds[what])
            except acts.ActRefused:
                self.done["refused"] += 1
        elif what in ("park", "replay"):
            self.kept.parked = what == "park"
            self._look_at_once()
        elif what == "mend":
            self.gateways = "answer"
        else:
            self._resolve()

    def _resolve(self) -> None:
        for key, case in self.kept.cases.items():
            if case.is_open and self.chance.random() < 0.7:
                self.kept.cases[key] = msgspec.structs.replace(case, closed_by="mei")
        self._look_at_once()

    def _look_at_once(self) -> None:
        """What was not told or closed because of it may be now."""
        self.kept.loaded, order = None, self.kept.order
        if order is not None and order.closed_at is None:
            at = max(self.now, order.held_until or self.now)
            self.kept.order = msgspec.structs.replace(order, due_at=min(order.due_at or at, at))

    # --- what must be -------------------------------------------------------------------------------------------------

    def _stands_well(self) -> None:
        order = self.kept.load()
        assert order.stored == self.kept.summary(order), "its status is not derived from its facts"
        assert not stale_cases(order), f"cases that outlive their cause: {stale_cases(order)}"
        if order.closed_at is None and order.traits.moving:
            is_minded = order.due_at is not None or order.open_case_kinds
            assert is_minded, "money is on its way, and nobody will look"
        if order.ask_at is not None:
            assert order.due_at is not None, "somebody wants it asked, and nobody will"

    def check_end(self) -> None:
        """What holds once it is all over."""
        kept = self.kept
        assert not {key for key in kept.waiting if kept.events[key].order_ref == ORDER.order_ref}, (
            "events wait for ever"
        )
        told = [event for key, event in kept.events.items() if key not in kept.waiting]
        known = reduce(apply, told, OrderFacts())
        order = kept.load()
        assert brief(known, ORDER) == brief(order.facts, ORDER), "another order of the same events ends otherwise"
        self.now += timedelta(days=1)
        self.tell(list(self.history.in_the_end))
        order, truth = kept.load(), truth_of(self.history.happened)
        assert order.stored == truth, f"{order.stored} instead of {truth}"


def _delivery(event: PaymentEvent) -> Any:
    return ("run", 1) if event.evidence is Evidence.WEBHOOK else None


def must_hold(changes: Changes) -> None:
    """What no change ever does."""
    before, after = changes.before, changes.after
    for notice in changes.notices:
        asks = notice.audience is Audience.PAYER and notice.topic in ASKS_TO_PAY
        assert not (asks and before.money_is_unclear), "somebody is asked to pay while the money is unclear"
        assert not (asks and before.closed_at is not None), "somebody is asked to pay for a closed order"
        if asks and notice.topic != Topic.FAILED:
            assert not after.is_under_way, "somebody is asked to pay what is under way"
    if changes.has_moved:
        assert after.phase > before.phase, "its money moved, and no phase began"
    if changes.has_new_facts:
        assert after.version == before.version + 1, "it changed, and its version did not"
    if after.due_at is not None and after.held_until is not None and changes.steps:
        assert after.held_until <= changes.steps[0].taken_at, "a held order took a step"


def check(seed: int) -> Counter[str]:
    """Lives the life of a seed.  Raises AssertionError where something is as it must not be."""
    life = Life(seed)
    try:
        life.live()
        life.check_end()
    except AssertionError as error:
        error.add_note(f"life {seed}: python -m tests.pure.domain.lives --seed {seed} --count 1")
        raise
    return life.done


def _check_all(seeds: range) -> Counter[str]:
    gc.disable()  # what a life makes dies by reference count
    return sum((check(seed) for seed in seeds), Counter[str]())


def main() -> None:
    """Runs so many, on two cores, and says how many there were."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1, help="of the first; the others follow")
    parser.add_argument("--processes", type=int, default=2)
    asked = parser.parse_args()
    parts = [range(asked.seed + at, asked.seed + asked.count, asked.processes) for at in range(asked.processes)]
    with ProcessPoolExecutor(asked.processes) as pool:
        done = sum(pool.map(_check_all, parts), Counter[str]()) if asked.count > 1 else _check_all(parts[0])
    told = ", ".join(f"{count} {what}" for what, count in sorted(done.items()))
    sys.stdout.write(f"{asked.count} lives ({told}): all end well\n")


if __name__ == "__main__":
    main()
