"""Defines what the API says of what waits for people: cases, parked events, refused deliveries, money, notices."""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from tillkeeper.desk.api.types.common import (
    Account,
    AccountFilter,
    Amount,
    Currency,
    Moment,
    OrderRef,
    PageQuery,
    PaymentRef,
    Words,
)
from tillkeeper.domain.order.case_kinds import CASE_KINDS
from tillkeeper.domain.order.notices import Audience
from tillkeeper.domain.statuses import Status
from tillkeeper.store.reports.shown_order import ShownCase

STATUSES: Final = {"examples": list(Status)}  # a later version may write others

# --- cases ------------------------------------------------------------------------------------------------------------


class CasesQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which cases are wanted."""

    owner: Annotated[str | None, Meta(description="This person's; `-` for those that are nobody's.")] = None
    level: Annotated[Annotated[int, Meta(ge=1, le=9)] | None, Meta(description="Of this level and those above.")] = None
    kind: Annotated[str | None, Meta(description="Of this kind.", extra_json_schema={"examples": ["overpaid"]})] = None
    account: AccountFilter = None
    due_before: Annotated[Moment | None, Meta(description="Those to be followed up before then.")] = None
    closed: Annotated[Literal["too"] | None, Meta(description="`too`: closed ones as well, behind the open ones.")] = (
        None
    )


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A case as a list shows it."""

    id: Annotated[int, Meta(description="Its number.")]
    kind: Annotated[str, Meta(description="Why it was opened.", extra_json_schema={"examples": sorted(CASE_KINDS)})]
    subject: Annotated[str, Meta(description="What it is about: an order, a payment, an event.")]
    account: Account
    level: Annotated[int, Meta(ge=1, le=9, description="Its urgency: 1 when it opens, one more for each escalation.")]
    owner: Annotated[str | None, Meta(description="Who has taken it.")]
    opened_at: Annotated[Moment, Meta(description="When it was opened, or opened again.")]
    follow_up_at: Annotated[Moment | None, Meta(description="When it is looked at next; null once it is closed.")]
    closed_at: Annotated[Moment | None, Meta(description="When it was closed; null while it is open.")]
    closed_by: Annotated[str | None, Meta(description="A person, or `system` where its cause is gone.")]
    outcome: Annotated[str | None, Meta(description="How it ended, in words.")]
    order_ref: OrderRef
    status: Annotated[str | None, Meta(description="The order's status.", extra_json_schema=STATUSES)]


class ListedCase(Case, frozen=True, kw_only=True):
    """A case with the sum that it is about."""

    amount: Amount
    currency: Currency


class CaseAfter(Case, frozen=True, kw_only=True):
    """A case after what was done to it."""

    seen: Annotated[int, Meta(description="Its last entry: send it as `seen` with the next act.")]


class CaseEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody did to a case, or Tillkeeper."""

    id: Annotated[int, Meta(description="Its number; that of the last is what an act has `seen`.")]
    what: Annotated[str, Meta(description="opened, assigned, noted, followed_up, escalated, resolved and others.")]
    by: Annotated[str, Meta(description="A person, a person's token as PERSON/TOKEN, or Tillkeeper.")]
    note: Annotated[str | None, Meta(description="What was said.")]
    at: Annotated[Moment, Meta(description="When.")]


class CaseFile(msgspec.Struct, frozen=True, kw_only=True):
    """A case with its entries."""

    case: Annotated[ShownCase, Meta(description="The case.")]
    order_ref: OrderRef
    seen: Annotated[int, Meta(description="Send it with an act: it is refused if somebody acted meanwhile.")]
    entries: Annotated[list[CaseEntry], Meta(description="The oldest first.")]
    events: Annotated[list[dict[str, Any]], Meta(description="The event that a case without an order is about.")]


# --- parked -----------------------------------------------------------------------------------------------------------


class ParkedQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which parked events are wanted."""

    account: AccountFilter = None
    reason: Annotated[str | None, Meta(description="Parked for this reason.")] = None
    closed: Annotated[Literal["too"] | None, Meta(description="`too`: those that were dealt with as well.")] = None


class Parked(msgspec.Struct, frozen=True, kw_only=True):
    """An event that could not be applied."""

    id: Annotated[int, Meta(description="Its number.")]
    account: Account
    event_id: Annotated[str | None, Meta(description="The event's id at its account.")]
    readable: Annotated[bool, Meta(description="Whether it can be replayed; if not, it can only be discarded.")]
    reason: Annotated[str, Meta(description="Why it was parked.")]
    error: Annotated[str | None, Meta(description="What went wrong.")]
    parked_at: Annotated[Moment, Meta(description="When.")]
    outcome: Annotated[
        Literal["replayed", "superseded", "discarded"] | None, Meta(description="What became of it; null: it is open.")
    ]
    closed_at: Annotated[Moment | None, Meta(description="When it was dealt with.")]
    closed_by: Annotated[str | None, Meta(description="By whom.")]
    note: Annotated[str | None, Meta(description="Why.")]
    order_ref: OrderRef
    payment_ref: PaymentRef


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """What would become of one event, and of its order."""

    kind: Annotated[str, Meta(description="The event's kind.")]
    outcome: Annotated[str, Meta(description="applied, no_change, waiting or mismatched.")]
    order_ref: OrderRef
    amount: Amount
    currency: Currency
    status_before: Annotated[str | None, Meta(description="The order's status now.")]
    status_after: Annotated[str | None, Meta(description="Its status then.")]


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What replaying would do: it was done, and rolled back."""

    id: Annotated[int, Meta(description="The number of what is parked.")]
    outcome: Annotated[str, Meta(description="replayed, superseded, still_parked or not_open.")]
    error: Annotated[str | None, Meta(description="Why it would not be applied.")]
    events: Annotated[list[Effect], Meta(description="Its events.")]
    cases: Annotated[list[str], Meta(description="The kinds of cases that would open.")]
    notices: Annotated[dict[str, int], Meta(description="How many notices would be sent, by audience.")]


# --- refused ----------------------------------------------------------------------------------------------------------


class RefusedQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which refused deliveries are wanted."""

    account: AccountFilter = None
    finding: Annotated[str | None, Meta(description="With this finding.")] = None


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery that was not verified, without what it held."""

    id: Annotated[int, Meta(description="Its number.")]
    account: Annotated[str, Meta(description="The account whose address it came to.")]
    received_at: Annotated[Moment, Meta(description="When it came.")]
    step: Annotated[str, Meta(description="The step of verifying that it failed at.")]
    finding: Annotated[str, Meta(description="What is wrong, as a word.")]
    reason: Annotated[str, Meta(description="What is wrong, in words.")]
    detail: Annotated[str, Meta(description="What would make it good.")]


# --- waiting ----------------------------------------------------------------------------------------------------------


class LikelyOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order that waiting money may be meant for."""

    order_ref: Annotated[str, Meta(description="The order's reference.")]
    status: Annotated[str, Meta(description="Its status.", extra_json_schema=STATUSES)]
    amount: Annotated[int, Meta(description="What is due, in minor units.")]
    currency: Annotated[str, Meta(description="ISO 4217.")]
    registered_at: Annotated[Moment, Meta(description="When it was registered.")]
    why: Annotated[list[str], Meta(description="Why it may be this one.")]
    says: Annotated[list[Words], Meta(description="The same for people.")]


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A payment that waits for its order."""

    account: Annotated[str, Meta(description="The account that it came to.")]
    payment_ref: Annotated[str, Meta(description="The gateway's name for it.")]
    order_ref: Annotated[str | None, Meta(description="The reference that it names, which nobody registered.")]
    kind: Annotated[str, Meta(description="Of its most telling event.")]
    amount: Amount
    currency: Currency
    since: Annotated[Moment, Meta(description="Since when it waits.")]
    events: Annotated[int, Meta(description="How many of its events wait.")]
    likely: Annotated[
        list[LikelyOrder], Meta(description="The likeliest first; the single payment has those of its amount too.")
    ]


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """Something that one person proposed and another must confirm."""

    id: Annotated[int, Meta(description="Its number.")]
    act: Annotated[str, Meta(description="What would be done.")]
    subject: Annotated[str, Meta(description="To what.")]
    content: Annotated[dict[str, Any], Meta(description="What exactly would be done: no more and no less is.")]
    reason: Annotated[str, Meta(description="Why.")]
    proposed_by: Annotated[str, Meta(description="By whom; another must confirm it.")]
    proposed_at: Annotated[Moment, Meta(description="When.")]
    expires_at: Annotated[Moment, Meta(description="Until when it can be confirmed.")]


# --- outbox -----------------------------------------------------------------------------------------------------------


class OutboxQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which notices are wanted."""

    state: Annotated[Literal["dead", "pending"], Meta(description="Those that were given up, or are to be sent.")] = (
        "dead"
    )
    audience: Annotated[Audience | None, Meta(description="To these alone.")] = None


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """A notice that is not sent, without what it says."""

    key: Annotated[str, Meta(description="What names it: /api/outbox/retry takes it.")]
    audience: Annotated[str, Meta(description="merchant, payer or ops.")]
    topic: Annotated[str, Meta(description="What it tells of.")]
    state: Annotated[str, Meta(description="`dead` or `pending`.")]
    order_ref: OrderRef
    attempts: Annotated[int, Meta(description="How often sending was tried.")]
    last_error: Annotated[str | None, Meta(description="Why it failed last.")]
    created_at: Annotated[Moment, Meta(description="When it was written.")]
    due_at: Annotated[Moment | None, Meta(description="When it is tried next.")]
    finished_at: Annotated[Moment | None, Meta(description="When it was given up.")]


# --- shift ------------------------------------------------------------------------------------------------------------


class HandoverQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Since when something is new."""

    since: Annotated[Moment | None, Meta(description="Instead of the last hand-over.")] = None


class Handover(msgspec.Struct, frozen=True, kw_only=True):
    """What the next shift must know.  Lists hold the first twenty; counts are of all."""

    at: Annotated[Moment, Meta(description="As of when.")]
    by: Annotated[str | None, Meta(description="Who handed over; null where it was only read.")]
    since: Annotated[Moment | None, Meta(description="Since when something is new; null: ever.")]
    last: Annotated[dict[str, Any] | None, Meta(description="The last hand-over: when, and by whom.")]
    open: Annotated[dict[str, Any], Meta(description="Open cases: how many by level, and the most urgent.")]
    due_next: Annotated[list[dict[str, Any]], Meta(description="Cases by when they are followed up.")]
    held: Annotated[list[dict[str, Any]], Meta(description="Orders on hold, with who held them and why.")]
    new: Annotated[dict[str, Any], Meta(description="What became of cases since then: counts, and the latest.")]
    stuck: Annotated[list[dict[str, Any]], Meta(description="Stuck orders by status.")]
    notices_dead: Annotated[dict[str, Any], Meta(description="Notices that were given up since then.")]
    parked: Annotated[dict[str, Any], Meta(description="How many are open, and how many of these are new.")]
    waiting: Annotated[dict[str, Any], Meta(description="How many events wait for an order, and how many are new.")]
    accounts: Annotated[list[dict[str, Any]], Meta(description="Accounts that were silent or did not answer.")]
