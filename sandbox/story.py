"""Defines the story of an order: what is due, which events happen at the gateway and when, and how it must end."""

from datetime import datetime

import msgspec

from tillkeeper.domain.statuses import Status


class ExpectedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """How an order ends.  Sums in minor units of the order's currency; `paid` is before refunds."""

    status: Status
    paid: int
    refunded: int


class PlayedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What must have become of an order."""

    name: str
    expected: ExpectedOrder
    due: frozenset[str]  # deliveries by the id of what happened, silent ones too
    history_event_ids: frozenset[str]  # events that webhooks must bring into the order's history


class StoryEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened at the gateway, and that it tells under its own word for it."""

    event_type: str
    event_id: str
    at: datetime
    amount: int
    refund_ref: str


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """One order from its registration to its end.  Amounts in minor units."""

    name: str
    account: str  # where it is paid
    order_ref: str
    payment_ref: str
    amount: int
    currency: str  # in which it is paid
    due_currency: str
    due_at: str  # the account at which payment is expected
    started_at: datetime
    events: tuple[StoryEvent, ...]
    expected: ExpectedOrder

    @property
    def registration(self) -> dict[str, object]:
        """The body of PUT /orders/{order_ref}."""
        return {"amount": self.amount, "currency": self.due_currency, "accounts": [self.due_at]}


def bare(order_ref: str) -> str:
    """Returns an order's reference as part of a gateway's own, which have letters and digits only."""
    return order_ref.replace("-", "")
