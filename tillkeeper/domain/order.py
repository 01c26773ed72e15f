"""An order's facts: how they merge, what status they make, and what about them needs a person.

Facts are remembered, never "the last status".  Every fact is a register that keeps the greatest of what it was told,
by a total order that starts with the time at the gateway.  Greatest-of is associative, commutative and idempotent, so
any order, repetition or grouping of the same events ends in the same facts; and status is a function of facts alone.

    event ──> apply ──> OrderFacts ──> summarize ──> status, captured, refunding, refunded
                             └───────> concerns ───> cases
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeVar

import msgspec

from tillkeeper.domain.events import Kind, PaymentEvent
from tillkeeper.domain.failures import FailureClass


class Status(StrEnum):
    """An order's payment status.  Derived, never set."""

    UNPAID = "unpaid"
    PROCESSING = "processing"
    PAID = "paid"
    FAILED = "failed"
    PARTIALLY_PAID = "partially_paid"
    REFUNDING = "refunding"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"


STATUS_ZH: Final[Mapping[Status, str]] = MappingProxyType(
    {
        Status.UNPAID: "未支付",
        Status.PROCESSING: "支付处理中",
        Status.PAID: "已支付",
        Status.FAILED: "支付失败",
        Status.PARTIALLY_PAID: "部分支付",
        Status.REFUNDING: "退款处理中",
        Status.PARTIALLY_REFUNDED: "部分退款",
        Status.REFUNDED: "已退款",
    }
)


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


ObjectKey = tuple[str, str]  # (account, the gateway's own reference)


class PaymentFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of one attempt to pay."""

    standing: Standing | None = None
    asked: Sum | None = None
    captures: dict[str, Sum] = msgspec.field(default_factory=dict)  # by capture reference; "" where there is only one
    given_back: Sum | None = None  # the gateway's running total of refunds

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


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What the merchant registered: what is due, and at which accounts it is expected."""

    order_ref: str
    amount: int
    currency: str
    accounts: frozenset[str]


class Mismatch(StrEnum):
    """Why an event counts for nothing although its order is known."""

    UNEXPECTED_ACCOUNT = "unexpected_account"
    WRONG_CURRENCY = "wrong_currency"


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """An order's status and sums, in minor units of its currency.  `captured` is before refunds."""

    status: Status
    captured: int
    refunding: int
    refunded: int


class Concern(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a person must look at.  (kind, subject) names it once."""

    kind: str
    subject: str
    account: str | None = None
    details: dict[str, object] = msgspec.field(default_factory=dict)


# --- facts merge -----------------------------------------------------------------------------------------------------


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
    told = msgspec.structs.replace(known, standing=_latest(known.standing, _standing(event, PAYMENT_STEPS)))
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


_Register = TypeVar("_Register", Standing, Sum)


def _latest(known: _Register | None, told: _Register) -> _Register:
    return told if known is None else max(known, told)


# --- facts make a status ---------------------------------------------------------------------------------------------


class _Counted(msgspec.Struct, frozen=True, kw_only=True):
    """The facts that count for an order, added up: what the status table looks at."""

    due: int
    captured: int
    refunding: int
    refunded: int
    refund_pending: bool
    steps: frozenset[Step]


# The first line that holds is the status (the table of the design, line by line).
STATUS_TABLE: Final[tuple[tuple[Status, Callable[[_Counted], bool]], ...]] = (
    (Status.REFUNDING, lambda it: it.refund_pending),
    (Status.REFUNDED, lambda it: it.refunded > 0 and it.refunded >= it.captured),
    (Status.PARTIALLY_REFUNDED, lambda it: it.refunded > 0),
    (Status.PAID, lambda it: it.captured >= it.due),
    (Status.PARTIALLY_PAID, lambda it: it.captured > 0),
    (Status.PROCESSING, lambda it: not it.steps.isdisjoint((Step.PENDING, Step.AUTHORIZED))),
    (Status.FAILED, lambda it: not it.steps.isdisjoint((Step.FAILED, Step.CANCELLED))),
    (Status.UNPAID, lambda _: True),
)


def summarize(order: Order, facts: OrderFacts) -> Summary:
    """The one function that makes a status."""
    counted = _count(order, facts)
    status = next(status for status, holds in STATUS_TABLE if holds(counted))
    return Summary(status=status, captured=counted.captured, refunding=counted.refunding, refunded=counted.refunded)


def _count(order: Order, facts: OrderFacts) -> _Counted:
    captured = refunding = 0
    refund_pending = False
    steps = set[Step]()
    for (account, _), payment in facts.payments.items():
        captured += captured_of(order, account, payment)
        if _payment_counts(order, account, payment):
            steps.add(payment.step)
    for (account, _), refund in facts.refunds.items():
        if refund.standing.step is Step.PENDING and _refund_counts(order, account, refund):
            refund_pending = True
            refunding += _minor(refund)
    return _Counted(
        due=order.amount,
        captured=captured,
        refunding=refunding,
        refunded=_refunded(order, facts),
        refund_pending=refund_pending,
        steps=frozenset(steps),
    )


def _payment_counts(order: Order, account: str, payment: PaymentFacts) -> bool:
    """False where all that is known of it is in another currency, or where it is not expected."""
    if account not in order.accounts:
        return False
    if payment.asked is None and not payment.captures:
        return True
    in_asked = payment.asked is not None and payment.asked.currency == order.currency
    return in_asked or any(capture.currency == order.currency for capture in payment.captures.values())


def _refund_counts(order: Order, account: str, refund: ReturnFacts) -> bool:
    return account in order.accounts and (refund.amount is None or refund.amount.currency == order.currency)


def _refunded(order: Order, facts: OrderFacts) -> int:
    payers = {(account, refund.payment_ref) for (account, _), refund in facts.refunds.items()}
    payers |= {key for key, payment in facts.payments.items() if payment.given_back is not None}
    return sum(refunded_of(order, facts, payer) for payer in payers)


def captured_of(order: Order, account: str, payment: PaymentFacts) -> int:
    """What one payment brought in for this order."""
    captured = 0
    if account in order.accounts:
        for capture in payment.captures.values():
            if capture.currency == order.currency:
                captured += capture.minor
    return captured


def refunded_of(order: Order, facts: OrderFacts, payer: tuple[str, str | None]) -> int:
    """What one payment (account, payment reference or None) gave back.

    The greater of the sum of its succeeded refunds, and the gateway's running total less the known refunds that are
    pending or that failed once the total was reported: a total counts refunds from the moment they are made.
    """
    account, payment_ref = payer
    if account not in order.accounts:
        return 0
    refunds = [
        refund
        for (at_account, _), refund in facts.refunds.items()
        if at_account == account
        and refund.payment_ref == payment_ref
        and refund.amount
        and refund.amount.currency == order.currency
    ]
    succeeded = sum(_minor(refund) for refund in refunds if refund.standing.step is Step.SUCCEEDED)
    payment = facts.payments.get((account, payment_ref)) if payment_ref else None
    if payment is None or payment.given_back is None or payment.given_back.currency != order.currency:
        return succeeded
    total = payment.given_back
    not_given = sum(_minor(refund) for refund in refunds if _is_in_total_but_not_given(refund.standing, total))
    return max(succeeded, total.minor - not_given)


def _is_in_total_but_not_given(standing: Standing, total: Sum) -> bool:
    # Within one instant the failure is the later word, as its rank is the higher.
    return standing.step is Step.PENDING or (standing.step is Step.FAILED and standing.at >= total.at)


def _minor(refund: ReturnFacts) -> int:
    return refund.amount.minor if refund.amount else 0


# --- what needs a person ---------------------------------------------------------------------------------------------


def mismatch_of(order: Order, event: PaymentEvent) -> Mismatch | None:
    """Why the event counts for nothing at this order, or None."""
    if event.account not in order.accounts:
        return Mismatch.UNEXPECTED_ACCOUNT
    if event.currency is not None and event.currency != order.currency:
        return Mismatch.WRONG_CURRENCY
    return None


def concerns(order: Order, facts: OrderFacts) -> Iterator[Concern]:
    """Everything about these facts that opens a case, each named so that it opens once."""
    yield from _mismatched_objects(order, facts)
    yield from _sums_that_disagree(order, facts)
    for (account, dispute_ref), dispute in facts.disputes.items():
        if dispute.standing.step is not Step.WON:
            yield Concern(kind="disputed", subject=f"dispute:{account}/{dispute_ref}", account=account)


def _mismatched_objects(order: Order, facts: OrderFacts) -> Iterator[Concern]:
    for (account, ref), payment in facts.payments.items():
        told = [payment.asked, payment.given_back, *payment.captures.values()]
        yield from _mismatches(order, "payment", account, ref, told)
    for (account, ref), refund in facts.refunds.items():
        yield from _mismatches(order, "refund", account, ref, [refund.amount])
    for (account, ref), dispute in facts.disputes.items():
        yield from _mismatches(order, "dispute", account, ref, [dispute.amount])


def _mismatches(order: Order, name: str, account: str, ref: str, told: Iterable[Sum | None]) -> Iterator[Concern]:
    if account not in order.accounts:
        yield Concern(kind=Mismatch.UNEXPECTED_ACCOUNT, subject=f"{name}:{account}/{ref}", account=account)
    foreign = {amount.currency for amount in told if amount is not None and amount.currency != order.currency}
    if foreign:
        details: dict[str, object] = {"currencies": sorted(foreign), "expected": order.currency}
        subject = f"{name}:{account}/{ref}"
        yield Concern(kind=Mismatch.WRONG_CURRENCY, subject=subject, account=account, details=details)


def _sums_that_disagree(order: Order, facts: OrderFacts) -> Iterator[Concern]:
    brought_in = [captured_of(order, key[0], payment) for key, payment in facts.payments.items()]
    captured, refunded = sum(brought_in), _refunded(order, facts)
    subject = f"order:{order.order_ref}"
    details: dict[str, object] = {"captured": captured, "due": order.amount, "currency": order.currency}
    if captured > order.amount:
        covering = sum(part >= order.amount for part in brought_in)
        yield Concern(kind="paid_twice" if covering > 1 else "overpaid", subject=subject, details=details)
    if refunded > captured > 0:  # before any capture is known the payment's own event is merely late
        yield Concern(kind="refunded_more_than_captured", subject=subject, details={**details, "refunded": refunded})


def failure_of(payment: PaymentFacts) -> FailureClass | None:
    """Why a payment stands failed or cancelled, if the gateway said."""
    standing = payment.standing
    return FailureClass(standing.failure) if standing and standing.failure else None
