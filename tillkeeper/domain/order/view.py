"""Shows an order to people and machines: its reference, its status in both languages, and its sums.

The orders API, the command line, the notices to merchant and payer and the mails begin with it, each adds its own.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from tillkeeper.domain.money import AMOUNT_MINOR_MAX
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.status import Summary
from tillkeeper.domain.statuses import STATUS_ZH, Status

Minor = Annotated[int, Meta(ge=0, le=AMOUNT_MINOR_MAX)]


class OrderView(msgspec.Struct, frozen=True, kw_only=True):
    """What is shown of any order.  Amounts in minor units of `currency`; `paid` is all that came in, before refunds."""

    order_ref: Annotated[str, Meta(description="Your reference.")]
    status: Annotated[Status, Meta(description="Derived from all that is known of its payments (docs/states.md).")]
    # Payloads that were written earlier may lack what has a default.
    status_zh: Annotated[str, Meta(description="The same for people who read Chinese.")] = ""
    amount: Annotated[Minor, Meta(description="What is due, as registered.")]
    currency: Annotated[str, Meta(description="ISO 4217, as registered; every sum of the order is in it.")]
    paid: Annotated[Minor, Meta(description="All that was captured, before refunds.")] = 0
    refunding: Annotated[Minor, Meta(description="What is on its way back.")] = 0
    refunded: Annotated[Minor, Meta(description="What went back.")] = 0
    discount: Annotated[Minor, Meta(description="What a gateway granted off the amount (promotion codes).")] = 0
    charged_back: Annotated[Minor, Meta(description="What lost disputes took: beside the status, not in it.")] = 0

    def fields(self) -> dict[str, object]:
        """Returns them by their published names."""
        return msgspec.structs.asdict(self)

    @property
    def summary(self) -> Summary:
        """Returns the status and sums that it was made of."""
        return Summary(
            status=self.status,
            captured=self.paid,
            refunding=self.refunding,
            refunded=self.refunded,
            discount=self.discount,
        )


def view_of(order: Order, summary: Summary, *, charged_back: int) -> OrderView:
    """Shows an order with its status and sums."""
    return OrderView(
        order_ref=order.order_ref,
        status=summary.status,
        status_zh=STATUS_ZH.get(summary.status, summary.status),
        amount=order.amount,
        currency=order.currency,
        paid=summary.captured,
        refunding=summary.refunding,
        refunded=summary.refunded,
        discount=summary.discount,
        charged_back=charged_back,
    )
