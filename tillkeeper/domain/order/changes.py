"""Defines the changes of one order, the value that the store writes, all or none."""

from datetime import datetime
from enum import StrEnum

import msgspec

from tillkeeper.domain.ladder import Step
from tillkeeper.domain.order.case_reasons import CaseReason
from tillkeeper.domain.order.cases import CaseChanges
from tillkeeper.domain.order.notices import Notice
from tillkeeper.domain.order.progress import StepTaken
from tillkeeper.domain.order.state import OrderState


class ActKind(StrEnum):
    """The acts of people on an order, or of the policy on their behalf."""

    HOLD = "hold"
    RELEASE = "release"
    CLOSE = "close"
    REOPEN = "reopen"
    ASK = "ask"
    REMIND = "remind"


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """An act: who did what to an order, when and why."""

    what: ActKind
    by: str
    note: str
    at: datetime


class DueQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A step whose gateways must be queried once the changes are committed."""

    order: OrderState
    step: Step
    tries: int
    taken_at: datetime
    leased_until: datetime


class Changes(msgspec.Struct, kw_only=True, gc=False):
    """The changes of an order; `after` is the order from now on.

    Most of them are nearly empty, and a worker makes thousands a second: what is empty costs nothing.
    """

    before: OrderState
    after: OrderState
    are_placed_anew: bool = False  # its facts were placed anew: some objects may belong to another order now
    steps: tuple[StepTaken, ...] = ()  # taken now
    results: tuple[StepTaken, ...] = ()  # of steps that were taken before
    query: DueQuery | None = None
    notices: tuple[Notice, ...] = ()
    acts: tuple[Act, ...] = ()
    decided_cases: CaseChanges | None = None  # created when there is something to decide
    account_cases: tuple[CaseReason, ...] = ()  # of its accounts, not of the order
    askable_accounts: frozenset[str] = frozenset()  # whose cases say that they cannot be queried, although they can

    @classmethod
    def of(cls, order: OrderState) -> "Changes":
        """Begins with no changes."""
        return cls(before=order, after=order)

    @property
    def has_new_facts(self) -> bool:
        """Returns True once an event told something new."""
        return self.after.facts is not self.before.facts

    @property
    def has_moved(self) -> bool:
        """Returns True once the status or a sum is another: a new phase begins."""
        return self.has_new_facts and self.after.summary != self.before.stored

    @property
    def is_another_version(self) -> bool:
        """Returns True if the order has another version now."""
        return self.after.version != self.before.version

    @property
    def has_closed(self) -> bool:
        """Returns True if these changes close the order."""
        return self.after.closed_at is not None and self.before.closed_at is None

    @property
    def is_due_otherwise(self) -> bool:
        """Returns True if the sweep must look at the order at another time than before, or no more."""
        return self.after.due_at != self.before.due_at

    @property
    def is_due_sooner(self) -> bool:
        """Returns True if the sweep must look at the order sooner than it would have."""
        before, after = self.before.due_at, self.after.due_at
        return after is not None and (before is None or after < before)

    @property
    def cases(self) -> CaseChanges:
        """Returns what becomes of its cases."""
        if self.decided_cases is None:
            self.decided_cases = CaseChanges()
        return self.decided_cases

    def set(self, **fields: object) -> None:
        """Changes columns of the order itself."""
        self.after = msgspec.structs.replace(self.after, **fields)

    def open_cases(self, *reasons: CaseReason, again: bool = True) -> None:
        """Opens a case for each reason without one."""
        self.cases.open(self.before.cases, self.before.id, reasons, again=again)
