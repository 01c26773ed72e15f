"""Reads what Mercado Pago's payments say of themselves, of their refunds and of their chargeback.

Sources: Mercado Pago's pages "Get payment status", "Chargebacks" and "Refunds and cancellations"; its API reference.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

import msgspec

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit.fact import Fact
from tillkeeper.gateways.kit.fields import (
    at,
    moment_from_rfc3339,
    reference_or_none,
    text,
    text_or_none,
    written_or_none,
)
from tillkeeper.gateways.kit.units import from_major, is_currency
from tillkeeper.gateways.kit.unknown_words import known_or_none

PAYMENT_STATUSES: Final = {
    "pending": Kind.PAYMENT_PENDING,
    "in_process": Kind.PAYMENT_PENDING,
    "authorized": Kind.PAYMENT_AUTHORIZED,
    "approved": Kind.PAYMENT_SUCCEEDED,
    "rejected": Kind.PAYMENT_FAILED,
    "cancelled": Kind.PAYMENT_CANCELLED,
    # It was paid; what became of the money since is told besides.
    "in_mediation": Kind.PAYMENT_SUCCEEDED,
    "refunded": Kind.PAYMENT_SUCCEEDED,
    "charged_back": Kind.PAYMENT_SUCCEEDED,
}

NOT_PAID: Final = frozenset({Kind.PAYMENT_FAILED, Kind.PAYMENT_CANCELLED})

UNTOLD: Final = ""
REFUND_STATUSES: Final = {
    UNTOLD: Kind.REFUND_SUCCEEDED,  # older refunds tell no status
    "approved": Kind.REFUND_SUCCEEDED,
    "in_process": Kind.REFUND_PENDING,
    "pending": Kind.REFUND_PENDING,
    "authorized": Kind.REFUND_PENDING,
    "rejected": Kind.REFUND_FAILED,
    "cancelled": Kind.REFUND_FAILED,
}

# A mediation that ends without a chargeback leaves its dispute open, for the payment does not tell how it ended.
DISPUTED: Final = frozenset({"in_mediation", "charged_back"})

# What a chargeback came to, by `status_detail`; it is open otherwise.
CHARGEBACKS: Final = {
    "settled": Kind.DISPUTE_LOST,
    "reimbursed": Kind.DISPUTE_WON,
}

# `status_detail`, with or without `cc_rejected_` before it.
FAILURES: Final = {
    "insufficient_amount": FailureClass.INSUFFICIENT_FUNDS,
    "insufficient_data": FailureClass.CARD_EXPIRED_OR_INVALID,
    "max_attempts": FailureClass.LIMIT_EXCEEDED,
    "cc_amount_rate_limit_exceeded": FailureClass.LIMIT_EXCEEDED,
    "amount_limit_exceeded": FailureClass.LIMIT_EXCEEDED,
    "bad_filled_": FailureClass.CARD_EXPIRED_OR_INVALID,  # whatever it was that was filled in badly
    "card_error": FailureClass.CARD_EXPIRED_OR_INVALID,
    "call_for_authorize": FailureClass.BANK_VERIFICATION_FAILED,
    "3ds_challenge": FailureClass.BANK_VERIFICATION_FAILED,
    "3ds_mandatory": FailureClass.BANK_VERIFICATION_FAILED,
    "card_disabled": FailureClass.ACCOUNT_FROZEN,
    "blacklist": FailureClass.SUSPECTED_FRAUD,
    "high_risk": FailureClass.SUSPECTED_FRAUD,
    "rejected_high_risk": FailureClass.SUSPECTED_FRAUD,
    "card_type_not_allowed": FailureClass.METHOD_UNAVAILABLE,
    "invalid_installments": FailureClass.METHOD_UNAVAILABLE,
    "rejected_by_bank": FailureClass.UNKNOWN,
    "duplicated_payment": FailureClass.UNKNOWN,
    "other_reason": FailureClass.UNKNOWN,
    "expired": FailureClass.EXPIRED_UNPAID,
    "by_payer": FailureClass.USER_CANCELLED,
    "by_collector": FailureClass.UNKNOWN,
}
REJECTED_PREFIX: Final = "cc_rejected_"
BAD_FILLED_PREFIX: Final = "bad_filled_"


def payment_facts(payment: object, reported_at: datetime) -> Iterator[Fact]:
    """Yields a payment's state, and what became of the money since."""
    status = text(payment, "status")
    kind = known_or_none(PAYMENT_STATUSES, status, "payment.status")
    currency = text(payment, "currency_id").upper()
    if kind is None or not is_currency(currency):
        return
    updated_at = _moment(payment, "date_last_updated") or reported_at
    state = _state(kind, payment, currency, updated_at)
    yield state
    beside = Fact(
        kind=kind,
        payment_ref=state.payment_ref,
        order_ref=state.order_ref,
        amount=state.amount,
        currency=currency,
        occurred_at=updated_at,
    )
    if kind is Kind.PAYMENT_SUCCEEDED:
        yield from _since_paid(payment, status, beside)
    elif kind in NOT_PAID and _moment(payment, "date_approved") is not None:  # it was, until it was taken back
        yield msgspec.structs.replace(beside, kind=Kind.PAYMENT_REVERSED, method=state.method)


def _state(kind: Kind, payment: object, currency: str, updated_at: datetime) -> Fact:
    failure, code = _failure(kind, text_or_none(payment, "status_detail"))
    approved_at = _moment(payment, "date_approved") if kind is Kind.PAYMENT_SUCCEEDED else None
    return Fact(
        kind=kind,
        payment_ref=id_of(payment),
        order_ref=order_ref_of(payment),
        amount=from_major(at(payment, ["transaction_amount"]), currency),
        currency=currency,
        occurred_at=approved_at or updated_at,
        failure=failure,
        failure_code=code,
        method=reference_or_none(at(payment, ["payment_type_id"])),
    )


def _since_paid(payment: object, status: str, beside: Fact) -> Iterator[Fact]:
    """Yields a paid payment's chargeback, its running total of refunds, and each refund."""
    if status in DISPUTED:
        kind = CHARGEBACKS.get(text_or_none(payment, "status_detail") or "", Kind.DISPUTE_OPENED)
        yield msgspec.structs.replace(beside, kind=kind, dispute_ref=f"chargeback-{beside.payment_ref}")
    currency = text(payment, "currency_id").upper()
    given_back = from_major(at(payment, ["transaction_amount_refunded"]) or 0, currency)
    total = given_back or (beside.amount if status == "refunded" else None)
    if total:
        yield msgspec.structs.replace(beside, kind=Kind.REFUND_SUCCEEDED, amount=None, total=total)
    for refund in list_in(payment, "refunds"):
        yield from _refund_facts(beside, refund, currency)


def _refund_facts(beside: Fact, refund: object, currency: str) -> Iterator[Fact]:
    """Reads one refund of a payment since it was made; it failed when the payment was last changed, or before."""
    kind = known_or_none(REFUND_STATUSES, text_or_none(refund, "status") or UNTOLD, "refund.status")
    made_at = moment_from_rfc3339(text(refund, "date_created"))
    if kind is None:
        return
    yield msgspec.structs.replace(
        beside,
        kind=kind,
        occurred_at=beside.occurred_at if kind is Kind.REFUND_FAILED else made_at,
        amount=from_major(at(refund, ["amount"]), currency),
        refund_ref=id_of(refund),
    )


def is_paid(payment: object) -> bool:
    """Tells whether a payment succeeded, whatever became of the money since."""
    return PAYMENT_STATUSES.get(text(payment, "status")) is Kind.PAYMENT_SUCCEEDED


def order_ref_of(payment: object) -> str | None:
    """Returns the merchant's own reference."""
    return written_or_none(at(payment, ["external_reference"]))


def id_of(subject: object) -> str:
    """Returns an id as text; it is a number mostly."""
    value = at(subject, ["id"])
    return str(value) if type(value) is int else text(subject, "id")


def list_in(subject: object, name: str) -> list[object]:
    """Returns the items of a list; none where it is absent."""
    value = at(subject, [name])
    if value is None:
        return []
    if not isinstance(value, list):
        raise BadPayload(f"{name} is no list")
    return value


def _failure(kind: Kind, detail: str | None) -> tuple[FailureClass | None, str | None]:
    if kind not in NOT_PAID:
        return None, None
    word = (detail or "").removeprefix(REJECTED_PREFIX)
    if word.startswith(BAD_FILLED_PREFIX):
        word = BAD_FILLED_PREFIX
    return FAILURES.get(word, FailureClass.UNKNOWN), detail


def _moment(payment: object, name: str) -> datetime | None:
    written = text_or_none(payment, name)
    return moment_from_rfc3339(written) if written else None
