"""Registers refunds that the merchant requested from its gateway, so that one that never finishes is noticed.

Facts are ordered by the gateway's clock, which the merchant's requests are not dated by.  They count as the first
events of their refund: whatever the gateway says of it, also about an order that was registered long after, is later.
The requests follow each other by the second: requested, withdrawn, requested under the same reference once more.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from tillkeeper.domain.events import REF_CHARS_MAX, Evidence, Kind, PaymentEvent
from tillkeeper.domain.order.facts import WITHDRAWN
from tillkeeper.domain.order.registration import Contradiction

BEFORE_GATEWAYS: Final = datetime(2000, 1, 1, tzinfo=UTC)
REQUEST_GAP: Final = timedelta(seconds=1)
REQUESTS_MAX: Final = 1000  # the last one's second is still long before any gateway event
REFUND_REF_CHARS_MAX: Final = REF_CHARS_MAX - len(f"merchant:undone{REQUESTS_MAX}:")


class AskedRefund(msgspec.Struct, frozen=True, kw_only=True):
    """A refund as the merchant requested it.  `amount` is in minor units of the order's currency; `refund_ref` is the
    gateway's name for it: Stripe's re_..., Alipay's out_request_no, WeChat Pay's out_refund_no."""

    order_ref: str
    account: str
    refund_ref: str
    payment_ref: str | None = None
    amount: int


class KnownRefund(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a refund already."""

    order_id: int | None
    account: str
    payment_ref: str | None
    amount: int | None
    currency: str | None
    told_at: datetime  # of the event that counts
    failure_code: str | None

    @property
    def is_gateways(self) -> bool:
        """Returns True if the gateway has said something of it."""
        return self.told_at >= BEFORE_GATEWAYS + REQUESTS_MAX * REQUEST_GAP

    @property
    def number(self) -> int:
        """Returns the number of the merchant's request that counts."""
        return (self.told_at - BEFORE_GATEWAYS) // REQUEST_GAP


class EarlierRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request of the merchant as it was recorded."""

    order_id: int | None
    amount: int | None
    payment_ref: str | None
    outcome: str


class GatewayKnowsRefund(Exception):
    """The gateway knows the refund, so that the merchant cannot withdraw it any more."""


def event_id_of(asked: AskedRefund, number: int) -> str:
    """Names the event of a request."""
    return f"merchant:refund{number or ''}:{asked.refund_ref}"


def request_number(known: KnownRefund | None) -> int:
    """Returns the number of this request among the merchant's: the first, or the next after the last withdrawal.

    Raises Contradiction where there were too many.
    """
    if known is None or known.is_gateways:
        return 0
    if known.failure_code != WITHDRAWN:
        return known.number
    if known.number + 1 >= REQUESTS_MAX:
        raise Contradiction("refund_ref")
    return known.number + 1


def is_registered(asked: AskedRefund, said: EarlierRequest | None, order_id: int) -> bool:
    """Returns True if the merchant registered just this before.  Raises Contradiction if it was another."""
    if said is None:
        return False
    if said.order_id != order_id or said.outcome == "mismatched":
        raise Contradiction("payment_ref" if asked.payment_ref is not None else "refund_ref")
    for field in ("amount", "payment_ref"):
        if getattr(said, field) != getattr(asked, field):
            raise Contradiction(field)
    return True


def refuse_other_refund(asked: AskedRefund, known: KnownRefund | None, order_id: int) -> None:
    """Raises Contradiction where the request differs from what is known of this refund."""
    if known is None:
        return
    if known.order_id != order_id:
        raise Contradiction("refund_ref")
    if known.amount not in (None, asked.amount):
        raise Contradiction("amount")
    if asked.payment_ref is not None and known.payment_ref not in (None, asked.payment_ref):
        raise Contradiction("payment_ref")


def requested_event(asked: AskedRefund, *, currency: str, number: int = 0) -> PaymentEvent:
    """Makes the event by which the order is `refunding`, until the gateway says more."""
    return PaymentEvent(
        event_id=event_id_of(asked, number),
        kind=Kind.REFUND_PENDING,
        account=asked.account,
        occurred_at=BEFORE_GATEWAYS + number * REQUEST_GAP,
        evidence=Evidence.OPERATOR,
        order_ref=asked.order_ref,
        payment_ref=asked.payment_ref,
        refund_ref=asked.refund_ref,
        amount=asked.amount,
        currency=currency,
    )


def withdrawal_event(order_ref: str, refund_ref: str, known: KnownRefund) -> PaymentEvent | None:
    """Makes the event of a refund that was never made; None where it is withdrawn already.

    Raises GatewayKnowsRefund.
    """
    if known.is_gateways:
        raise GatewayKnowsRefund
    if known.failure_code == WITHDRAWN:
        return None
    number = known.number + 1
    return PaymentEvent(
        event_id=f"merchant:undone{number}:{refund_ref}",
        kind=Kind.REFUND_FAILED,
        account=known.account,
        occurred_at=BEFORE_GATEWAYS + number * REQUEST_GAP,
        evidence=Evidence.OPERATOR,
        order_ref=order_ref,
        payment_ref=known.payment_ref,
        refund_ref=refund_ref,
        amount=known.amount,
        currency=known.currency,
        failure_code=WITHDRAWN,
    )
