"""Defines what the API says of accounts that the guard has paused, and of what would happen if they went on."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tillkeeper.desk.api.types.common import Moment, Reason
from tillkeeper.domain.guard import GuardSign


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """An account that is paused: its events are held, and nothing of it is applied."""

    id: Annotated[int, Meta(description="The pause's number.")]
    account: Annotated[str, Meta(description="The account.")]
    state: Annotated[
        Literal["paused", "going on", "being parked", "over"], Meta(description="How it stands: what was decided.")
    ]
    sign: Annotated[str, Meta(description="The rule that paused it.", extra_json_schema={"examples": list(GuardSign)})]
    text: Annotated[str, Meta(description="Why, with the numbers.")]
    paused_at: Annotated[Moment, Meta(description="Since when.")]
    held: Annotated[int, Meta(description="Deliveries that wait; 100,000 stands for more.")]
    oldest_at: Annotated[Moment | None, Meta(description="When the first of them came.")]
    decision: Annotated[Literal["go", "park"] | None, Meta(description="What people decided; null: nothing yet.")]
    decided_by: Annotated[str | None, Meta(description="Who.")]
    decided_at: Annotated[Moment | None, Meta(description="When.")]
    note: Annotated[str | None, Meta(description="Why.")]
    ended_at: Annotated[Moment | None, Meta(description="When that was carried out.")]


class ChangedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it is, and as it would be."""

    order_ref: Annotated[str, Meta(description="The order's reference.")]
    currency: Annotated[str, Meta(description="ISO 4217.")]
    amount: Annotated[int, Meta(description="What is due, in minor units.")]
    status_before: Annotated[str, Meta(description="Its status now.")]
    status_after: Annotated[str, Meta(description="Its status then.")]
    captured_before: Annotated[int, Meta(description="What came in so far.")]
    captured_after: Annotated[int, Meta(description="What would have come in.")]
    refunded_before: Annotated[int, Meta(description="What went back so far.")]
    refunded_after: Annotated[int, Meta(description="What would have gone back.")]


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """What would move in one currency."""

    currency: Annotated[str, Meta(description="ISO 4217.")]
    captured: Annotated[int, Meta(description="What would come in, in minor units.")]
    refunded: Annotated[int, Meta(description="What would go back.")]


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What would happen if the account went on: it was done, and rolled back."""

    pause: Annotated[Pause, Meta(description="The pause.")]
    tried: Annotated[int, Meta(description="Deliveries that were tried, the oldest.")]
    more: Annotated[bool, Meta(description="Whether more are held.")]
    outcomes: Annotated[dict[str, int], Meta(description="Their events by outcome.")]
    unreadable: Annotated[int, Meta(description="Messages that nobody can read.")]
    would_be_parked: Annotated[int, Meta(description="Deliveries that could not be applied.")]
    statuses: Annotated[dict[str, int], Meta(description="Orders by `before -> after`.")]
    sums: Annotated[list[Sums], Meta(description="By currency.")]
    largest: Annotated[list[ChangedOrder], Meta(description="The ten orders of which most would move.")]
    notices: Annotated[dict[str, int], Meta(description="Notices that would be sent, by audience.")]


class Deciding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is proposed about a paused account."""

    decision: Annotated[
        Literal["go", "park"], Meta(description="`go`: all that waits is applied; `park`: it is parked, an event each.")
    ]
    reason: Reason
