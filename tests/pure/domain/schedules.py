"""Schedules: what happens to an order, step after step, as data that can be lived, printed, shortened and pasted.

    (second, what, …)   what: register, tell, sweep, answer, settle, a person's act, crash, end
    ends_well(17, [(0, "register", 30, ()), (40, "tell", 2), (180, "sweep"), (181, "answer", 0, "answered")])

The number is that of a history (histories.py), which says what truly happens and which webhooks there are; `tell` names
them by their places in what is heard of it.  Each step is one transaction: the order is loaded, a decision of
tillkeeper/domain is taken, and its changes are written (kept.py), or, in a `crash`, thrown away.
"""

import copy
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import reduce
from typing import Any, Final

import msgspec

from tests.pure.domain.histories import END, NOON, ORDER, History, answer_at, brief, history_of, truth_of
from tests.pure.domain.kept import Kept, must_close_rightly
from tillkeeper.domain.batch import BatchItem, EventKey, find_orders, give_ids_of_their_own, sort_out
from tillkeeper.domain.events import Evidence, Kind, PaymentEvent
from tillkeeper.domain.order import acts
from tillkeeper.domain.order.advancing import advance
from tillkeeper.domain.order.answers import QueryOutcome, settle
from tillkeeper.domain.order.changes import Changes, DueQuery
from tillkeeper.domain.order.facts import OrderFacts, apply
from tillkeeper.domain.order.progress import CANNOT_ASK
from tillkeeper.domain.order.queries import queries_for, queries_then
from tillkeeper.domain.order.receiving import receive
from tillkeeper.domain.order.registration import Instalment, Registration, first_look
from tillkeeper.domain.order.state import OrderState
from tillkeeper.domain.order.status import Summary
from tillkeeper.domain.policy import Policy
from tillkeeper.domain.query import Query
from tillkeeper.domain.references import Bindings, Reference, references_of
from tillkeeper.domain.statuses import Status
from tillkeeper.policy import load_policy

POLICY: Final = load_policy()
LEASE: Final = timedelta(minutes=1)
NEWLY: Final = Summary(status=Status.UNPAID, captured=0, refunding=0, refunded=0)
SECOND: Final = timedelta(seconds=1)
MINUTE: Final = timedelta(minutes=1)
ALIKE: Final = "the same events end otherwise in another order"
AFTER_ALL: Final = 86_400  # seconds from the last step until the gateways are believed for good
FLIGHTS_MAX: Final = 2  # sweepers whose queries are under way: the one of the last lease, and the one before

Step = tuple[Any, ...]  # (second, what, …)
Past = tuple[Any, ...]  # (all that was before the last step, the last step); nothing at first


def second_of(at: datetime) -> int:
    """The second of a life."""
    return int((at - NOON) / SECOND)


class Flight(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A query that a sweeper has under way, and what came of it."""

    query: DueQuery
    outcome: QueryOutcome | None = None


class Life:
    """One order's life so far."""

    def __init__(self, history: History, policy: Policy = POLICY) -> None:
        self.history = history
        self.policy = policy
        self.kept = Kept()
        self.now = NOON
        self.flights: tuple[Flight, ...] = ()  # the latest first
        self.past: Past = ()
        self.length = 0
        # Of all lives that began with this one:
        self.done = Counter[str]()
        self.ends: dict[frozenset[EventKey], tuple[Any, Past]] = {}  # by the events that were known then

    def branch(self) -> "Life":
        """Another life with the same past, which is lived once for both."""
        other = copy.copy(self)
        other.kept = self.kept.copied()
        return other

    @property
    def schedule(self) -> list[Step]:
        """All steps so far."""
        return _in_turn(self.past)

    def do(self, step: Step) -> None:
        """Lets the next step happen.  Where something is wrong, the error tells the schedule, as short as may be."""
        try:
            self.step(step)
        except Exception as error:
            short = shortened(self.history.seed, self.schedule, error, self.policy)
            error.add_note(shown(self.history, short))
            raise

    def step(self, step: Step) -> None:
        """Lets the next step happen."""
        self.past = self.past, step
        self.length += 1
        second, what, *more = step
        self.now = max(self.now, NOON + second * SECOND)
        self.done["steps"] += 1
        DEEDS[what](self, *more)

    def _decide(self, decide: Callable[[OrderState], Changes]) -> Changes:
        changes = decide(self.kept.load())
        self.kept.write(changes)
        return changes

    def crash(self, what: str, *more: Any) -> None:
        """Whoever decided it dies before the write: all that was decided is lost."""
        dead = self.branch()
        dead.done = Counter()
        DEEDS[what](dead, *more)

    # --- webhooks and the merchant ------------------------------------------------------------------------------------

    def register(self, expires_min: int | None, plan: Sequence[tuple[int, int]]) -> None:
        """The merchant registers it, once, and takes up what waits; `plan` is (amount, minute) of each instalment."""
        if self.kept.order is not None:
            return
        registration = Registration(
            order_ref=ORDER.order_ref,
            amount=ORDER.amount,
            currency=ORDER.currency,
            accounts=tuple(sorted(ORDER.accounts)),
            expires_at=None if expires_min is None else NOON + expires_min * MINUTE,
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
            has_parked=self.kept.parked,
        )
        self._tell((), {("order", ORDER.order_ref)})

    def tell(self, *places: int) -> None:
        """Some of what is heard arrives, in one batch."""
        self._tell([self.history.heard[place] for place in places], set())

    def _tell(self, events: Iterable[PaymentEvent], appearing: set[Reference]) -> None:
        kept = self.kept
        items = [BatchItem(event=event, delivery=_delivery(event)) for event in events]
        waited = self._meet(items, appearing)
        known = kept.known(items)
        give_ids_of_their_own(items, known)
        batch = sort_out(items, waited, known)
        if arrivals := batch.by_order().get(1):
            self._decide(lambda order: receive(order, arrivals, policy=self.policy, now=self.now))
        settled = (*batch.new, *batch.waited)
        kept.write_events(settled, batch.repeated)
        self.done.update(str(item.outcome) for item in settled)

    def _meet(self, items: list[BatchItem], appearing: set[Reference]) -> list[BatchItem]:
        """As a batch finds its orders, and whoever waited for what appears with it."""
        kept = self.kept
        bindings = Bindings(known=dict(kept.bindings()))
        alone = find_orders(items, bindings)
        appearing |= bindings.new_objects
        waited: dict[tuple[str, str], BatchItem] = {}
        seen: set[Reference] = set()
        while kept.waiting and (new := appearing - seen):
            found = [kept.events[key].event for key in sorted(kept.waiting)]
            taken = [BatchItem(event=row, waited=True) for row in found if not new.isdisjoint(references_of(row))]
            waited |= {item.key: item for item in taken}
            alone = find_orders([*alone, *taken], bindings)
            seen |= new
            appearing |= bindings.new_objects
        return list(waited.values())

    # --- its sweepers -------------------------------------------------------------------------------------------------

    def sweep(self) -> None:
        """A sweeper takes its steps, where it is due."""
        if self.kept.order is None or not self.kept.order.is_due(self.now):
            return
        changes = self._decide(lambda order: advance(order, policy=self.policy, lease=LEASE, now=self.now))
        if changes.query is not None:
            self.flights = (Flight(query=changes.query), *self.flights)[:FLIGHTS_MAX]

    def answer(self, place: int, what: str) -> None:
        """The gateways answer a query that is under way, or do not."""
        if place >= len(self.flights):
            return
        flight = self.flights[place]
        told, outcome = ANSWERS[what](self, flight.query)
        flight = msgspec.structs.replace(flight, outcome=outcome)
        self.flights = (*self.flights[:place], flight, *self.flights[place + 1 :])
        if told:
            self._tell(told, set())

    def settle(self, place: int) -> None:
        """The sweeper settles its step by what came of the query."""
        outcome = self.flights[place].outcome if place < len(self.flights) else None
        if outcome is None:
            return None
        changes = self._decide(lambda order: settle(order, outcome, policy=self.policy, now=self.now))
        if changes.has_closed:
            return must_close_rightly(changes, answered=outcome.answered)
        before, after = changes.before.ask_at, changes.after.ask_at
        if before is not None and before != outcome.query.leased_until:
            assert after == before, "a request was taken for answered by a query that left before it"
        return None

    def _answered(self, due: DueQuery) -> tuple[list[PaymentEvent], QueryOutcome]:
        first = queries_for(due.order, abilities={}, now=self.now)
        told = [event for each in first for event in self._said(*each)]
        then = queries_then(due.order, told, missed=(), abilities={}, now=self.now)
        told += [event for each in then if each not in first for event in self._said(*each)]
        return told, QueryOutcome(query=due, result="answered", answered=True)

    def _said(self, account: str, query: Query) -> Iterator[PaymentEvent]:
        second = second_of(self.now)
        for event in answer_at(self.history.happened, min(END, second), second):
            named = query.refund_ref if query.about == "refund" else query.payment_ref
            ref = event.refund_ref if query.about == "refund" else event.payment_ref
            if event.account == account and named in (None, ref):
                yield event

    # --- its people ---------------------------------------------------------------------------------------------------

    def act(self, decide: Callable[..., Changes], **more: Any) -> None:
        """A person does something to it, where it allows that."""
        if self.kept.order is None:
            return
        try:
            self._decide(lambda order: decide(order, by="mei", note="", now=self.now, **more))
        except acts.ActRefused:
            self.done["refused"] += 1

    def park(self, *, is_parked: bool) -> None:
        """An event of it is parked, or replayed."""
        self.kept.parked = is_parked
        if self.kept.order is not None:
            self.kept.change(has_parked=is_parked)
            self._look_at_once()

    def resolve(self, *kinds: str) -> None:
        """A person resolves its cases of these kinds."""
        if self.kept.order is None:
            return
        self.kept.cases = {
            key: msgspec.structs.replace(case, closed_by="mei") if case.is_open and case.kind in kinds else case
            for key, case in self.kept.cases.items()
        }
        self.kept.change(cases=self.kept.cases)
        self._look_at_once()

    def _look_at_once(self) -> None:
        """What was not told or closed because of it may be now."""
        order = self.kept.load()
        if order.closed_at is None:
            at = max(self.now, order.held_until or self.now)
            self.kept.change(due_at=min(order.due_at or at, at))

    # --- its end ------------------------------------------------------------------------------------------------------

    def end(self, *places: int) -> None:
        """What is still out arrives with the gateways' last word: then it must be as they know it."""
        if self.kept.order is None:
            self.register(None, ())
        self._must_wait_rightly()
        self._tell([*(self.history.heard[place] for place in places), *self.history.in_the_end], set())
        self._must_wait_rightly()
        order, truth = self.kept.load(), truth_of(self.history.happened)
        assert order.stored == truth, f"it is not as its gateways know it: {order.stored} instead of {truth}"
        self.done["schedules"] += 1
        self.done["steps of schedules"] += self.length
        self._must_end_alike()

    def _must_end_alike(self) -> None:
        """The same events must come to the same, in whatever order, and whatever happened between."""
        kept, order = self.kept, self.kept.load()
        reasons = sorted((reason.kind, reason.subject, reason.state or "") for reason in order.case_reasons())
        end = order.facts, order.stored, reasons, kept.waiting
        known, first = self.ends.setdefault(frozenset(kept.events), (end, self.past))
        if first is self.past:
            self.done["ends"] += 1
            _must_be_as_sorted(kept)
        assert known == end, f"{ALIKE}: so did\n{shown(self.history, _in_turn(first))}"

    def _must_wait_rightly(self) -> None:
        for key in self.kept.waiting:
            assert self.kept.events[key].event.order_ref != ORDER.order_ref, "events wait for ever"


def _delivery(event: PaymentEvent) -> Any:
    return ("run", 1) if event.evidence is Evidence.WEBHOOK else None


_RESULTS: Final[Mapping[str, dict[str, Any]]] = {
    "silent": {"result": "no answer: busy"},
    "cannot be asked": {"result": CANNOT_ASK, "unaskable": ORDER.accounts},
    "refused": {"result": "cannot be applied", "unapplied": ("payment.failed",)},
}
NO_ANSWER: Final = tuple(_RESULTS)
ANSWERS: Final[Mapping[str, Callable[[Life, DueQuery], tuple[list[PaymentEvent], QueryOutcome]]]] = {
    "answered": Life._answered,
    **{
        what: lambda _, due, fields=fields: ([], QueryOutcome(query=due, answered=False, **fields))
        for what, fields in _RESULTS.items()
    },
}
ACTS: Final[Mapping[str, Callable[..., None]]] = {
    "hold": lambda life, minutes: life.act(acts.hold, until=life.now + minutes * MINUTE),
    "release": lambda life: life.act(acts.release),
    "ask": lambda life: life.act(acts.ask),
    "close": lambda life: life.act(acts.close, nearby=(), force=False),
    "force": lambda life: life.act(acts.close, nearby=(), force=True),
    "park": lambda life: life.park(is_parked=True),
    "replay": lambda life: life.park(is_parked=False),
    "resolve": Life.resolve,
}
DEEDS: Final[Mapping[str, Callable[..., None]]] = {
    "register": Life.register,
    "tell": Life.tell,
    "sweep": Life.sweep,
    "answer": Life.answer,
    "settle": Life.settle,
    "crash": Life.crash,
    "end": Life.end,
    **ACTS,
}


# --- schedules as lists -----------------------------------------------------------------------------------------------


def history_of_life(seed: int) -> History:
    """The history of a seed, in which a gateway may also tell of a decline after the success that absorbs it."""
    history, chance = history_of(seed, names_change=False), random.Random(f"declines {seed}")
    declines = [
        happening.event(
            f"decline-{number}", kind=Kind.PAYMENT_FAILED, occurred_at=NOON + (happening.second + late) * SECOND
        )
        for number, happening in enumerate(history.happened)
        if happening.kind is Kind.PAYMENT_SUCCEEDED and (late := chance.choice((None, None, 0, 1, 5))) is not None
    ]
    return msgspec.structs.replace(history, heard=(*history.heard, *declines))


def ends_well(seed: int, schedule: Sequence[Step], policy: Policy = POLICY) -> Life:
    """Lives a schedule to its end.  Raises AssertionError where something is as it must not be."""
    life = Life(history_of_life(seed), policy)
    for step in schedule:
        life.step(step)
    if not schedule or schedule[-1][1] != "end":
        life.step((second_of(life.now) + AFTER_ALL, "end"))
    return life


def _in_turn(past: Past) -> list[Step]:
    steps: list[Step] = []
    while past:
        past, step = past
        steps.append(step)
    return steps[::-1]


def _must_be_as_sorted(kept: Kept) -> None:
    """The events one by one in another order, without anything that happened between."""
    told = (kept.events[key].event for key in sorted(kept.events.keys() - kept.waiting))
    known, order = reduce(apply, told, OrderFacts()), kept.load()
    assert brief(known, ORDER) == brief(order.facts, ORDER), ALIKE


def shortened(seed: int, schedule: list[Step], error: Exception, policy: Policy = POLICY) -> list[Step]:
    """The schedule without the steps that its failure does not need, as far as dropping one after the other shows."""
    place, told = 0, _what_of(error)
    while place < len(schedule):
        fewer = schedule[:place] + schedule[place + 1 :]
        try:
            ends_well(seed, fewer, policy)
        except type(error) as other:
            if _what_of(other) == told:
                schedule = fewer
                continue
        place += 1
    return schedule


def _what_of(error: Exception) -> str:
    """What is wrong, without the values in which it shows."""
    return str(error).partition("\n")[0].partition(":")[0]


def shown(history: History, schedule: Iterable[Step]) -> str:
    """The schedule as a call for a test, with what each webhook says beside it."""
    lines = [f"    {step!r},{_said_by(history, step)}" for step in schedule]
    return "\n".join([f"ends_well({history.seed}, [", *lines, "])"])


def _said_by(history: History, step: Step) -> str:
    what = step[2:] if step[1] == "crash" else step[1:]
    if what[0] not in ("tell", "end"):
        return ""
    said = (history.heard[place] for place in what[1:])
    told = ", ".join(f"{each.kind} of {each.occurred_at:%H:%M:%S}" for each in said)
    return told and f"  # {told}"
