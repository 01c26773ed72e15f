"""What GoCardless's events and objects say: one event in its own words, and a payment's events together.

Sources: GoCardless's API reference, "Events" (actions, causes, retries), "Payments" and "Refunds" (status).
Not certain: whether a payment's `amount_refunded` counts a refund that is on its way, or that failed after it was paid;
it is taken for a running total, which the domain sets against the refunds it knows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.kit.fields import at, integer, moment_from_rfc3339, text, text_or_none
from tillkeeper.gateways.kit.unknown_words import unknown_word

CHARGEBACK: Final = "chargeback"  # has no object of its own here: it is named after its payment, with this behind it

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
    "late_failure_settled": Kind.PAYMENT_REVERSED,
}
OF_NO_ORDER: Final = frozenset(
    {"surcharge_fee_debited", "surcharge_fee_credited"}
)  # actions that move no payer's money
DISPUTES: Final[Mapping[str, str]] = {
    "charged_back": CHARGEBACK,
    "chargeback_cancelled": CHARGEBACK,
    "chargeback_settled": CHARGEBACK,
}

# A success needs its amount, and a failure what came before and after it: the gateway is asked for both.
ASKED_ACTIONS: Final = frozenset({"confirmed", "paid_out", "failed", "late_failure_settled"})

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
    """What one event or object says.  `took_back` is a collection that failed, at once or after it had succeeded."""

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
        if action not in OF_NO_ORDER:
            unknown_word("action of a payment", action)
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
    """What a payment and its events, newest first, say: what came in, what undid it, where it stands, each dispute.

    The status says alone what is not in the list, for that ends eighteen months back.
    """
    facts = sorted(filter(None, map(fact_of, reversed(events))), key=lambda it: it.at)  # stable: the list's order
    course = _course_of(facts)
    status = text(payment, "status")
    kind = PAYMENT_STATUSES.get(status)
    if kind is None:
        unknown_word("status of a payment", status)
    elif kind is Kind.PAYMENT_SUCCEEDED and not course.is_collected:
        course.success, course.is_collected = Fact(kind=kind, at=told_at), True
    elif kind is Kind.PAYMENT_FAILED and course.is_collected:
        course.reversal, course.is_collected = Fact(kind=Kind.PAYMENT_REVERSED, at=told_at), False
        course.standing = _by_status(kind, told_at)
    elif not course.is_collected:
        # What is to be collected again has the status `failed` meanwhile: its event tells which.
        is_told = status == "failed" and course.standing is not None and course.standing.took_back
        if not is_told and (course.standing is None or course.standing.kind is not kind):
            course.standing = _by_status(kind, told_at)
    if status == "charged_back" and course.chargeback is None:
        course.chargeback = Fact(kind=Kind.DISPUTE_OPENED, at=told_at, dispute=CHARGEBACK)
    standing = None if course.is_collected else course.standing
    return tuple(filter(None, (course.success, course.reversal, standing, course.chargeback)))


@dataclass
class _Course:
    """What became of a payment: the last collection, what undid the one before or this one, and what came since."""

    success: Fact | None = None
    is_collected: bool = False
    reversal: Fact | None = None
    standing: Fact | None = None
    chargeback: Fact | None = None


def _course_of(facts: Sequence[Fact]) -> _Course:
    """A late failure is settled some days after it failed, when it may be collected again already."""
    course = _Course()
    for fact in facts:
        if fact.dispute is not None:
            course.chargeback = fact
        elif fact.kind is Kind.PAYMENT_SUCCEEDED:
            if not course.is_collected:
                course.success, course.is_collected = _after(course.reversal, fact), True
        elif fact.kind is Kind.PAYMENT_REVERSED:
            if course.is_collected and course.reversal is None:
                course.reversal, course.is_collected = fact, False
        else:
            if fact.took_back and course.is_collected:
                course.reversal = Fact(kind=Kind.PAYMENT_REVERSED, at=fact.at)
                course.is_collected = False
            course.standing = fact
    return course


def _after(reversal: Fact | None, success: Fact) -> Fact:
    """Of one second the list tells which came later; a reversal would undo what is not later than itself."""
    if reversal is None or success.at > reversal.at:
        return success
    return msgspec.structs.replace(success, at=reversal.at + timedelta(seconds=1))


def _by_status(kind: Kind, told_at: datetime) -> Fact:
    return Fact(kind=kind, at=told_at, failure=FailureClass.UNKNOWN if kind in TELLS_WHY else None)


def refund_fact(refund: object, told_at: datetime) -> Fact | None:
    """One refund by its status: pending since it was made, so that no outcome can seem to lie before it."""
    status = text(refund, "status")
    if status not in REFUND_STATUSES:
        unknown_word("status of a refund", status)
        return None
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
