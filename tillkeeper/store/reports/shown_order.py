"""Defines how an order is shown beyond its status and sums: its times, its parts, its cases and its history.

Each field has the description that the orders API publishes.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from tillkeeper.domain.events import Evidence
from tillkeeper.domain.failures import FailureClass
from tillkeeper.domain.order.view import Minor
from tillkeeper.domain.statuses import Status

Moment = Annotated[datetime, Meta(tz=True)]
Account = Annotated[str, Meta(description="The configured account.")]
Currency = Annotated[str | None, Meta(description="ISO 4217, as the gateway said; null where it did not.")]


class ShownPayment(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to pay, or one instalment, at one account."""

    account: Account
    payment_ref: Annotated[str, Meta(description="The gateway's name for it.")]
    status: Annotated[
        Literal["created", "pending", "authorized", "failed", "cancelled", "succeeded", "reversed"],
        Meta(
            description="`created`: registered by you, and nothing was heard of it.  A success stands; what takes "
            "money back is a refund, a dispute or `reversed`."
        ),
    ]
    amount: Annotated[Minor | None, Meta(description="What was to be paid, in minor units, if the gateway said so.")]
    currency: Currency
    captured: Annotated[Minor, Meta(description="What came in, in minor units.")]
    failure: Annotated[FailureClass | None, Meta(description="Why it failed (docs/failures.md).")]
    method: Annotated[str | None, Meta(description="The payment method in the gateway's own word: card, JSAPI.")]


class ShownRefund(msgspec.Struct, frozen=True, kw_only=True):
    """An amount on its way back."""

    account: Account
    refund_ref: Annotated[str, Meta(description="The gateway's name for it.")]
    payment_ref: Annotated[str | None, Meta(description="The payment that it is of, if that is known.")]
    status: Annotated[Literal["pending", "succeeded", "failed"], Meta(description="The latest that its gateway said.")]
    amount: Annotated[Minor | None, Meta(description="In minor units.")]
    currency: Currency


class ShownDispute(msgspec.Struct, frozen=True, kw_only=True):
    """An amount that the payer's bank contests."""

    account: Account
    dispute_ref: Annotated[str, Meta(description="The gateway's name for it.")]
    payment_ref: Annotated[str | None, Meta(description="The payment that it is about, if that is known.")]
    status: Annotated[Literal["opened", "won", "lost"], Meta(description="`won`: the money stays yours.")]
    amount: Annotated[Minor | None, Meta(description="In minor units.")]
    currency: Currency


class ShownCase(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a person must look at, or did."""

    id: Annotated[int, Meta(description="Its number, as `tillkeeper case show` takes it.")]
    kind: Annotated[str, Meta(description="Why it was opened: overpaid, paid_twice, wrong_currency and others.")]
    subject: Annotated[str, Meta(description="What it is about: this order, or one of its payments.")]
    account: Annotated[str | None, Meta(description="The account that it is about, if it is about one.")]
    details: Annotated[dict[str, Any], Meta(description="What there is to know, by the kind of case.")]
    level: Annotated[int, Meta(ge=1, le=9, description="Its urgency: 1 when it opens, one more for each escalation.")]
    owner: Annotated[str | None, Meta(description="Who has taken it over.")]
    opened_at: Annotated[Moment, Meta(description="When it was opened, or opened again.")]
    follow_up_at: Annotated[Moment | None, Meta(description="When it is looked at next; null once it is closed.")]
    closed_at: Annotated[Moment | None, Meta(description="When it was closed; null while it is open.")]
    closed_by: Annotated[str | None, Meta(description="A person, or `system` where its cause is gone.")]
    outcome: Annotated[str | None, Meta(description="How it ended, in words.")]


class OrderDetails(msgspec.Struct, frozen=True, kw_only=True):
    """What is shown of an order beside its status and sums."""

    version: Annotated[int, Meta(ge=1, description="Grows with every change; notices carry it, too.")]
    registered_at: Annotated[Moment, Meta(description="When you registered it.")]
    changed_at: Annotated[Moment, Meta(description="When anything of it changed last.")]
    expires_at: Annotated[Moment | None, Meta(description="Until when it may be paid, as registered.")]
    stands_since: Annotated[Moment, Meta(description="When its money moved last; its ladder counts from here.")]
    swept_next_at: Annotated[Moment | None, Meta(description="When the sweep looks at it next; null: never.")]
    held_until: Annotated[Moment | None, Meta(description="A person has the sweep leave it alone until then.")]
    closed_at: Annotated[Moment | None, Meta(description="When it was closed: no payment is expected any more.")]
    erased_at: Annotated[Moment | None, Meta(description="When its payer's personal data was erased on request.")]
    payments: Annotated[tuple[ShownPayment, ...], Meta(description="By account and reference.")]
    refunds: Annotated[tuple[ShownRefund, ...], Meta(description="By account and reference.")]
    disputes: Annotated[tuple[ShownDispute, ...], Meta(description="By account and reference.")]
    cases: Annotated[tuple[ShownCase, ...], Meta(description="Open and closed ones, by number.")]


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An event, a person's act, or a step of the sweep.  All have the same fields, null where they do not apply."""

    what: Annotated[Literal["event", "act", "step"], Meta(description="Which of the three it is.")]
    kind: Annotated[
        str,
        Meta(description="Of an event: payment.succeeded and so on; of an act: order.hold; of a step: sweep.query."),
    ]
    recorded_at: Annotated[Moment, Meta(description="When it was recorded, by our clock; entries are sorted by it.")]
    occurred_at: Annotated[
        Moment,
        Meta(description="When it happened: an event at its gateway, a step in its ladder."),
    ]
    evidence: Annotated[Evidence | None, Meta(description="Where an event came from.")]
    outcome: Annotated[
        str,
        Meta(description="Of an event: applied, no_change or mismatched; of an act: done; of a step: what came of it."),
    ]
    reason: Annotated[str | None, Meta(description="Why an event is mismatched.")]
    status_after: Annotated[Status | None, Meta(description="The order's status after an event.")]
    account: Annotated[str | None, Meta(description="The account that an event came from.")]
    event_id: Annotated[str | None, Meta(description="The event's id, unique within its account.")]
    payment_ref: Annotated[str | None, Meta(description="The payment that an event is about.")]
    refund_ref: Annotated[str | None, Meta(description="The refund that an event is about.")]
    dispute_ref: Annotated[str | None, Meta(description="The dispute that an event is about.")]
    amount: Annotated[Minor | None, Meta(description="An event's amount, in minor units.")]
    total: Annotated[
        Minor | None, Meta(description="Instead of it: all that the payment gave back so far, in minor units.")
    ]
    currency: Annotated[str | None, Meta(description="The currency of these amounts, as the gateway said.")]
    failure: Annotated[FailureClass | None, Meta(description="Why a payment failed (docs/failures.md).")]
    failure_code: Annotated[str | None, Meta(description="The same in the gateway's own word.")]
    by: Annotated[str | None, Meta(description="Who did an act: a person, or `policy`.")]
    note: Annotated[str | None, Meta(description="Why an act was done; how often a step's query was tried.")]
