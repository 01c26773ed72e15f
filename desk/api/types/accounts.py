"""Defines what the API says of the till as a whole and of accounts: what is true, how events flow, what fails now."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tillkeeper.desk.api.types.common import Moment
from tillkeeper.domain.till import Concern, Tone, Truth


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """Something that wants a look."""

    concern: Annotated[Concern, Meta(description="What it is.")]
    tone: Annotated[Tone, Meta(description="`act`: now; `look`: soon.")]
    count: Annotated[int, Meta(description="How many; 10,000 stands for more.")]
    oldest: Annotated[Moment | None, Meta(description="Since when the oldest waits.")]


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """What happened within the last minute."""

    count: Annotated[int, Meta(description="How much.")]
    last_at: Annotated[Moment | None, Meta(description="When last.")]


class Now(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the till is true, what wants a look, and how events flow."""

    read_at: Annotated[
        Moment, Meta(description="As of when all of this is: of two seconds ago at most, unless it cannot be read.")
    ]
    truth: Annotated[Truth, Meta(description="Whether orders show what gateways know.")]
    tone: Annotated[Tone, Meta(description="How urgent the whole is.")]
    looks: Annotated[list[Look], Meta(description="What wants a look, the most urgent first.")]
    received: Annotated[dict[str, Rate], Meta(description="Deliveries of the last minute by account.")]
    applied: Annotated[dict[str, Rate], Meta(description="Events of the last minute by outcome.")]
    told: Annotated[dict[str, Rate], Meta(description="Notices of the last minute by audience.")]
    lag_s: Annotated[
        float | None, Meta(description="The longest from receiving to applying; null: nothing was applied.")
    ]
    waiting_in_broker: Annotated[int, Meta(description="Messages in RabbitMQ; 0 without one.")]
    waiting_in_database: Annotated[int, Meta(description="Messages in the PostgreSQL lane.")]
    orders: Annotated[dict[str, int], Meta(description="How many orders have which status.")]
    orders_are_estimates: Annotated[bool, Meta(description="Whether these counts are estimates: orders are many.")]


class FailingWay(msgspec.Struct, frozen=True, kw_only=True):
    """A way of paying that fails now."""

    method: Annotated[str | None, Meta(description="In the gateway's word; null: all that the gateway does not name.")]
    failed: Annotated[int, Meta(description="Payments that failed in the last hour.")]
    succeeded: Annotated[int, Meta(description="Payments that succeeded in the last hour.")]
    failure: Annotated[str | None, Meta(description="The most frequent reason (docs/failures.md).")]


class AccountHealth(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a checkout had better offer an account."""

    account: Annotated[str, Meta(description="The account's name in the settings.")]
    gateway: Annotated[str, Meta(description="Its gateway.")]
    state: Annotated[
        Literal["ok", "failing", "unanswering", "silent", "paused"],
        Meta(
            description="`failing`: some ways of paying fail, those in `failing`; `unanswering`: its gateway does not "
            "answer queries; `silent`: webhooks stay away that usually come; `paused`: its events are held until two "
            "people decide, and so no payment of it shows as paid meanwhile."
        ),
    ]
    since: Annotated[Moment | None, Meta(description="Since when it is silent, unanswering or paused.")]
    failing: Annotated[list[FailingWay], Meta(description="Ways of paying that fail now.")]


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Which ways of paying fail now."""

    as_of: Annotated[Moment, Meta(description="When it was read: a second ago at most.")]
    accounts: Annotated[list[AccountHealth], Meta(description="Every configured account, by name.")]


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """How an account talks and answers."""

    name: Annotated[str, Meta(description="Its name in the settings.")]
    gateway: Annotated[str | None, Meta(description="Its gateway; null: it is not configured any more.")]
    state: Annotated[
        Literal["talks", "quiet", "failing", "unanswering", "silent", "paused"],
        Meta(description="As in its health; `quiet`: nothing has come yet."),
    ]
    paused_since: Annotated[
        Moment | None, Meta(description="Since when the guard holds its events, and nobody has decided (/api/guard).")
    ]
    last_at: Annotated[Moment | None, Meta(description="When something came last.")]
    silent_since: Annotated[Moment | None, Meta(description="Since when webhooks stay away that usually come.")]
    unanswering_since: Annotated[Moment | None, Meta(description="Since when its gateway does not answer.")]
    answered_at: Annotated[Moment | None, Meta(description="When its gateway answered last.")]
    reason: Annotated[str | None, Meta(description="Why its last query had no answer.")]
    usual_gap_s: Annotated[float | None, Meta(description="How far apart webhooks usually come at this hour.")]
    deliveries_by_hour: Annotated[list[int], Meta(description="Deliveries of the last 24 hours, the oldest first.")]
    learnt_by: Annotated[dict[str, int], Meta(description="Events of the last day by how each was learnt of.")]
    failing: Annotated[list[FailingWay], Meta(description="Ways of paying that fail now.")]


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One of an account's keys, by its label."""

    key: Annotated[str, Meta(description="Its label, with its fingerprint; never the key.")]
    deliveries: Annotated[int, Meta(description="How many deliveries it verified.")]
    first_at: Annotated[Moment | None, Meta(description="The first one's time.")]
    last_at: Annotated[Moment | None, Meta(description="The last one's time.")]
    verdict: Annotated[str, Meta(description="What may be done with it: whether it can be removed.")]


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """How payments by one method ended."""

    method: Annotated[str | None, Meta(description="In the gateway's word; null: it did not say.")]
    succeeded_hour: Annotated[int, Meta(description="Payments that succeeded in the last hour.")]
    failed_hour: Annotated[int, Meta(description="Payments that failed in the last hour.")]
    succeeded_day: Annotated[int, Meta(description="Payments that succeeded in the last day.")]
    failed_day: Annotated[int, Meta(description="Payments that failed in the last day.")]
    failure: Annotated[str | None, Meta(description="The most frequent reason of the last hour.")]
    fails_now: Annotated[bool, Meta(description="Whether payers had better take another way.")]


class WholeAccount(Account, frozen=True, kw_only=True):
    """An account with its keys, and how each way of paying ends."""

    keys: Annotated[list[Key], Meta(description="Those in the configuration, and those that were used.")]
    ways: Annotated[list[Way], Meta(description="The one that fails most first.")]
