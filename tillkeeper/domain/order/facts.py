"""Defines the facts of an order's money, and merges events into them.

Facts are remembered, never "the last status".  Every fact is a register that keeps the greatest of its values, by a
total order that starts with the time at the gateway.  The maximum is associative, commutative and idempotent, so any
order, repetition or grouping of the same events ends in the same facts.

    event ──> apply ──> OrderFacts ──> summarize (status.py) ─────────> status, captured, refunding, refunded
                             └───────> reasons_in (case_reasons.py) ──> cases
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeVar

import msgspec

from tillkeeper.domain.events import Evidence, Kind, PaymentEvent
from tillkeeper.domain.failures import FailureClass

WITHDRAWN: Final = "withdrawn"  # the failure code of a refund that the merchant withdrew


class ObjectStatus(StrEnum):
    """The status of a payment, refund or dispute."""

    CREATED = "created"
    PENDING = "pending"
    AUTHORIZED = "authorized"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SUCCEEDED = "succeeded"
    REVERSED = "reversed"
    OPENED = "opened"
    WON = "won"
    LOST = "lost"


# The status that each kind of event sets, and the rank that decides between two events of the same instant.
PAYMENT_STATUSES: Final[Mapping[Kind, tuple[ObjectStatus, int]]] = MappingProxyType(
    {
        Kind.PAYMENT_PENDING: (ObjectStatus.PENDING, 1),
        Kind.PAYMENT_AUTHORIZED: (ObjectStatus.AUTHORIZED, 2),
        Kind.PAYMENT_FAILED: (ObjectStatus.FAILED, 3),
        Kind.PAYMENT_CANCELLED: (ObjectStatus.CANCELLED, 3),
        Kind.PAYMENT_SUCCEEDED: (ObjectStatus.SUCCEEDED, 4),
    }
)
REFUND_STATUSES: Final[Mapping[Kind, tuple[ObjectStatus, int]]] = MappingProxyType(
    {
        Kind.REFUND_PENDING: (ObjectStatus.PENDING, 1),
        Kind.REFUND_SUCCEEDED: (ObjectStatus.SUCCEEDED, 2),
        Kind.REFUND_FAILED: (ObjectStatus.FAILED, 3),  # a refund can fail after it succeeded
    }
)
DISPUTE_STATUSES: Final[Mapping[Kind, tuple[ObjectStatus, int]]] = MappingProxyType(
    {
        Kind.DISPUTE_OPENED: (ObjectStatus.OPENED, 1),
        Kind.DISPUTE_WON: (ObjectStatus.WON, 2),
        Kind.DISPUTE_LOST: (ObjectStatus.LOST, 3),
    }
)


class DatedStatus(msgspec.Struct, frozen=True, kw_only=True, order=True, omit_defaults=True):
    """The status of an object as of a time.  Values compare field by field, in this order; the greatest is kept."""

    absorbs: bool = False  # a payment's success: nothing later undoes it
    at: datetime
    rank: int
    status: ObjectStatus = msgspec.field(name="step")  # as it is stored
    failure: str = ""
    failure_code: str = ""


class Sum(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """An amount as of a time.  The latest counts, within an instant the greater."""

    at: datetime
    minor: int
    currency: str


class GatewayWord(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A word of the gateway as of a time.  The latest counts."""

    at: datetime
    text: str


ObjectKey = tuple[str, str]  # (account, the gateway's own reference)


class PaymentFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The facts of one payment."""

    latest: DatedStatus | None = msgspec.field(default=None, name="standing")  # as it is stored
    asked: Sum | None = None
    authorized: Sum | None = None  # what the gateway holds for us, of which the captures are taken
    authorized_at: datetime | None = None  # when that was last said to stand
    in_parts_at: datetime | None = None  # when that was last said to stand beside what was captured without a name
    let_go_at: datetime | None = None  # and when it was last said not to
    pending_at: datetime | None = None  # when it was last said to be on its way
    captures: dict[str, Sum] = msgspec.field(default_factory=dict)  # by capture reference; "" where there is only one
    captured_at: dict[str, datetime] = msgspec.field(default_factory=dict)  # when, if not when it was last told
    reversals: dict[str, datetime] = msgspec.field(default_factory=dict)  # by capture reference; "" for all of them
    given_back: Sum | None = None  # the gateway's running total of refunds
    discount: Sum | None = None  # granted by the gateway off what is due
    on_top: Sum | None = None  # given by the payer besides what is due, and not among the captures
    net: Sum | None = None  # the capture that was told beside it, for others may tell both in one
    released: Sum | None = None  # authorized, and let go instead of captured
    refunds_told_at: datetime | None = None  # something was given back, and the gateway does not say what
    method: GatewayWord | None = None  # how the payer pays

    @property
    def status(self) -> ObjectStatus:
        """Returns its status, which is `created` until the gateway says more."""
        if self.latest is None:
            return ObjectStatus.CREATED
        if self.latest.status is ObjectStatus.SUCCEEDED and self.reversals and not self.kept_captures:
            return ObjectStatus.PENDING if self._is_retried else ObjectStatus.REVERSED
        return self.latest.status

    @property
    def _is_retried(self) -> bool:
        """Returns True if it is on its way again since its success was reversed, as a debit that is collected anew."""
        if self.pending_at is None or (self.let_go_at is not None and self.let_go_at >= self.pending_at):
            return False
        return self.pending_at >= max(self.reversals.values())

    @property
    def is_held(self) -> bool:
        """Returns True if it is authorized, also where it was released at the same instant."""
        return self.authorized_at is not None and (self.let_go_at is None or self.let_go_at < self.authorized_at)

    @property
    def kept_captures(self) -> list[Sum]:
        """Returns the captures that no reversal undid: it undoes the one that it names, or all, up to its own time."""
        if not self.reversals:
            return list(self.captures.values())
        return [capture for ref, capture in self.captures.items() if not self._is_reversed(ref, capture)]

    @property
    def undone_captures(self) -> list[Sum]:
        """Returns the captures that a reversal undid."""
        return [capture for ref, capture in self.captures.items() if self._is_reversed(ref, capture)]

    def _is_reversed(self, ref: str, capture: Sum) -> bool:
        captured_at = self.captured_at.get(ref, capture.at)
        return any(at >= captured_at for at in map(self.reversals.get, {ref, ""}) if at is not None)


class ReturnFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The facts of one refund or dispute."""

    payment_ref: str | None = None
    latest: DatedStatus = msgspec.field(name="standing")  # as it is stored
    amount: Sum | None = None
    may_be_release: bool = False  # a refund that may tell only of an authorization that was let go
    # Of a refund, by the gateway's own events: the earliest of each, so that repetitions change nothing.
    began_at: datetime | None = None
    succeeded_at: datetime | None = None
    failed_at: datetime | None = None
    failure_dated_at: datetime | None = None  # by an answer, where the date may be that of the whole refund

    @property
    def first_failed_at(self) -> datetime:
        """Returns the earliest date of its failure."""
        return min((at for at in (self.failed_at, self.failure_dated_at) if at is not None), default=self.latest.at)

    @property
    def failed_for_good_at(self) -> datetime:
        """Returns when a failed refund failed: before it was ever given, or by the last event since.

        An answer that dates the refund's beginning does not date its failure, which is only known as of the answer.
        """
        at = self.failed_at
        if at is None and self.failure_dated_at != self.began_at:
            at = self.failure_dated_at
        if at is None or (self.succeeded_at is not None and self.succeeded_at >= at):
            return self.latest.at
        return at


class OrderFacts(msgspec.Struct, frozen=True, kw_only=True):
    """All facts of an order's money."""

    payments: Mapping[ObjectKey, PaymentFacts] = MappingProxyType({})
    refunds: Mapping[ObjectKey, ReturnFacts] = MappingProxyType({})
    disputes: Mapping[ObjectKey, ReturnFacts] = MappingProxyType({})

    @property
    def has_returns(self) -> bool:
        """Returns True if anything is refunded, disputed or reversed, which is so of few orders."""
        if self.refunds or self.disputes:
            return True
        for payment in self.payments.values():  # noqa: SIM110 - a generator costs more than the one payment in it
            if payment.given_back is not None or payment.reversals:
                return True
        return False


def apply(facts: OrderFacts, event: PaymentEvent) -> OrderFacts:
    """Returns the facts with `event` merged into them, and `facts` itself when nothing is new."""
    merged = facts
    if event.payment_ref is not None:
        merged = _with_payment(merged, (event.account, event.payment_ref), event)
    if event.refund_ref is not None and event.kind in REFUND_STATUSES:
        merged = _with_refund(merged, (event.account, event.refund_ref), event)
    if event.dispute_ref is not None and event.kind in DISPUTE_STATUSES:
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
    told = _merge_return(known, event, REFUND_STATUSES)
    return facts if told == known else msgspec.structs.replace(facts, refunds={**facts.refunds, key: told})


def _with_dispute(facts: OrderFacts, key: ObjectKey, event: PaymentEvent) -> OrderFacts:
    known = facts.disputes.get(key)
    told = _merge_return(known, event, DISPUTE_STATUSES)
    return facts if told == known else msgspec.structs.replace(facts, disputes={**facts.disputes, key: told})


def _merge_payment(known: PaymentFacts, event: PaymentEvent) -> PaymentFacts:
    if event.released is not None:
        known = msgspec.structs.replace(known, released=_latest(known.released, _sum(event, event.released)))
    if event.total is not None:
        return msgspec.structs.replace(known, given_back=_latest(known.given_back, _sum(event, event.total)))
    if event.kind is Kind.PAYMENT_REVERSED:
        return _merge_reversal(known, event)
    if event.kind not in PAYMENT_STATUSES:
        return known
    told = msgspec.structs.replace(
        known,
        latest=_latest(known.latest, _dated(event, PAYMENT_STATUSES)),
        method=known.method
        if event.method is None
        else _latest(known.method, GatewayWord(at=event.known_at, text=event.method)),
        discount=known.discount if event.discount is None else _latest(known.discount, _sum(event, event.discount)),
        on_top=known.on_top if event.on_top is None else _latest(known.on_top, _sum(event, event.on_top)),
        net=known.net
        if event.on_top is None or event.amount is None
        else _latest(known.net, _sum(event, event.amount)),
        refunds_told_at=_later(known.refunds_told_at, event.known_at) if event.has_refunds else known.refunds_told_at,
    )
    told = _with_authorization(told, event)
    if event.amount is None:
        return told
    if event.kind is not Kind.PAYMENT_SUCCEEDED:
        return msgspec.structs.replace(told, asked=_latest(known.asked, _sum(event, event.amount)))
    return _with_capture(told, event, _sum(event, event.amount))


def _with_authorization(payment: PaymentFacts, event: PaymentEvent) -> PaymentFacts:
    """Merges what is held: a success does not end it, for it may be the first of several captures."""
    match event.kind:
        case Kind.PAYMENT_AUTHORIZED:
            held = (
                payment.authorized if event.amount is None else _latest(payment.authorized, _sum(event, event.amount))
            )
            at = _later(payment.authorized_at, event.known_at)
            in_parts_at = (
                payment.in_parts_at if event.capture_ref is None else _later(payment.in_parts_at, event.known_at)
            )
            return msgspec.structs.replace(payment, authorized=held, authorized_at=at, in_parts_at=in_parts_at)
        case Kind.PAYMENT_FAILED | Kind.PAYMENT_CANCELLED:
            return msgspec.structs.replace(payment, let_go_at=_later(payment.let_go_at, event.known_at))
        case Kind.PAYMENT_PENDING:
            return msgspec.structs.replace(payment, pending_at=_later(payment.pending_at, event.known_at))
        case _:
            return payment


def _with_capture(payment: PaymentFacts, event: PaymentEvent, told: Sum) -> PaymentFacts:
    part = event.capture_ref or ""
    known = payment.captures.get(part)
    captured_at = payment.captured_at
    if event.as_of is not None or part in captured_at:
        before = captured_at.get(part, known.at if known else None)
        captured_at = {**captured_at, part: _later(before, event.occurred_at)}
    captures = {**payment.captures, part: _latest(known, told)}
    return msgspec.structs.replace(payment, captures=captures, captured_at=captured_at)


def _merge_reversal(known: PaymentFacts, event: PaymentEvent) -> PaymentFacts:
    part = event.capture_ref or ""
    reversed_at = _later(known.reversals.get(part), event.occurred_at)
    return msgspec.structs.replace(known, reversals={**known.reversals, part: reversed_at})


def _merge_return(
    known: ReturnFacts | None, event: PaymentEvent, statuses: Mapping[Kind, tuple[ObjectStatus, int]]
) -> ReturnFacts:
    latest = _dated(event, statuses)
    amount = None if event.amount is None else _sum(event, event.amount)
    if known is None:
        first = ReturnFacts(
            payment_ref=event.payment_ref, latest=latest, amount=amount, may_be_release=event.may_be_release
        )
        return _with_moments(first, event)
    merged = msgspec.structs.replace(
        known,
        payment_ref=max(known.payment_ref or "", event.payment_ref or "") or None,
        latest=_latest(known.latest, latest),
        amount=known.amount if amount is None else _latest(known.amount, amount),
        may_be_release=known.may_be_release and event.may_be_release,
    )
    return _with_moments(merged, event)


def _with_moments(refund: ReturnFacts, event: PaymentEvent) -> ReturnFacts:
    if not event.kind.is_refund or event.evidence is Evidence.OPERATOR:  # a merchant's request has no gateway time
        return refund
    at, kind = event.occurred_at, event.kind
    return msgspec.structs.replace(
        refund,
        began_at=_earlier(refund.began_at, at),
        succeeded_at=_earlier(refund.succeeded_at, at) if kind is Kind.REFUND_SUCCEEDED else refund.succeeded_at,
        failed_at=_earlier(refund.failed_at, at)
        if kind is Kind.REFUND_FAILED and event.as_of is None
        else refund.failed_at,
        failure_dated_at=_earlier(refund.failure_dated_at, at)
        if kind is Kind.REFUND_FAILED and event.as_of is not None
        else refund.failure_dated_at,
    )


def _dated(event: PaymentEvent, statuses: Mapping[Kind, tuple[ObjectStatus, int]]) -> DatedStatus:
    status, rank = statuses[event.kind]
    return DatedStatus(
        absorbs=event.kind is Kind.PAYMENT_SUCCEEDED,
        at=event.known_at,
        rank=rank,
        status=status,
        failure=event.failure or "",
        failure_code=event.failure_code or "",
    )


def _sum(event: PaymentEvent, minor: int) -> Sum:
    assert event.currency is not None  # problem_with refuses an amount without a currency
    return Sum(at=event.known_at, minor=minor, currency=event.currency)


_Register = TypeVar("_Register", DatedStatus, Sum, GatewayWord)


def _latest(known: _Register | None, told: _Register) -> _Register:
    return told if known is None else max(known, told)


def _later(known: datetime | None, told: datetime) -> datetime:
    return told if known is None else max(known, told)


def _earlier(known: datetime | None, told: datetime) -> datetime:
    return told if known is None else min(known, told)


def failure_of(payment: PaymentFacts) -> FailureClass | None:
    """Returns why a payment failed or was cancelled, if the gateway said so."""
    latest = payment.latest
    return FailureClass(latest.failure) if latest and latest.failure else None
