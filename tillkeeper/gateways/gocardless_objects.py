"""What GoCardless's events and objects say: one event in its own words, and a payment's events together.

Sources: GoCardless's API reference, "Events" (actions, causes, retries), "Payments" and "Refunds" (status).
Not certain: whether a payment's `amount_refunded` counts a refund that is on its way, or that failed after it was paid;
it is taken for a running total, which the domain sets against the refunds it knows.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.base import BadPayload
from tillkeeper.gateways.fields import at, integer, moment_from_rfc3339, text, text_or_none

# Disputes have no objects of their own here: they are named after their payment, with one of these behind it.
CHARGEBACK: Final = "chargeback"
LATE_FAILURE: Final = "late-failure"

ACTIONS: Final[Mapping[str, Kind]] = {
    "created": Kind.PAYMENT_PENDING,
    "customer_approval_granted": Kind.PAYMENT_PENDING,
    "customer_approval_denied": Kind.PAYMENT_CANCELLED,
    "submitted": Kind.PAYMENT_PENDING,
    "resubmission_requested": Kind.PAYMENT_PENDING,
    "confirmed": Kind.PAYMENT_SUCCEEDED,
    "paid_out": Kind.PAYMENT_SUCCEEDED,
    "failed": Kind.PAYMENT_FAILED,
    "cancelled": Kind.PAYMENT_CANCELLED,
    "charged_back": Kind.DISPUTE_OPENED,
    "chargeback_cancelled": Kind.DISPUTE_WON,
    "chargeback_settled": Kind.DISPUTE_LOST,
    "late_failure_settled": Kind.DISPUTE_LOST,
}
DISPUTES: Final[Mapping[str, str]] = {
    "charged_back": CHARGEBACK,
    "chargeback_cancelled": CHARGEBACK,
    "chargeback_settled": CHARGEBACK,
    "late_failure_settled": LATE_FAILURE,
}

# A success needs its amount, and a failure what came before it: the gateway is asked for both.
ASKED_ACTIONS: Final = frozenset({"confirmed", "paid_out", "failed"})

PAYMENT_STATUSES: Final[Mapping[str, Kind]] = {
    "pending_customer_approval": Kind.PAYMENT_PENDING,
    "pending_submission": Kind.PAYMENT_PENDING,
    "submitted": Kind.PAYMENT_PENDING,
    "confirmed": Kind.PAYMENT_SUCCEEDED,
    "paid_out": Kind.PAYMENT_SUCCEEDED,
    "charged_back": Kind.PAYMENT_SUCCEEDED,  # only what was collected can be charged back
    "cancelled": Kind.PAYMENT_CANCELLED,
    "customer_approval_denied": Kind.PAYMENT_CANCELLED,
    "failed": Kind.PAYMENT_FAILED,
}

REFUND_ACTIONS: Final = frozenset(
    {"created", "submitted", "paid", "failed", "bounced", "cancelled", "funds_returned", "refund_settled"}
)
REFUND_STATUSES: Final[Mapping[str, Kind]] = {
    "created": Kind.REFUND_PENDING,
    "pending_submission": Kind.REFUND_PENDING,
    "submitted": Kind.REFUND_PENDING,
    "paid": Kind.REFUND_SUCCEEDED,
    "failed": Kind.REFUND_FAILED,
    "bounced": Kind.REFUND_FAILED,
    "cancelled": Kind.REFUND_FAILED,
    "funds_returned": Kind.REFUND_FAILED,  # the payer's bank sent it back to the merchant
}

CAUSES: Final[Mapping[str, FailureClass]] = {
    "insufficient_funds": FailureClass.INSUFFICIENT_FUNDS,
    "refer_to_payer": FailureClass.INSUFFICIENT_FUNDS,  # the banks' word for it where they may not say more
    "bank_account_closed": FailureClass.ACCOUNT_FROZEN,
    "bank_account_transferred": FailureClass.ACCOUNT_FROZEN,
    "bank_account_blocked": FailureClass.ACCOUNT_FROZEN,
    "account_blocked_for_any_financial_transaction": FailureClass.ACCOUNT_FROZEN,
    "authorisation_disputed": FailureClass.BANK_VERIFICATION_FAILED,
    "invalid_bank_details": FailureClass.BANK_VERIFICATION_FAILED,
    "mandate_cancelled": FailureClass.METHOD_UNAVAILABLE,
    "bank_account_disabled": FailureClass.METHOD_UNAVAILABLE,
    "direct_debit_not_enabled": FailureClass.METHOD_UNAVAILABLE,
    "customer_approval_denied": FailureClass.USER_CANCELLED,
    "payment_cancelled": FailureClass.USER_CANCELLED,
    "refund_requested": FailureClass.USER_CANCELLED,
    "mandate_expired": FailureClass.EXPIRED_UNPAID,
}
TELLS_WHY: Final = frozenset({Kind.PAYMENT_FAILED, Kind.PAYMENT_CANCELLED})


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """What one event or object says.  `took_back` is a collection that failed, now or after it had succeeded."""

    kind: Kind
    at: datetime
    dispute: str | None = None
    took_back: bool = False
    failure: FailureClass | None = None
    failure_code: str | None = None


def fact_of(event: object) -> Fact | None:
    """What an event about a payment says; None for an action that changes nothing or that nobody knows."""
    action = text(event, "action")
    kind = ACTIONS.get(action)
    if kind is None:
        return None
    if action == "failed" and at(event, ["details", "will_attempt_retry"]) is True:
        kind = Kind.PAYMENT_PENDING  # GoCardless collects it again by itself
    cause = text_or_none(event, "details", "cause") if kind in TELLS_WHY else None
    return Fact(
        kind=kind,
        at=moment_from_rfc3339(text(event, "created_at")),
        dispute=DISPUTES.get(action),
        took_back=action == "failed",
        failure=CAUSES.get(cause or "", FailureClass.UNKNOWN) if kind in TELLS_WHY else None,
        failure_code=cause,
    )


def facts_of(payment: object, events: Sequence[object], told_at: datetime) -> tuple[Fact, ...]:
    """What a payment and its events, newest first, say: where it stands, and each dispute about it.

    The status says alone what is not in the list, for that ends eighteen months back.
    """
    facts = sorted(filter(None, map(fact_of, reversed(events))), key=lambda it: it.at)  # stable: the list's order
    standing = next((it for it in facts if it.kind is Kind.PAYMENT_SUCCEEDED), None)
    was_paid = standing is not None
    for fact in [] if was_paid else facts:
        standing = standing if fact.dispute else fact
    disputes = _disputes(facts)
    status = text(payment, "status")
    if status not in PAYMENT_STATUSES:
        raise BadPayload("status of the payment is none that is known")
    kind = PAYMENT_STATUSES[status]
    # What is to be collected again has the status `failed` meanwhile: its event tells which.
    is_told = was_paid or (status == "failed" and standing is not None and standing.took_back)
    if standing is None or not (is_told or standing.kind is kind):
        failure = FailureClass.UNKNOWN if kind in TELLS_WHY else None
        standing = Fact(kind=kind, at=told_at, failure=failure)
    if status == "charged_back" and CHARGEBACK not in disputes:
        disputes[CHARGEBACK] = Fact(kind=Kind.DISPUTE_OPENED, at=told_at, dispute=CHARGEBACK)
    if status == "failed" and was_paid and LATE_FAILURE not in disputes:
        disputes[LATE_FAILURE] = Fact(kind=Kind.DISPUTE_LOST, at=told_at, dispute=LATE_FAILURE)
    return (standing, *disputes.values())


def _disputes(facts: Sequence[Fact]) -> dict[str, Fact]:
    """The last word on each.  What failed after it was paid is lost, and won back if it is collected again."""
    disputes = dict[str, Fact]()
    was_paid = False
    for fact in facts:
        if fact.dispute is not None:
            disputes[fact.dispute] = fact
        elif fact.kind is Kind.PAYMENT_SUCCEEDED:
            was_paid = True
            if LATE_FAILURE in disputes:
                disputes[LATE_FAILURE] = Fact(kind=Kind.DISPUTE_WON, at=fact.at, dispute=LATE_FAILURE)
        elif fact.took_back and was_paid:
            disputes[LATE_FAILURE] = Fact(kind=Kind.DISPUTE_LOST, at=fact.at, dispute=LATE_FAILURE)
    return disputes


def refund_fact(refund: object, told_at: datetime) -> Fact:
    """One refund by its status: pending since it was made, so that no outcome can seem to lie before it."""
    status = text(refund, "status")
    if status not in REFUND_STATUSES:
        raise BadPayload("status of the refund is none that is known")
    kind = REFUND_STATUSES[status]
    since = moment_from_rfc3339(text(refund, "created_at")) if kind is Kind.REFUND_PENDING else told_at
    failed = kind is Kind.REFUND_FAILED
    return Fact(
        kind=kind, at=since, failure=FailureClass.UNKNOWN if failed else None, failure_code=status if failed else None
    )


def amount_of(subject: object, name: str) -> int:
    """A whole number, which newer pages of the reference write as text."""
    written = at(subject, [name])
    if isinstance(written, str) and written.isascii() and written.isdigit():
        return int(written[:AMOUNT_CHARS_MAX])
    return integer(subject, name)


AMOUNT_CHARS_MAX: Final = 18  # beyond any amount of money, and refused as such
