"""Derives from a payment's story what its gateway knows at a time.  Pure.

    story (words in order) ──> those that have happened by `at` ──> Known

A word that the gateway never sends, because it has no webhook for it, stands in the story all the same.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import msgspec

from tillkeeper.sandbox.story import Story, StoryEvent


class PaymentState(StrEnum):
    """Where a payment stands at its gateway."""

    CREATED = "created"
    PENDING = "pending"
    AUTHORIZED = "authorized"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SUCCEEDED = "succeeded"
    REVERSED = "reversed"  # the gateway took the success back: what is captured later counts again


class RefundState(StrEnum):
    """Where a refund stands at its gateway."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class EventMeanings(msgspec.Struct, frozen=True, kw_only=True):
    """What a gateway's event types write into its ledger.

    `states` has None for a type that writes nothing, as with disputes.  `totals` are types of refunds whose amount is
    all that was given back so far, `parts` types of which each captures a part of the payment.
    """

    states: Mapping[str, PaymentState | RefundState | None]
    totals: frozenset[str] = frozenset()
    parts: frozenset[str] = frozenset()


class RefundRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One refund in the books.  The amount is its own, in minor units."""

    refund_ref: str
    amount: int
    state: RefundState
    event_type: str  # that the gateway last wrote
    asked_at: datetime
    at: datetime


class PaymentRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One payment in the books.  Amounts in minor units."""

    story: Story
    state: PaymentState = PaymentState.CREATED
    event_type: str = ""
    at: datetime
    paid_at: datetime | None = None
    captured: int = 0
    refunds: tuple[RefundRecord, ...] = ()

    @property
    def refunded(self) -> int:
        """All that was given back, with certainty."""
        return sum(refund.amount for refund in self.refunds if refund.state is RefundState.SUCCEEDED)

    @property
    def going_back(self) -> int:
        """What was given back, or is on its way."""
        return sum(refund.amount for refund in self.refunds if refund.state is not RefundState.FAILED)

    def refund(self, refund_ref: str) -> RefundRecord | None:
        """Returns the refund of this reference."""
        return next((refund for refund in self.refunds if refund.refund_ref == refund_ref), None)


def payment_at(story: Story, meanings: EventMeanings, at: datetime) -> PaymentRecord | None:
    """Returns what the gateway knows of the story's payment; None before it was made."""
    if at < story.started_at:
        return None
    record = PaymentRecord(story=story, at=story.started_at)
    for event in story.events:
        if event.at <= at:
            record = _written(record, event, meanings)
    return record


def _written(record: PaymentRecord, event: StoryEvent, meanings: EventMeanings) -> PaymentRecord:
    state = meanings.states.get(event.event_type)
    match state:
        case None:
            return record
        case RefundState():
            is_total = event.event_type in meanings.totals
            return msgspec.structs.replace(record, refunds=_with_refund(record, event, state, is_total=is_total))
        case PaymentState.SUCCEEDED if record.paid_at is not None:
            more = event.amount if event.event_type in meanings.parts else 0
            return msgspec.structs.replace(
                record, event_type=event.event_type, at=event.at, captured=record.captured + more
            )
        case PaymentState.SUCCEEDED:
            paid = {"paid_at": event.at, "captured": event.amount}
            return msgspec.structs.replace(record, state=state, event_type=event.event_type, at=event.at, **paid)
        case PaymentState.REVERSED:
            return msgspec.structs.replace(
                record, state=state, event_type=event.event_type, at=event.at, paid_at=None, captured=0
            )
        case PaymentState():
            return msgspec.structs.replace(record, state=state, event_type=event.event_type, at=event.at)


def _with_refund(
    record: PaymentRecord, event: StoryEvent, state: RefundState, *, is_total: bool
) -> tuple[RefundRecord, ...]:
    before = record.refund(event.refund_ref)
    others = tuple(refund for refund in record.refunds if refund is not before)
    amount = event.amount
    if is_total:
        amount -= sum(other.amount for other in others)
    entries = RefundRecord(
        refund_ref=event.refund_ref,
        amount=amount,
        state=state,
        event_type=event.event_type,
        asked_at=before.asked_at if before else event.at,
        at=event.at,
    )
    return (*others, entries)
