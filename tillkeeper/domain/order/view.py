"""Shows an order to people and machines: its reference, its status in both languages, and its sums.

The orders API, the command line, the notices to merchant and payer and the mails begin with it, each adds its own.
"""

from typing import Annotated

import msgspec

from tillkeeper.domain.money import AMOUNT_MINOR_MAX
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.status import Summary
from tillkeeper.domain.statuses import STATUS_ZH, Status

Minor = Annotated[int, msgspec.Meta(ge=0, le=AMOUNT_MINOR_MAX)]


class OrderView(msgspec.Struct, frozen=True, kw_only=True):
    """What is shown of any order.  Amounts in minor units of `currency`; `paid` is all that came in, before refunds."""

    order_ref: str
    status: Status
    status_zh: str = ""  # payloads that were written earlier may lack it, and the sums
    amount: Minor
    currency: str
    paid: Minor = 0
    refunding: Minor = 0
    refunded: Minor = 0
    discount: Minor = 0
    charged_back: Minor = 0

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
        status_zh=STATUS_ZH[summary.status],
        amount=order.amount,
        currency=order.currency,
        paid=summary.captured,
        refunding=summary.refunding,
        refunded=summary.refunded,
        discount=summary.discount,
        charged_back=charged_back,
    )
