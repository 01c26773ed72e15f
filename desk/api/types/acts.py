"""Defines what programs say of an act: why it is done, and what it takes."""

from typing import Annotated

import msgspec
from msgspec import Meta

from tillkeeper.desk.api.types.common import REASON_CHARS_MAX, Moment, Reason, Ref

Seen = Annotated[
    Annotated[int, Meta(ge=0, le=2**63 - 1)] | None,
    Meta(description="`seen` of the case as you read it: if somebody acted meanwhile, nothing is done (409)."),
]
Remark = Annotated[
    Annotated[str, Meta(max_length=REASON_CHARS_MAX, pattern=r"^[^\u0000]*$")],
    Meta(description="Why, if there is more to say."),
]


class Taking(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A case becomes that of the person whose token it is."""

    reason: Remark = ""
    seen: Seen = None


class Noting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A note on a case, also on a closed one."""

    text: Reason


class FollowingUp(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A case is left until then."""

    at: Annotated[Moment, Meta(description="When people are reminded of it: within 90 days.")]
    reason: Reason
    seen: Seen = None


class Escalating(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The next level is told of a case."""

    reason: Reason
    seen: Seen = None


class Resolving(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A case is closed for good."""

    outcome: Annotated[Reason, Meta(description="How it ended, in words.")]
    reason: Remark = ""
    seen: Seen = None


class Explained(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An act with its reason."""

    reason: Reason


class Holding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An order is left alone until then: no queries, no reminders, no closing."""

    until: Annotated[Moment, Meta(description="Until when; webhooks are applied all the same.")]
    reason: Reason


class Retrying(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A notice is tried again."""

    key: Annotated[Ref, Meta(description="`key` of a dead notice.")]
    reason: Reason


class Binding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Money that waits is bound to the order that it is of."""

    account: Annotated[Ref, Meta(description="The account that it came to.")]
    payment_ref: Annotated[Ref, Meta(description="The gateway's name for the payment.")]
    order_ref: Annotated[Ref, Meta(description="The order that it is of.")]
    reason: Reason


class HandingOver(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A shift ends: what is new is counted from here."""


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a proposal."""

    id: Annotated[int, Meta(description="Its number.")]
    act: Annotated[str, Meta(description="What was proposed.")]
    subject: Annotated[str, Meta(description="To what.")]
    decision: Annotated[str, Meta(description="`confirmed` and done, `refused`, or `withdrawn` by who proposed it.")]
    proposed_by: Annotated[str, Meta(description="By whom it was proposed.")]
    decided_by: Annotated[str, Meta(description="By whom it was decided.")]
