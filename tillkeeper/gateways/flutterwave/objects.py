"""What Flutterwave's objects say, of both versions: charges or transactions, refunds and chargebacks.

Sources: Flutterwave's pages "Webhooks", "Transaction verification", "Refunds" and "Chargebacks", of v3 and of v4.
"""

from datetime import datetime
from typing import Final

from tillkeeper.domain.events import Kind, PaymentEvent
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.errors import BadPayload
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

FAILURE_CODE_CHARS_MAX: Final = 100

# v3 says "successful" where v4 says "succeeded".
CHARGE_STATUSES: Final = {
    "succeeded": Kind.PAYMENT_SUCCEEDED,
    "successful": Kind.PAYMENT_SUCCEEDED,
    "pending": Kind.PAYMENT_PENDING,
    "failed": Kind.PAYMENT_FAILED,
    "cancelled": Kind.PAYMENT_CANCELLED,
    "voided": Kind.PAYMENT_CANCELLED,
}

# What stands before a hyphen: v3 says how besides, as in completed-mpgs.
REFUND_STATUSES: Final = {
    "completed": Kind.REFUND_SUCCEEDED,
    "succeeded": Kind.REFUND_SUCCEEDED,
    "successful": Kind.REFUND_SUCCEEDED,
    "new": Kind.REFUND_PENDING,
    "pending": Kind.REFUND_PENDING,
    "processing": Kind.REFUND_PENDING,
    "requires_action": Kind.REFUND_PENDING,
    "failed": Kind.REFUND_FAILED,
    "cancelled": Kind.REFUND_FAILED,
}

# One that is declined is contested, and not yet won.
CHARGEBACK_STATUSES: Final = {
    "won": Kind.DISPUTE_WON,
    "lost": Kind.DISPUTE_LOST,
    "accepted": Kind.DISPUTE_LOST,
}

# What the processor says is free text, or a word of it: the first line that it holds tells the class.
FAILURES: Final[tuple[tuple[str, FailureClass], ...]] = (
    ("insufficient", FailureClass.INSUFFICIENT_FUNDS),
    ("limit", FailureClass.LIMIT_EXCEEDED),
    ("timed out", FailureClass.NETWORK_TIMEOUT),
    ("timeout", FailureClass.NETWORK_TIMEOUT),
    ("inoperative", FailureClass.NETWORK_TIMEOUT),
    ("pin", FailureClass.BANK_VERIFICATION_FAILED),
    ("otp", FailureClass.BANK_VERIFICATION_FAILED),
    ("authenticat", FailureClass.BANK_VERIFICATION_FAILED),
    ("fraud", FailureClass.SUSPECTED_FRAUD),
    ("expired card", FailureClass.CARD_EXPIRED_OR_INVALID),
    ("card expired", FailureClass.CARD_EXPIRED_OR_INVALID),
    ("restricted", FailureClass.ACCOUNT_FROZEN),
    ("lost card", FailureClass.ACCOUNT_FROZEN),
    ("stolen", FailureClass.ACCOUNT_FROZEN),
    ("blocked", FailureClass.ACCOUNT_FROZEN),
    ("not permitted", FailureClass.METHOD_UNAVAILABLE),
    ("not supported", FailureClass.METHOD_UNAVAILABLE),
    ("cancel", FailureClass.USER_CANCELLED),
    ("invalid", FailureClass.CARD_EXPIRED_OR_INVALID),
    ("system error", FailureClass.GATEWAY_FAULT),
    ("system malfunction", FailureClass.GATEWAY_FAULT),
)


def charge_event(account: str, charge: object, occurred_at: datetime) -> PaymentEvent | None:
    """One charge, by its status: the event of its completion is sent for failures, too.

    Fees that the payer bears stand in `charged_amount` alone.
    """
    kind = known_or_none(CHARGE_STATUSES, text(charge, "status"), "charge.status")
    currency = text(charge, "currency").upper()
    if kind is None or not is_currency(currency):
        return None
    failure, code = _why(kind, charge)
    return PaymentEvent(
        event_id="",
        kind=kind,
        account=account,
        occurred_at=occurred_at,
        order_ref=order_ref_of(charge),
        payment_ref=number(charge, "id"),
        amount=from_major(at(charge, ["amount"]), currency),
        currency=currency,
        failure=failure,
        failure_code=code,
        method=_method(charge),
    )


def refund_event(account: str, refund: object, occurred_at: datetime, currency: str | None) -> PaymentEvent | None:
    """One refund, by its status; `currency` is that of refunds which tell none."""
    kind = known_or_none(REFUND_STATUSES, text(refund, "status").partition("-")[0], "refund.status")
    told = (text_or_none(refund, "currency") or currency or "").upper()
    if not told:
        raise BadPayload("the refund tells no currency, and the setting `currency` is not there")
    if kind is None or not is_currency(told):
        return None
    amount = at(refund, ["amount_refunded"])
    return PaymentEvent(
        event_id="",
        kind=kind,
        account=account,
        occurred_at=occurred_at,
        payment_ref=number_or_none(refund, "charge_id") or number_or_none(refund, "tx_id"),
        refund_ref=number(refund, "id"),
        amount=from_major(at(refund, ["amount"]) if amount is None else amount, told),
        currency=told,
        failure=FailureClass.UNKNOWN if kind is Kind.REFUND_FAILED else None,
    )


def chargeback_event(account: str, chargeback: object, occurred_at: datetime, currency: str | None) -> PaymentEvent:
    """One chargeback: open until its status says how it ended."""
    told = (text_or_none(chargeback, "currency") or currency or "").upper() or None
    if told is not None and not is_currency(told):
        told = None
    amount = at(chargeback, ["amount"])
    return PaymentEvent(
        event_id="",
        kind=CHARGEBACK_STATUSES.get(text(chargeback, "status"), Kind.DISPUTE_OPENED),
        account=account,
        occurred_at=occurred_at,
        payment_ref=number_or_none(chargeback, "charge_id"),
        dispute_ref=number(chargeback, "id"),
        amount=None if told is None or amount is None else from_major(amount, told),
        currency=told,
    )


def order_ref_of(charge: object) -> str | None:
    """What the merchant wrote down, or else the reference that it gave to the charge.  Meta may hold anything."""
    meta = at(charge, ["meta"])
    told = written_or_none(meta.get("order_id")) if isinstance(meta, dict) else None
    return told or text_or_none(charge, "reference") or text_or_none(charge, "tx_ref")


def made_at(subject: object) -> datetime | None:
    """When an object was made, where it tells."""
    told = text_or_none(subject, "created_datetime") or text_or_none(subject, "created_at")
    return moment_from_rfc3339(told) if told else None


def number_or_none(subject: object, name: str) -> str | None:
    """An id as text: v3 counts, v4 writes chg_... and the like."""
    value = at(subject, [name])
    return str(value) if type(value) is int else text_or_none(subject, name)


def number(subject: object, name: str) -> str:
    """The same, which must be there."""
    value = number_or_none(subject, name)
    if value is None:
        raise BadPayload(f"{name} is missing")
    return value


def _why(kind: Kind, charge: object) -> tuple[FailureClass | None, str | None]:
    if kind not in {Kind.PAYMENT_FAILED, Kind.PAYMENT_CANCELLED}:
        return None, None
    said = at(charge, ["processor_response"])
    if isinstance(said, dict):  # v4's has a type and a code
        said = said.get("type") or said.get("code")
    if not isinstance(said, str) or not said:
        return FailureClass.UNKNOWN, None
    words = said.lower().replace("_", " ")
    return next((it for found, it in FAILURES if found in words), FailureClass.UNKNOWN), said[:FAILURE_CODE_CHARS_MAX]


def _method(charge: object) -> str | None:
    """How the payer pays.  No money hangs on it: what is odd is unknown."""
    method = at(charge, ["payment_method"])
    told = method.get("type") if isinstance(method, dict) else at(charge, ["payment_type"])
    return reference_or_none(told)
