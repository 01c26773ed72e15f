"""Defines what the API says of orders beyond the orders API: the claim that one was paid, and what is stuck."""

from typing import Annotated, Literal

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
from tillkeeper.domain.order.view import OrderView
from tillkeeper.domain.payment_claim import ClaimAct, ClaimSign, ClaimVerdict


class ExplainQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As of when."""

    at: Annotated[Moment | None, Meta(description="The moment: RFC 3339 with its offset; else now.")] = None


class ClaimEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is known, and what it is about."""

    sign: Annotated[ClaimSign, Meta(description="What it says, as a word for programs.")]
    says: Annotated[Words, Meta(description="The same for people.")]
    account: Account
    ref: Annotated[str | None, Meta(description="A payment, or the number of what is parked.")]
    order_ref: Annotated[str | None, Meta(description="The reference under which money waits.")]
    amount: Amount
    currency: Currency
    at: Annotated[Moment | None, Meta(description="When it was so.")]
    why: Annotated[list[str], Meta(description="Further words: likenesses, a class of failure.")]


class PossibleMoney(msgspec.Struct, frozen=True, kw_only=True):
    """Money that waits and may be meant for the order: /api/waiting/bind proposes to bind it."""

    account: Account
    payment_ref: PaymentRef
    order_ref: Annotated[str | None, Meta(description="The reference under which it waits.")]
    amount: Amount
    currency: Currency
    seen_at: Annotated[Moment, Meta(description="When it was recorded.")]
    why: Annotated[list[str], Meta(description="Why it may be meant for the order.")]


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to "the customer says they paid"."""

    order: Annotated[OrderView, Meta(description="The order as it stands.")]
    verdict: Annotated[
        ClaimVerdict, Meta(description="The answer; `not_paid` only where every gateway said so just now.")
    ]
    headline: Annotated[Words, Meta(description="The answer in one sentence.")]
    because: Annotated[list[ClaimEvidence], Meta(description="What the answer rests on.")]
    besides: Annotated[list[ClaimEvidence], Meta(description="What else is known.")]
    possible: Annotated[list[PossibleMoney], Meta(description="Money that may be meant for it, the likeliest first.")]
    tell_the_customer: Annotated[Words, Meta(description="What to say to the customer; nothing in it is personal.")]
    acts: Annotated[list[ClaimAct], Meta(description="What can be done from here.")]


class StuckQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which stuck orders are wanted."""

    status: Annotated[
        Literal["processing", "failed", "partially_paid", "refunding"] | None, Meta(description="In this status alone.")
    ] = None
    account: AccountFilter = None


class Coming(msgspec.Struct, frozen=True, kw_only=True):
    """What the sweep does next for an order."""

    what: Annotated[str, Meta(description="The step: query, remind, escalate, close and others.")]
    at: Annotated[Moment, Meta(description="When.")]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The last query to the gateways about an order."""

    action: Annotated[str, Meta(description="`query`, or `close` where it was asked before closing.")]
    at: Annotated[Moment, Meta(description="When.")]
    tries: Annotated[int, Meta(description="How often it was put.")]
    result: Annotated[str | None, Meta(description="What came of it, in words; null while that is not known.")]


class StuckOrder(OrderView, frozen=True, kw_only=True):
    """An order that has not moved for longer than it should."""

    since: Annotated[Moment, Meta(description="Since when its money has not moved.")]
    accounts: Annotated[list[str], Meta(description="Where its payment is expected.")]
    held_until: Annotated[Moment | None, Meta(description="A person has the sweep leave it alone until then.")]
    swept_next_at: Annotated[Moment | None, Meta(description="When the sweep looks at it next.")]
    asked_last: Annotated[Asked | None, Meta(description="The last query, if there was one in this phase.")]
    next: Annotated[Coming | None, Meta(description="What comes next, if anything does by itself.")]
    cases: Annotated[list[int], Meta(description="The numbers of its open cases.")]


class OrderNow(OrderView, frozen=True, kw_only=True):
    """An order after what was done to it."""

    version: Annotated[int, Meta(ge=1, description="Grows with every change.")]
    held_until: Annotated[Moment | None, Meta(description="A person has the sweep leave it alone until then.")]
    closed_at: Annotated[Moment | None, Meta(description="When it was closed.")]
    swept_next_at: Annotated[Moment | None, Meta(description="When the sweep looks at it next.")]


class FindQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody has in hand."""

    q: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=800,
            description="A number of any kind, whole or its last characters; a mail address or phone number; an amount "
            "with a day; a gateway's error code; or a text with these in it.",
        ),
    ]


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was found."""

    kind: Annotated[str, Meta(description="What it is: order, payment, waiting, case and others.")]
    ref: Annotated[str, Meta(description="What identifies it: a reference, or a number of ours.")]
    why: Annotated[str, Meta(description="Why it was found.")]
    says: Annotated[Words, Meta(description="The same for people.")]
    probe: Annotated[str, Meta(description="What of the text it answers to.")]
    account: Account
    order_ref: OrderRef
    payment_ref: PaymentRef
    status: Annotated[str | None, Meta(description="Where it stands.")]
    amount: Amount
    currency: Currency
    at: Annotated[Moment | None, Meta(description="When it was last heard of, or happened.")]
    detail: Annotated[str | None, Meta(description="What else helps to tell it from others.")]


class HitGroup(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of one kind."""

    kind: Annotated[str, Meta(description="The kind.")]
    hits: Annotated[list[Hit], Meta(description="The best first.")]
    found: Annotated[int, Meta(description="How many were found.")]
    more: Annotated[bool, Meta(description="Whether there are others that were not read.")]


class CodeMeaning(msgspec.Struct, frozen=True, kw_only=True):
    """What a gateway's error code means."""

    gateway: Annotated[str, Meta(description="Whose code it is.")]
    code: Annotated[str, Meta(description="As the gateway writes it.")]
    failure: Annotated[str, Meta(description="The class of failure (docs/failures.md).")]
    tell_the_payer: Annotated[Words, Meta(description="What to tell the payer.")]


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What was found."""

    groups: Annotated[list[HitGroup], Meta(description="By kind, the most telling first.")]
    codes: Annotated[list[CodeMeaning], Meta(description="Error codes in the text.")]
    cut: Annotated[bool, Meta(description="Whether not all of the text was looked for.")]
    without_contacts: Annotated[
        bool, Meta(description="Whether contacts in it were not looked for, which takes the role support.")
    ]
