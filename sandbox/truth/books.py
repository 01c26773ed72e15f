"""A gateway's own books: what it knows of one payment at a time, read off the payment's story.  Pure.

    story (words in order) ──> those that have happened by `at` ──> Known

A word that the gateway never sends, because it has no webhook for it, stands in the story all the same.
"""

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from sandbox.plays import find
from sandbox.story import Happening, Story

if TYPE_CHECKING:
    from sandbox.plays.base import Play


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


class KnownRefund(msgspec.Struct, frozen=True, kw_only=True):
    """One refund in the books.  The amount is its own, in minor units."""

    refund_ref: str
    amount: int
    state: RefundState
    word: str  # that the gateway last wrote
    asked_at: datetime
    at: datetime


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """One payment in the books.  Amounts in minor units."""

    story: Story
    state: PaymentState = PaymentState.CREATED
    word: str = ""
    at: datetime
    paid_at: datetime | None = None
    captured: int = 0
    refunds: tuple[KnownRefund, ...] = ()

    @property
    def refunded(self) -> int:
        """All that was given back, with certainty."""
        return sum(it.amount for it in self.refunds if it.state is RefundState.SUCCEEDED)

    @property
    def going_back(self) -> int:
        """What was given back, or is on its way."""
        return sum(it.amount for it in self.refunds if it.state is not RefundState.FAILED)

    def refund(self, refund_ref: str) -> KnownRefund | None:
        """The refund of this reference."""
        return next((it for it in self.refunds if it.refund_ref == refund_ref), None)


def known(story: Story, gateway: str, at: datetime) -> Known | None:
    """What the gateway knows of the story's payment; None before it was made."""
    if at < story.started_at:
        return None
    play, books = find(gateway), Known(story=story, at=story.started_at)
    for happening in story.happenings:
        if happening.at <= at:
            books = _written(books, happening, play)
    return books


def _written(books: Known, happening: Happening, play: "Play") -> Known:
    state = play.words.get(happening.word)
    match state:
        case None:
            return books
        case RefundState():
            is_total = happening.word in play.totals
            return msgspec.structs.replace(books, refunds=_with_refund(books, happening, state, is_total=is_total))
        case PaymentState.SUCCEEDED if books.paid_at is not None:
            more = happening.amount if happening.word in play.parts else 0
            return msgspec.structs.replace(books, word=happening.word, at=happening.at, captured=books.captured + more)
        case PaymentState.SUCCEEDED:
            paid = {"paid_at": happening.at, "captured": happening.amount}
            return msgspec.structs.replace(books, state=state, word=happening.word, at=happening.at, **paid)
        case PaymentState.REVERSED:
            return msgspec.structs.replace(
                books, state=state, word=happening.word, at=happening.at, paid_at=None, captured=0
            )
        case PaymentState():
            return msgspec.structs.replace(books, state=state, word=happening.word, at=happening.at)


def _with_refund(books: Known, happening: Happening, state: RefundState, *, is_total: bool) -> tuple[KnownRefund, ...]:
    before = books.refund(happening.refund_ref)
    others = tuple(it for it in books.refunds if it is not before)
    amount = happening.amount
    if is_total:
        amount -= sum(it.amount for it in others)
    told = KnownRefund(
        refund_ref=happening.refund_ref,
        amount=amount,
        state=state,
        word=happening.word,
        asked_at=before.asked_at if before else happening.at,
        at=happening.at,
    )
    return (*others, told)
