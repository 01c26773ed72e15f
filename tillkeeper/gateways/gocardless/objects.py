"""Reads single events and refunds of GoCardless; `history` reads a payment's events together.

Sources: GoCardless's API reference, "Events" (actions, causes, retries), "Payments" and "Refunds" (status).
Not certain: whether a payment's `amount_refunded` counts a refund that is on its way, or that failed after it was paid;
it is taken for a running total, which the domain sets against the refunds it knows.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.kit.fact import Fact
from tillkeeper.gateways.kit.fields import at, integer, moment_from_rfc3339, text, text_or_none
from tillkeeper.gateways.kit.ignored_types import IgnoredTypes
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
OF_NO_ORDER: Final = frozenset({"surcharge_fee_debited", "surcharge_fee_credited"})  # they move no payer's money

# A success needs its amount, and a failure what came before and after it: GoCardless is asked for both.
NEEDS_QUERY: Final = frozenset({"confirmed", "paid_out", "failed", "late_failure_settled"})

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

# The other types of resources that events are about, by GoCardless's API reference ("Event types").
IGNORED: Final = IgnoredTypes(
    field="resource_type",
    names=frozenset(
        {
            *("billing_requests", "creditors", "customers", "exports", "instalment_schedules", "mandates"),
            *("organisations", "outbound_payments", "payer_authorisations", "payment_account_transactions", "payouts"),
            *("scheme_identifiers", "subscriptions"),
        }
    ),
)

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
HAS_CAUSE: Final = frozenset({Kind.PAYMENT_FAILED, Kind.PAYMENT_CANCELLED})


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a payment's history, and its time.

    `is_failure` marks a collection that failed, at once or after it had succeeded, also where it is tried again.
    """

    fact: Fact
    at: datetime
    is_failure: bool = False


def entry_of(event: object) -> Entry | None:
    """Returns what an event about a payment says; None for an action that changes nothing or that nobody knows."""
    action = text(event, "action")
    kind = ACTIONS.get(action)
    if kind is None:
        if action not in OF_NO_ORDER:
            unknown_word("action of a payment", action)
        return None
    if action == "failed" and at(event, ["details", "will_attempt_retry"]) is True:
        kind = Kind.PAYMENT_PENDING  # GoCardless collects it again by itself
    happened_at = moment_from_rfc3339(text(event, "created_at"))
    fact = payment_fact(text(event, "links", "payment"), kind, happened_at)
    if kind in HAS_CAUSE and (cause := text_or_none(event, "details", "cause")) is not None:
        failure = CAUSES.get(cause, FailureClass.UNKNOWN)
        fact = msgspec.structs.replace(fact, failure=failure, failure_code=cause)
    return Entry(fact=fact, at=happened_at, is_failure=action == "failed")


def payment_fact(payment_ref: str, kind: Kind, happened_at: datetime) -> Fact:
    """Returns a payment, or its chargeback, as that, with no cause known."""
    return Fact(
        kind=kind,
        payment_ref=payment_ref,
        dispute_ref=f"{payment_ref}:{CHARGEBACK}" if kind.is_dispute else None,
        occurred_at=happened_at,
        failure=FailureClass.UNKNOWN if kind in HAS_CAUSE else None,
    )


def refund_fact(refund: object, reported_at: datetime) -> Fact | None:
    """One refund by its status, of a payment that the caller knows.

    It is pending since it was made, so that no outcome can seem to lie before it.
    """
    status = text(refund, "status")
    if status not in REFUND_STATUSES:
        unknown_word("status of a refund", status)
        return None
    kind = REFUND_STATUSES[status]
    failed = kind is Kind.REFUND_FAILED
    return Fact(
        kind=kind,
        payment_ref=None,
        refund_ref=text(refund, "id"),
        occurred_at=moment_from_rfc3339(text(refund, "created_at")) if kind is Kind.REFUND_PENDING else reported_at,
        failure=FailureClass.UNKNOWN if failed else None,
        failure_code=status if failed else None,
    )


def amount_at(subject: object, name: str) -> int:
    """Returns a whole number, which newer pages of the reference write as text."""
    written = at(subject, [name])
    if isinstance(written, str) and written.isascii() and written.isdigit():
        return int(written[:AMOUNT_CHARS_MAX])
    return integer(subject, name)


AMOUNT_CHARS_MAX: Final = 18  # beyond any amount of money, and refused as such
