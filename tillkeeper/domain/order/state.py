"""Defines an order as it is loaded, with everything that decisions about it need."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

import msgspec

from tillkeeper.domain.ladder import Action, Ladder, Phase, first_due
from tillkeeper.domain.order.case_reasons import CaseReason, reasons_in
from tillkeeper.domain.order.cases import MONEY_UNCLEAR, CaseKey, KnownCase
from tillkeeper.domain.order.facts import OrderFacts
from tillkeeper.domain.order.progress import Progress
from tillkeeper.domain.order.registration import Instalment, Order, next_due_at, next_instalment
from tillkeeper.domain.order.status import Summary, is_under_way, summarize
from tillkeeper.domain.order.sums import charged_back, held_in_all
from tillkeeper.domain.order.view import OrderView, view_of
from tillkeeper.domain.policy import Policy
from tillkeeper.domain.statuses import TRAITS, Traits


class OrderState(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A loaded order.  Every change returns a new one."""

    id: int
    order: Order
    version: int
    stored: Summary  # status and sums as last written
    facts: OrderFacts
    expires_at: datetime | None = None
    instalments: tuple[Instalment, ...] = ()
    phase: int = 1  # the version at which it began; a phase lasts from one movement of the order's money to the next
    phase_since: datetime
    due_at: datetime | None = None  # when it is due for the sweep
    ask_at: datetime | None = None  # a query is requested for then, whatever the ladder says
    held_until: datetime | None = None
    closed_at: datetime | None = None
    cases: Mapping[CaseKey, KnownCase] = MappingProxyType({})  # all, also closed ones
    has_parked: bool = False  # whether it has a parked event, if that was read
    is_paused: bool = False  # whether the guard has an account of it paused, if that was read
    progress: Progress = Progress()  # in its phase, if that was read
    has_mail: bool = False
    pay_url: str | None = None
    is_erased: bool = False  # its payer's data was erased, and none is kept any more
    derived: Summary | None = None  # of the facts, once asked for
    derived_reasons: tuple[CaseReason, ...] | None = None  # likewise

    @property
    def summary(self) -> Summary:
        """Returns the status and sums of the facts."""
        if self.derived is None:
            msgspec.structs.force_setattr(self, "derived", summarize(self.order, self.facts))
        assert self.derived is not None
        return self.derived

    def view(self) -> OrderView:
        """Returns it as it is shown wherever an order is."""
        return view_of(self.order, self.summary, charged_back=self.charged_back)

    @property
    def traits(self) -> Traits:
        """Returns what its status means."""
        return TRAITS[self.summary.status]

    def with_facts(self, facts: OrderFacts) -> "OrderState":
        """Returns the order with these facts; itself where they are its own."""
        if facts is self.facts:
            return self
        return msgspec.structs.replace(self, facts=facts, derived=None, derived_reasons=None)

    # --- its money ----------------------------------------------------------------------------------------------------

    @property
    def covered(self) -> int:
        """Returns what of its amount needs no payment any more, in minor units."""
        return self.summary.captured + self.summary.discount

    @property
    def charged_back(self) -> int:
        """Returns what its payers got back through disputes."""
        return charged_back(self.order, self.facts)

    @property
    def remaining(self) -> int:
        """Returns what its payer may be asked for: not what was captured, nor what is held to be captured."""
        return max(0, self.order.amount - self.covered - held_in_all(self.order, self.facts))

    def next_instalment(self) -> Instalment | None:
        """Returns the next part of its plan that is not covered, as far as it is missing; None while that is held."""
        due = next_instalment(self.instalments, self.covered)
        beyond = next_instalment(self.instalments, self.covered + held_in_all(self.order, self.facts))
        return beyond if due is not None and beyond is not None and beyond.due_at == due.due_at else None

    @property
    def next_due_at(self) -> datetime | None:
        """Returns when the next part of its plan that is not covered is due."""
        return next_due_at(self.instalments, self.covered) if self.instalments else None

    @property
    def is_under_way(self) -> bool:
        """Returns True if money is on its way to it, whatever its status says."""
        return is_under_way(self.order, self.facts)

    @property
    def money_is_unclear(self) -> bool:
        """Returns True if an open case says so, an event of it is parked, or the guard has an account of it paused.

        There may be money that does not count: the payer is not asked to pay, and the order does not close.
        """
        return self.has_parked or self.is_paused or not self.open_case_kinds.isdisjoint(MONEY_UNCLEAR)

    # --- its cases ----------------------------------------------------------------------------------------------------

    @property
    def open_case_kinds(self) -> frozenset[str]:
        """Returns the kinds of its cases that are open."""
        return frozenset(case.kind for case in self.cases.values() if case.is_open)

    def case_reasons(self) -> tuple[CaseReason, ...]:
        """Returns what about its facts needs a person."""
        if self.derived_reasons is None:
            reasons = tuple(reasons_in(self.order, self.facts, self.summary))
            msgspec.structs.force_setattr(self, "derived_reasons", reasons)
        assert self.derived_reasons is not None
        return self.derived_reasons

    # --- its ladder ---------------------------------------------------------------------------------------------------

    @property
    def is_over(self) -> bool:
        """Returns True for a closed order none of whose money is moving: only late money is looked for."""
        return self.closed_at is not None and not self.traits.moving

    def ladder(self, policy: Policy) -> Ladder:
        """Returns the policy's ladder for it.

        A closing that nobody can ask for is put again by itself, in place of all later ones.
        """
        ladder = self._whole_ladder(policy)
        if not self.progress.unanswered:
            return ladder
        retry = self.progress.retry
        if retry is None or not retry.cannot_be_put:
            return ladder
        return Ladder(actions=tuple(steps for steps in ladder.actions if steps.action is not Action.CLOSE))

    def _whole_ladder(self, policy: Policy) -> Ladder:
        if self.is_over:
            return policy.closed
        if not policy.accounts:  # as mostly: then it makes no difference through which it is paid
            return policy.ladder(self.summary.status)
        return policy.ladder(self.summary.status, *paid_through(self.order, self.facts))

    def present_phase(self) -> Phase:
        """Returns its phase; for an order that is over, the time since then."""
        if self.closed_at is not None and self.is_over:
            return Phase(began_at=max(self.closed_at, self.phase_since), last_steps=self.progress.last_steps)
        return Phase(
            began_at=self.phase_since,
            expires_at=self.expires_at,
            next_due_at=self.next_due_at,
            last_steps=self.progress.last_steps,
        )

    def is_due(self, now: datetime) -> bool:
        """Returns True once the sweep must look at it."""
        return self.due_at is not None and self.due_at <= now

    def is_held(self, now: datetime) -> bool:
        """Returns True while a person has it on hold."""
        return self.held_until is not None and self.held_until > now

    def first_due_of_phase(self, policy: Policy, *, now: datetime) -> datetime | None:
        """Returns when the sweep must look at it if its phase begins now.  A held order waits for its time."""
        if self.is_over:
            phase = Phase(began_at=now)
        else:
            phase = Phase(began_at=now, expires_at=self.expires_at, next_due_at=self.next_due_at)
        due_at = first_due(self._whole_ladder(policy), phase, now)
        if self.ask_at is not None:
            due_at = earliest(due_at, self.ask_at)
        return max(due_at, self.held_until) if due_at and self.held_until else due_at


def earliest(*moments: datetime | None) -> datetime | None:
    """Returns the earliest of those that are known."""
    known = [at for at in moments if at is not None]
    return min(known) if known else None


def paid_through(order: Order, facts: OrderFacts) -> tuple[str | None, str | None]:
    """Returns the account, and there the way of paying, of the latest payment: whose ladder an order goes up.

    Before any payment is known it is the account where payment is expected, if there is only one.
    """
    heard = [
        (payment.latest, account, payment)
        for (account, _), payment in facts.payments.items()
        if payment.latest is not None and account in order.accounts
    ]
    if not heard:
        return (next(iter(order.accounts)), None) if len(order.accounts) == 1 else (None, None)
    _, account, payment = max(heard, key=lambda item: (item[0], item[1]))
    return account, payment.method.text if payment.method else None
