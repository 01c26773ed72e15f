"""Refunds that the merchant asked its gateway for: known from that moment, so that one that never finishes is seen.

Facts are ordered by the gateway's clock, which the merchant's word is not by.  It counts as the first word about its
refund: whatever the gateway says of it, also about an order that was registered long after, is later.  The merchant's
words follow each other by the second: asked for, taken back, asked for under the same number once more.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from tillkeeper.domain.events import REF_CHARS_MAX, Evidence, Kind, PaymentEvent
from tillkeeper.domain.order.facts import WITHDRAWN
from tillkeeper.domain.order.registration import Contradiction

BEFORE_ANY_WORD: Final = datetime(2000, 1, 1, tzinfo=UTC)
WORD_APART: Final = timedelta(seconds=1)
WORDS_MAX: Final = 1000  # the second of the last is still long before any gateway's
REFUND_REF_CHARS_MAX: Final = REF_CHARS_MAX - len(f"merchant:undone{WORDS_MAX}:")


class AskedRefund(msgspec.Struct, frozen=True, kw_only=True):
    """A refund as the merchant asked for it.  `amount` in minor units of the order's currency; `refund_ref` as the
    gateway will name it: Stripe's re_..., Alipay's out_request_no, WeChat Pay's out_refund_no."""

    order_ref: str
    account: str
    refund_ref: str
    payment_ref: str | None = None
    amount: int


class KnownRefund(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a refund already, from whomever."""

    order_id: int | None
    account: str
    payment_ref: str | None
    amount: int | None
    currency: str | None
    told_at: datetime  # when the word was said that stands
    failure_code: str | None

    @property
    def is_gateways(self) -> bool:
        """Whether the word that stands is the gateway's."""
        return self.told_at >= BEFORE_ANY_WORD + WORDS_MAX * WORD_APART

    @property
    def word(self) -> int:
        """Which of the merchant's words stands."""
        return (self.told_at - BEFORE_ANY_WORD) // WORD_APART


class SaidBefore(msgspec.Struct, frozen=True, kw_only=True):
    """A word of the merchant's as it was recorded."""

    order_id: int | None
    amount: int | None
    payment_ref: str | None
    outcome: str


class GatewaySpoke(Exception):
    """The gateway knows of the refund: what becomes of it is no longer the merchant's to say."""


def event_id_of(asked: AskedRefund, word: int) -> str:
    """How the event is named by which the merchant asked."""
    return f"merchant:refund{word or ''}:{asked.refund_ref}"


def word_of(known: KnownRefund | None) -> int:
    """Which word of the merchant's about a refund this one is: the first, or the next after the last withdrawal.

    Raises Contradiction where there were too many.
    """
    if known is None or known.is_gateways:
        return 0
    if known.failure_code != WITHDRAWN:
        return known.word
    if known.word + 1 >= WORDS_MAX:
        raise Contradiction("refund_ref")
    return known.word + 1


def is_registered(asked: AskedRefund, said: SaidBefore | None, order_id: int) -> bool:
    """Whether the merchant said just this before.  Raises Contradiction where it said something else."""
    if said is None:
        return False
    if said.order_id != order_id or said.outcome == "mismatched":
        raise Contradiction("payment_ref" if asked.payment_ref is not None else "refund_ref")
    for field in ("amount", "payment_ref"):
        if getattr(said, field) != getattr(asked, field):
            raise Contradiction(field)
    return True


def refuse_other_refund(asked: AskedRefund, known: KnownRefund | None, order_id: int) -> None:
    """Raises Contradiction where something else is known of the refund."""
    if known is None:
        return
    if known.order_id != order_id:
        raise Contradiction("refund_ref")
    if known.amount not in (None, asked.amount):
        raise Contradiction("amount")
    if asked.payment_ref is not None and known.payment_ref not in (None, asked.payment_ref):
        raise Contradiction("payment_ref")


def asked_for(asked: AskedRefund, *, currency: str, word: int = 0) -> PaymentEvent:
    """The event that the order is refunding, until the gateway says more."""
    return PaymentEvent(
        event_id=event_id_of(asked, word),
        kind=Kind.REFUND_PENDING,
        account=asked.account,
        occurred_at=BEFORE_ANY_WORD + word * WORD_APART,
        evidence=Evidence.OPERATOR,
        order_ref=asked.order_ref,
        payment_ref=asked.payment_ref,
        refund_ref=asked.refund_ref,
        amount=asked.amount,
        currency=currency,
    )


def withdrawn(order_ref: str, refund_ref: str, known: KnownRefund) -> PaymentEvent | None:
    """The event that a refund was never made; None where the merchant said so before.  Raises GatewaySpoke."""
    if known.is_gateways:
        raise GatewaySpoke
    if known.failure_code == WITHDRAWN:
        return None
    word = known.word + 1
    return PaymentEvent(
        event_id=f"merchant:undone{word}:{refund_ref}",
        kind=Kind.REFUND_FAILED,
        account=known.account,
        occurred_at=BEFORE_ANY_WORD + word * WORD_APART,
        evidence=Evidence.OPERATOR,
        order_ref=order_ref,
        payment_ref=known.payment_ref,
        refund_ref=refund_ref,
        amount=known.amount,
        currency=known.currency,
        failure_code=WITHDRAWN,
    )
