"""What a database would keep of one order, and what must hold at each write.

Every value in it is replaced and none is changed, so a copy costs nothing and shares everything: schedules that have
their beginning in common go on from copies of the same state.
"""

import copy
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import reduce
from types import MappingProxyType
from typing import Any, Final

import msgspec

from tillkeeper.domain.batch import BatchItem, EventKey, KnownEvent
from tillkeeper.domain.events import PaymentEvent
from tillkeeper.domain.ladder import Action
from tillkeeper.domain.order.cases import SYSTEM, CaseKey, KnownCase
from tillkeeper.domain.order.changes import Changes
from tillkeeper.domain.order.facts import ObjectStatus, OrderFacts
from tillkeeper.domain.order.notices import Audience, Notice
from tillkeeper.domain.order.progress import CANNOT_ASK, Progress, StepTaken
from tillkeeper.domain.order.receiving import Outcome
from tillkeeper.domain.order.stale_cases import stale_cases
from tillkeeper.domain.order.state import OrderState
from tillkeeper.domain.order.status import Summary, summarize
from tillkeeper.domain.references import Reference
from tillkeeper.domain.statuses import Status
from tillkeeper.domain.topics import Topic

ASKS_TO_PAY: Final = {Topic.FAILED, Topic.REMINDER, Topic.INSTALMENT_DUE}
NOTHING: Final = MappingProxyType[Any, Any]({})

StepKey = tuple[int, Action, datetime]  # (phase, action, at)


class Row(msgspec.Struct, frozen=True, gc=False):
    """A known event, and the fingerprint of what it means."""

    event: PaymentEvent
    digest: bytes


class Kept(msgspec.Struct, kw_only=True, gc=False):
    """One order, and the events that wait for it."""

    order: OrderState | None = None
    steps: Mapping[StepKey, StepTaken] = NOTHING
    cases: Mapping[CaseKey, KnownCase] = NOTHING
    notices: Mapping[str, Notice] = NOTHING
    events: Mapping[EventKey, Row] = NOTHING
    waiting: frozenset[EventKey] = frozenset()
    parked: bool = False
    derived: tuple[OrderFacts, Summary] | None = None  # facts, and what they come to, which nothing changes
    bound: tuple[OrderFacts, Mapping[Reference, int]] | None = None  # facts, and the references that they bind

    def copied(self) -> "Kept":
        """Returns another that goes its own way from here."""
        return copy.copy(self)

    def load(self) -> OrderState:
        """The order as it is locked and read."""
        assert self.order is not None
        return self.order

    def summary(self) -> Summary:
        """What its facts come to, reckoned once from these facts alone."""
        order = self.load()
        if self.derived is None or self.derived[0] is not order.facts:
            self.derived = order.facts, summarize(order.order, order.facts)
        return self.derived[1]

    def bindings(self) -> Mapping[Reference, int]:
        """The references that lead to the order."""
        if self.order is None:
            return NOTHING
        facts = self.order.facts
        if self.bound is None or self.bound[0] is not facts:
            named = (("payment", facts.payments), ("refund", facts.refunds), ("dispute", facts.disputes))
            known: dict[Reference, int] = {(name, *key): 1 for name, objects in named for key in objects}
            self.bound = facts, {("order", self.order.order.order_ref): 1, **known}
        return self.bound[1]

    def known(self, items: Iterable[BatchItem]) -> dict[int, KnownEvent]:
        """What is stored under the ids of a batch, by place."""
        return {
            place: KnownEvent(
                digest=row.digest, waits=item.key in self.waiting, parked_id=None, known_at=row.event.known_at
            )
            for place, item in enumerate(items)
            if (row := self.events.get(item.key)) is not None
        }

    # --- its writes ---------------------------------------------------------------------------------------------------

    def write(self, changes: Changes) -> None:
        """Writes the changes whole, as tillkeeper/store does."""
        must_hold(changes)
        after = changes.after
        if changes.steps or changes.results:
            self._write_steps(changes)
        if changes.notices:
            self._write_notices(changes)
        cases = self._with_cases(changes) if changes.decided_cases is not None else self.cases
        stored = after.summary if changes.has_new_facts else after.stored
        progress = self._progress(changes)
        self.cases = cases
        self.order = msgspec.structs.replace(after, stored=stored, progress=progress, cases=cases)
        self._stands_well()

    def write_events(self, settled: Iterable[BatchItem], repeated: Iterable[BatchItem]) -> None:
        """Writes the events of a batch, with those that wait for an order, and answers that hold for longer."""
        rows, waiting = dict(self.events), set(self.waiting)
        for item in settled:
            assert item.key not in rows or item.key in waiting, "an event had two outcomes"
            rows[item.key] = Row(item.event, item.digest)
            waiting.discard(item.key)
            if item.outcome is Outcome.WAITING:
                waiting.add(item.key)
        for item in repeated:
            rows[item.key] = Row(item.event, item.digest)
        self.events, self.waiting = rows, frozenset(waiting)

    def change(self, **fields: Any) -> None:
        """Writes columns of the order that no decision is about."""
        self.order = msgspec.structs.replace(self.load(), **fields)

    def _write_steps(self, changes: Changes) -> None:
        written = dict(self.steps)
        for step in changes.steps:
            key = step.phase, step.step.action, step.step.at
            known = written.get(key)
            is_again = known is not None and known.retry_at is not None and step.tries > known.tries
            assert known is None or is_again, f"{step.step.action} was taken twice in a phase"
            written[key] = step
        for step in changes.results:
            if (key := (step.phase, step.step.action, step.step.at)) in written:
                written[key] = step
        self.steps = written

    def _write_notices(self, changes: Changes) -> None:
        asking = {notice.key for notice in changes.notices if asks_to_pay(notice)}
        assert asking.isdisjoint(self.notices), "somebody is asked to pay twice by one step"
        if asking:
            assert self._was_asked(changes), "somebody is asked to pay, and no gateway was asked before"
        self.notices = {**{notice.key: notice for notice in changes.notices}, **self.notices}

    def _was_asked(self, changes: Changes) -> bool:
        """Whether a gateway answered at the step's moment or later, or, for what it said itself, cannot be asked."""
        asking = next(step for step in changes.steps if step.step.action in (Action.GRACE, Action.REMIND))
        is_its_word = asking.step.action is Action.GRACE
        return any(
            step.is_question
            and step.phase == asking.phase
            and step.taken_at >= asking.step.at
            and (step.result == "answered" or (is_its_word and step.result == CANNOT_ASK))
            for step in self.steps.values()
        )

    def _progress(self, changes: Changes) -> Progress:
        """Its steps of the present phase, read anew where they may be others than those that were loaded."""
        before, phase = changes.before, changes.after.phase
        if not (changes.steps or changes.results) and phase == before.phase:
            return before.progress
        taken = sorted((step for step in self.steps.values() if step.phase == phase), key=lambda each: each.step.at)
        return reduce(Progress.with_taken, taken, Progress())

    def _with_cases(self, changes: Changes) -> Mapping[CaseKey, KnownCase]:
        decided, cases = changes.cases, dict(self.cases)
        for key, reason in decided.opened.items():
            assert key not in cases or not cases[key].is_open, "an open case is opened"
            cases[key] = KnownCase(
                kind=key[0],
                subject=key[1],
                order_id=changes.after.id,
                state=reason.state,
                captured=reason.sum("captured"),
                refunded=reason.sum("refunded"),
            )
        changed: list[tuple[CaseKey, dict[str, Any]]] = [
            (
                noted.reason.key,
                {
                    "state": noted.reason.state,
                    "captured": noted.reason.sum("captured"),
                    "refunded": noted.reason.sum("refunded"),
                },
            )
            for noted in decided.noted
        ]
        changed += [(key, {"state": ""}) for key in decided.gone]
        changed += [(key, {"closed_by": SYSTEM}) for key in decided.closed]
        changed += [(key, {"level": level}) for key, level in decided.escalated.items()]
        for key, fields in changed:
            cases[key] = msgspec.structs.replace(cases[key], **fields)
        return cases

    # --- what must be -------------------------------------------------------------------------------------------------

    def _stands_well(self) -> None:
        order = self.load()
        assert order.stored == self.summary(), "its status is not derived from its facts"
        for payment in order.facts.payments.values():
            latest = payment.latest
            has_succeeded = latest is not None and latest.status is ObjectStatus.SUCCEEDED
            assert has_succeeded or not payment.captures, "a decline undid a success"
        if self.cases:
            assert not stale_cases(order), f"cases that outlive their cause: {stale_cases(order)}"
        for reason in order.case_reasons():
            case = self.cases.get(reason.key)
            assert case is not None and case.closed_by != SYSTEM, f"no case says {reason.kind}"  # noqa: PT018
        if order.closed_at is None and order.traits.moving:
            is_minded = order.due_at is not None or order.open_case_kinds
            assert is_minded, "money is on its way, and nobody will look"
        if order.ask_at is not None:
            assert order.due_at is not None, "somebody wants it asked, and nobody will"


def asks_to_pay(notice: Notice) -> bool:
    """Whether it asks its payer for money."""
    return notice.audience is Audience.PAYER and notice.topic in ASKS_TO_PAY


def must_hold(changes: Changes) -> None:
    """What no change ever does."""
    before, after = changes.before, changes.after
    for notice in changes.notices:
        if not asks_to_pay(notice):
            continue
        assert not before.money_is_unclear, "somebody is asked to pay while the money is unclear"
        assert before.closed_at is None, "somebody is asked to pay for a closed order"
        if notice.topic != Topic.FAILED:
            assert not after.is_under_way, "somebody is asked to pay what is under way"
    if changes.has_moved:
        assert after.phase > before.phase, "its money moved, and no phase began"
    if changes.has_new_facts:
        assert after.version == before.version + 1, "it changed, and its version did not"
    if after.due_at is not None and after.held_until is not None and changes.steps:
        assert after.held_until <= changes.steps[0].taken_at, "a held order took a step"


def must_close_rightly(changes: Changes, *, answered: bool) -> None:
    """What holds where no person, but the policy closes an order."""
    assert answered, "it was closed without an answer"
    assert not changes.before.money_is_unclear, "it was closed in doubt"
    assert changes.before.summary.status in (Status.UNPAID, Status.FAILED), "it was closed with money in it"
