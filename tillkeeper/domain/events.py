"""Defines the canonical event, which every gateway's delivery, query answer or statement line becomes."""

import re
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from tillkeeper.domain.failures import FailureClass
from tillkeeper.domain.masking import masked

_UNKEEPABLE: Final = re.compile("[\x00\ud800-\udfff]")
REF_CHARS_MAX: Final = 255  # Stripe allows 500 in metadata, but no merchant's order reference seen passes 64


class Kind(StrEnum):
    """What happened, in the words of the contract."""

    PAYMENT_PENDING = "payment.pending"
    PAYMENT_AUTHORIZED = "payment.authorized"
    PAYMENT_SUCCEEDED = "payment.succeeded"
    PAYMENT_FAILED = "payment.failed"
    PAYMENT_CANCELLED = "payment.cancelled"
    PAYMENT_REVERSED = "payment.reversed"
    REFUND_PENDING = "refund.pending"
    REFUND_SUCCEEDED = "refund.succeeded"
    REFUND_FAILED = "refund.failed"
    DISPUTE_OPENED = "dispute.opened"
    DISPUTE_WON = "dispute.won"
    DISPUTE_LOST = "dispute.lost"

    is_payment: bool  # it happens to a payment itself
    is_refund: bool  # it happens to a refund, or to a payment's running total of refunds
    is_dispute: bool

    def __init__(self, word: str) -> None:
        """Tells once what a kind happens to, for each event asks this several times."""
        self.is_payment = word.startswith("payment.")
        self.is_refund = word.startswith("refund.")
        self.is_dispute = word.startswith("dispute.")


class Evidence(StrEnum):
    """Where an event came from."""

    WEBHOOK = "webhook"
    QUERY = "query"
    STATEMENT = "statement"
    OPERATOR = "operator"


class PaymentEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One fact about one payment, refund or dispute at one account.

    `amount` is this event's, in minor units; `total` stands instead where the gateway reports a running total of
    what a payment gave back.  `occurred_at` is aware, in UTC, cut to the gateway's own resolution, so that two
    events of one instant compare as equal and are ordered by rank.  `event_id` is unique within its account.

    `as_of` is the moment for which the gateway says so, where that is not when it happened: an answer tells the state
    as of the answer.  `discount`, in minor units, is what the gateway granted off the amount due (Stripe Checkout's
    promotion codes).  `has_refunds` says that something was given back, and not what (WeChat Pay's state REFUND).
    `on_top` is what the payer gave besides what the order is due, and is not in `amount` (tips, fees).  `released` is
    how much of an authorization was let go; where a gateway tells that as a refund, that refund `may_be_release`.
    An authorization that names a capture is captured in parts, and stands beside what was captured without a name.
    A reversal names the capture that it undoes; without `capture_ref` it undoes all captures up to its time.

    A payment event names its payment; a refund event its refund, or its payment's running total; a dispute event its
    dispute.  `problem_with` says what is missing.
    """

    event_id: str
    kind: Kind
    account: str
    occurred_at: datetime
    evidence: Evidence = Evidence.WEBHOOK
    order_ref: str | None = None
    payment_ref: str | None = None
    capture_ref: str | None = None
    refund_ref: str | None = None
    dispute_ref: str | None = None
    amount: int | None = None
    total: int | None = None
    currency: str | None = None
    failure: FailureClass | None = None
    failure_code: str | None = None
    method: str | None = None  # the payment method in the gateway's own word: card, sepa_debit, JSAPI
    as_of: datetime | None = None
    discount: int | None = None
    has_refunds: bool = False
    on_top: int | None = None
    released: int | None = None
    may_be_release: bool = False

    def __post_init__(self) -> None:
        """Removes contacts from what a gateway wrote in its own words."""
        if self.failure_code is not None and (kept := masked(self.failure_code)) != self.failure_code:
            msgspec.structs.force_setattr(self, "failure_code", kept)

    @property
    def known_at(self) -> datetime:
        """Returns the moment as of which it holds: of two events about one thing the later one counts."""
        return self.occurred_at if self.as_of is None else self.as_of


def problem_with(event: PaymentEvent) -> str | None:
    """Says what is wrong with an event, or returns None.  Gateways ask this before they return an event."""
    if event.payment_ref is None and (event.kind.is_payment or event.total is not None):
        return f"{event.kind} needs payment_ref"
    if event.refund_ref is None and event.kind.is_refund and event.total is None:
        return f"{event.kind} needs refund_ref"
    if event.dispute_ref is None and event.kind.is_dispute:
        return f"{event.kind} needs dispute_ref"
    return _problem_with_amounts(event) or (None if _are_keepable(event) else _problem_with_references(event))


def _problem_with_amounts(event: PaymentEvent) -> str | None:
    if event.amount is None and event.kind is Kind.PAYMENT_SUCCEEDED:
        return f"{event.kind} needs amount"
    if event.currency is None and not (event.amount is event.total is event.on_top is event.released is None):
        return f"{event.kind} needs currency"
    if event.total is not None and not event.kind.is_refund:
        return f"{event.kind} cannot carry a running total"
    if event.discount is not None and event.kind is not Kind.PAYMENT_SUCCEEDED:
        return f"{event.kind} cannot carry a discount"
    if min(event.amount or 0, event.total or 0, event.discount or 0, event.on_top or 0, event.released or 0) < 0:
        return "an amount is negative"
    return None


def _are_keepable(event: PaymentEvent) -> bool:
    """Returns True if nothing is wrong with the references, as nearly always; it need not be able to name them."""
    for value in (
        event.event_id,
        event.order_ref,
        event.payment_ref,
        event.capture_ref,
        event.refund_ref,
        event.dispute_ref,
        event.method,
    ):
        if value is not None and not (0 < len(value) <= REF_CHARS_MAX and value.isprintable()):
            return False
    return True


def _problem_with_references(event: PaymentEvent) -> str | None:
    for name, value in (
        ("event_id", event.event_id),
        ("order_ref", event.order_ref),
        ("payment_ref", event.payment_ref),
        ("capture_ref", event.capture_ref),
        ("refund_ref", event.refund_ref),
        ("dispute_ref", event.dispute_ref),
        ("method", event.method),
    ):
        if value is None:
            continue
        if not 0 < len(value) <= REF_CHARS_MAX:
            return f"{name} must have 1 to {REF_CHARS_MAX} characters"
        if not value.isprintable() and _UNKEEPABLE.search(value):  # faster for printable text, as nearly all is
            return f"{name} holds a character that no database can keep"
    return None
