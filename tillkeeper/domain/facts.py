"""What is known of an order's money, and how one more event merges into it.

Facts are remembered, never "the last status".  Every fact is a register that keeps the greatest of what it was told,
by a total order that starts with the time at the gateway.  Greatest-of is associative, commutative and idempotent, so
any order, repetition or grouping of the same events ends in the same facts.

    event ──> apply ──> OrderFacts ──> summarize (order.py) ──> status, captured, refunding, refunded
                             └───────> concerns (concerns.py) ───> cases
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeVar

import msgspec

from tillkeeper.domain.events import Kind, PaymentEvent
from tillkeeper.domain.failures import FailureClass

WITHDRAWN: Final = "withdrawn"  # the failure code of a refund that the merchant says was never made


class Step(StrEnum):
    """Where one payment, refund or dispute stands."""

    CREATED = "created"
    PENDING = "pending"
    AUTHORIZED = "authorized"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SUCCEEDED = "succeeded"
    OPENED = "opened"
    WON = "won"
    LOST = "lost"


# What each kind says of its object, and the rank that decides between two words of the same instant.
PAYMENT_STEPS: Final[Mapping[Kind, tuple[Step, int]]] = MappingProxyType(
    {
        Kind.PAYMENT_PENDING: (Step.PENDING, 1),
        Kind.PAYMENT_AUTHORIZED: (Step.AUTHORIZED, 2),
        Kind.PAYMENT_FAILED: (Step.FAILED, 3),
        Kind.PAYMENT_CANCELLED: (Step.CANCELLED, 3),
        Kind.PAYMENT_SUCCEEDED: (Step.SUCCEEDED, 4),
    }
)
REFUND_STEPS: Final[Mapping[Kind, tuple[Step, int]]] = MappingProxyType(
    {
        Kind.REFUND_PENDING: (Step.PENDING, 1),
        Kind.REFUND_SUCCEEDED: (Step.SUCCEEDED, 2),
        Kind.REFUND_FAILED: (Step.FAILED, 3),  # a refund can fail after it succeeded
    }
)
DISPUTE_STEPS: Final[Mapping[Kind, tuple[Step, int]]] = MappingProxyType(
    {
        Kind.DISPUTE_OPENED: (Step.OPENED, 1),
        Kind.DISPUTE_WON: (Step.WON, 2),
        Kind.DISPUTE_LOST: (Step.LOST, 3),
    }
)


class Standing(msgspec.Struct, frozen=True, kw_only=True, order=True, omit_defaults=True):
    """Where an object stands.  Standings compare field by field, in this order, and the greatest is kept."""

    absorbs: bool = False  # a payment's success: nothing later undoes it
    at: datetime
    rank: int
    step: Step
    failure: str = ""
    failure_code: str = ""


class Sum(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """An amount as told at a time.  The latest stands, within an instant the greater."""

    at: datetime
    minor: int
    currency: str


class Word(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A word of the gateway's as told at a time.  The latest stands."""

    at: datetime
    text: str


ObjectKey = tuple[str, str]  # (account, the gateway's own reference)


class PaymentFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of one attempt to pay."""

    standing: Standing | None = None
    asked: Sum | None = None
    captures: dict[str, Sum] = msgspec.field(default_factory=dict)  # by capture reference; "" where there is only one
    given_back: Sum | None = None  # the gateway's running total of refunds
    method: Word | None = None  # how the payer pays

    @property
    def step(self) -> Step:
        """Created until the gateway said more."""
        return self.standing.step if self.standing else Step.CREATED


class ReturnFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of one refund or one dispute."""

    payment_ref: str | None = None
    standing: Standing
    amount: Sum | None = None


class OrderFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything known of an order's money."""

    payments: Mapping[ObjectKey, PaymentFacts] = MappingProxyType({})
    refunds: Mapping[ObjectKey, ReturnFacts] = MappingProxyType({})
    disputes: Mapping[ObjectKey, ReturnFacts] = MappingProxyType({})


def apply(facts: OrderFacts, event: PaymentEvent) -> OrderFacts:
    """The facts once `event` is known too.  Returns `facts` itself when nothing is new."""
    merged = facts
    if event.payment_ref is not None:
        merged = _with_payment(merged, (event.account, event.payment_ref), event)
    if event.refund_ref is not None and event.kind in REFUND_STEPS:
        merged = _with_refund(merged, (event.account, event.refund_ref), event)
    if event.dispute_ref is not None and event.kind in DISPUTE_STEPS:
        merged = _with_dispute(merged, (event.account, event.dispute_ref), event)
    return merged


def _with_payment(facts: OrderFacts, key: ObjectKey, event: PaymentEvent) -> OrderFacts:
    known = facts.payments.get(key)
    told = _merge_payment(known or PaymentFacts(), event)
    if told == known:
        return facts
    return msgspec.structs.replace(facts, payments={**facts.payments, key: told})


def _with_refund(facts: OrderFacts, key: ObjectKey, event: PaymentEvent) -> OrderFacts:
    known = facts.refunds.get(key)
    told = _merge_return(known, event, REFUND_STEPS)
    return facts if told == known else msgspec.structs.replace(facts, refunds={**facts.refunds, key: told})


def _with_dispute(facts: OrderFacts, key: ObjectKey, event: PaymentEvent) -> OrderFacts:
    known = facts.disputes.get(key)
    told = _merge_return(known, event, DISPUTE_STEPS)
    return facts if told == known else msgspec.structs.replace(facts, disputes={**facts.disputes, key: told})


def _merge_payment(known: PaymentFacts, event: PaymentEvent) -> PaymentFacts:
    if event.total is not None:
        return msgspec.structs.replace(known, given_back=_latest(known.given_back, _sum(event, event.total)))
    if event.kind not in PAYMENT_STEPS:
        return known
    told = msgspec.structs.replace(
        known,
        standing=_latest(known.standing, _standing(event, PAYMENT_STEPS)),
        method=known.method
        if event.method is None
        else _latest(known.method, Word(at=event.occurred_at, text=event.method)),
    )
    if event.amount is None:
        return told
    if event.kind is not Kind.PAYMENT_SUCCEEDED:
        return msgspec.structs.replace(told, asked=_latest(known.asked, _sum(event, event.amount)))
    part = event.capture_ref or ""
    capture = _latest(known.captures.get(part), _sum(event, event.amount))
    return msgspec.structs.replace(told, captures={**known.captures, part: capture})


def _merge_return(
    known: ReturnFacts | None, event: PaymentEvent, steps: Mapping[Kind, tuple[Step, int]]
) -> ReturnFacts:
    standing = _standing(event, steps)
    amount = None if event.amount is None else _sum(event, event.amount)
    if known is None:
        return ReturnFacts(payment_ref=event.payment_ref, standing=standing, amount=amount)
    return ReturnFacts(
        payment_ref=max(known.payment_ref or "", event.payment_ref or "") or None,
        standing=_latest(known.standing, standing),
        amount=known.amount if amount is None else _latest(known.amount, amount),
    )


def _standing(event: PaymentEvent, steps: Mapping[Kind, tuple[Step, int]]) -> Standing:
    step, rank = steps[event.kind]
    return Standing(
        absorbs=event.kind is Kind.PAYMENT_SUCCEEDED,
        at=event.occurred_at,
        rank=rank,
        step=step,
        failure=event.failure or "",
        failure_code=event.failure_code or "",
    )


def _sum(event: PaymentEvent, minor: int) -> Sum:
    assert event.currency is not None  # problem_with refuses an amount without a currency
    return Sum(at=event.occurred_at, minor=minor, currency=event.currency)


_Register = TypeVar("_Register", Standing, Sum, Word)


def _latest(known: _Register | None, told: _Register) -> _Register:
    return told if known is None else max(known, told)


def failure_of(payment: PaymentFacts) -> FailureClass | None:
    """Why a payment stands failed or cancelled, if the gateway said."""
    standing = payment.standing
    return FailureClass(standing.failure) if standing and standing.failure else None
