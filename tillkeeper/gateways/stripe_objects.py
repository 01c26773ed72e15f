"""What Stripe's objects say: each becomes a fact about a payment, a refund or a dispute, by webhook or by query.

Sources: Stripe's API reference for objects, types and units ("Zero-decimal currencies", "Special cases"); its "Decline
codes" page for failures.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways import units
from tillkeeper.gateways.base import BadPayload
from tillkeeper.gateways.fields import at, integer, text, text_or_none

METHOD_CHARS_MAX: Final = 64  # us_bank_account has 15

REFUND_STATUSES: Final = {
    "pending": Kind.REFUND_PENDING,
    "requires_action": Kind.REFUND_PENDING,
    "succeeded": Kind.REFUND_SUCCEEDED,
    "failed": Kind.REFUND_FAILED,
    "canceled": Kind.REFUND_FAILED,
}

DISPUTE_STATUSES: Final = {
    "warning_needs_response": Kind.DISPUTE_OPENED,
    "warning_under_review": Kind.DISPUTE_OPENED,
    "warning_closed": Kind.DISPUTE_WON,  # an inquiry that ended without a dispute
    "needs_response": Kind.DISPUTE_OPENED,
    "under_review": Kind.DISPUTE_OPENED,
    "prevented": Kind.DISPUTE_WON,  # settled before it became a dispute
    "won": Kind.DISPUTE_WON,
    "lost": Kind.DISPUTE_LOST,
}

# Decline codes, error codes and an outcome's reasons share one name space.
FAILURES: Final = {
    "insufficient_funds": FailureClass.INSUFFICIENT_FUNDS,
    "card_velocity_exceeded": FailureClass.LIMIT_EXCEEDED,
    "withdrawal_count_limit_exceeded": FailureClass.LIMIT_EXCEEDED,
    "amount_too_large": FailureClass.LIMIT_EXCEEDED,
    "processing_error": FailureClass.GATEWAY_FAULT,
    "reenter_transaction": FailureClass.GATEWAY_FAULT,
    "issuer_not_available": FailureClass.NETWORK_TIMEOUT,
    "try_again_later": FailureClass.NETWORK_TIMEOUT,
    "authentication_required": FailureClass.BANK_VERIFICATION_FAILED,
    "authentication_not_handled": FailureClass.BANK_VERIFICATION_FAILED,
    "payment_intent_authentication_failure": FailureClass.BANK_VERIFICATION_FAILED,
    "incorrect_pin": FailureClass.BANK_VERIFICATION_FAILED,
    "pin_try_exceeded": FailureClass.BANK_VERIFICATION_FAILED,
    "expired_card": FailureClass.CARD_EXPIRED_OR_INVALID,
    "incorrect_cvc": FailureClass.CARD_EXPIRED_OR_INVALID,
    "invalid_cvc": FailureClass.CARD_EXPIRED_OR_INVALID,
    "incorrect_number": FailureClass.CARD_EXPIRED_OR_INVALID,
    "invalid_number": FailureClass.CARD_EXPIRED_OR_INVALID,
    "invalid_account": FailureClass.CARD_EXPIRED_OR_INVALID,
    "invalid_expiry_month": FailureClass.CARD_EXPIRED_OR_INVALID,
    "invalid_expiry_year": FailureClass.CARD_EXPIRED_OR_INVALID,
    "lost_card": FailureClass.ACCOUNT_FROZEN,
    "stolen_card": FailureClass.ACCOUNT_FROZEN,
    "pickup_card": FailureClass.ACCOUNT_FROZEN,
    "restricted_card": FailureClass.ACCOUNT_FROZEN,
    "fraudulent": FailureClass.SUSPECTED_FRAUD,
    "merchant_blacklist": FailureClass.SUSPECTED_FRAUD,
    "highest_risk_level": FailureClass.SUSPECTED_FRAUD,
    "card_not_supported": FailureClass.METHOD_UNAVAILABLE,
    "currency_not_supported": FailureClass.METHOD_UNAVAILABLE,
    "transaction_not_allowed": FailureClass.METHOD_UNAVAILABLE,
    "service_not_allowed": FailureClass.METHOD_UNAVAILABLE,
    "generic_decline": FailureClass.UNKNOWN,
    "do_not_honor": FailureClass.UNKNOWN,
    "call_issuer": FailureClass.UNKNOWN,
}

CANCELLATIONS: Final = {
    "requested_by_customer": FailureClass.USER_CANCELLED,
    "abandoned": FailureClass.EXPIRED_UNPAID,
    "automatic": FailureClass.EXPIRED_UNPAID,
    "fraudulent": FailureClass.SUSPECTED_FRAUD,
}

REFUND_FAILURES: Final = {
    "expired_or_canceled_card": FailureClass.CARD_EXPIRED_OR_INVALID,
    "lost_or_stolen_card": FailureClass.ACCOUNT_FROZEN,
    "insufficient_funds": FailureClass.INSUFFICIENT_FUNDS,  # the merchant's own balance
}


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """What one object of Stripe's says, before it is given its event's id and time.  Amounts are in Stripe's units."""

    kind: Kind
    payment_ref: str | None
    amount: int | None = None
    total: int | None = None
    refund_ref: str | None = None
    dispute_ref: str | None = None
    failure: FailureClass | None = None
    failure_code: str | None = None


def method_of(subject: object) -> str | None:
    """How the payer pays, in Stripe's word, where the object leaves no doubt.  No money hangs on it: odd is unknown."""
    charge = at(subject, ["latest_charge"])
    details = at(charge if isinstance(charge, dict) else subject, ["payment_method_details"])
    if isinstance(details, dict):
        return _word(details.get("type"))
    possible = at(subject, ["payment_method_types"])
    return _word(possible[0]) if isinstance(possible, list) and len(possible) == 1 else None


def _word(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= METHOD_CHARS_MAX else None


def intent_fact(kind: Kind, amount_field: str = "amount") -> Callable[[object], Fact]:
    """Reads a payment intent as that; `amount_field` is where the amount stands."""

    def read(intent: object) -> Fact:
        failure, code = _why(kind, intent)
        return Fact(
            kind=kind,
            payment_ref=text(intent, "id"),
            amount=integer(intent, amount_field),
            failure=failure,
            failure_code=code,
        )

    return read


def _why(kind: Kind, intent: object) -> tuple[FailureClass | None, str | None]:
    if kind is Kind.PAYMENT_FAILED:
        error = at(intent, ["last_payment_error"])
        return _classed(FAILURES, text_or_none(error, "decline_code"), text_or_none(error, "code"))
    if kind is Kind.PAYMENT_CANCELLED:
        return _classed(CANCELLATIONS, text_or_none(intent, "cancellation_reason"))
    return None, None


def _classed(table: Mapping[str, FailureClass], *words: str | None) -> tuple[FailureClass, str | None]:
    """The class of the first word that has one, and that word; else unknown, and the first word there is."""
    said = [word for word in words if word]
    for word in said:
        if word in table:
            return table[word], word
    return FailureClass.UNKNOWN, said[0] if said else None


def session_fact(kind: Kind, failure: FailureClass | None = None) -> Callable[[object], Fact | None]:
    """Reads a checkout session as that."""

    def read(session: object) -> Fact | None:
        if text_or_none(session, "mode") == "setup":
            return None  # it saves a card and asks for no money
        return Fact(
            kind=kind,
            payment_ref=text_or_none(session, "payment_intent") or text(session, "id"),
            amount=integer(session, "amount_total"),
            failure=failure,
        )

    return read


def session_completed(session: object) -> Fact | None:
    """Completed is not paid: a bank debit or voucher is still to come."""
    status = text(session, "payment_status")
    if status not in SESSION_STATUSES:
        raise BadPayload("payment_status of the session is none that is known")
    return session_fact(SESSION_STATUSES[status])(session)


SESSION_STATUSES: Final = {
    "paid": Kind.PAYMENT_SUCCEEDED,
    "no_payment_required": Kind.PAYMENT_SUCCEEDED,
    "unpaid": Kind.PAYMENT_PENDING,
}


def _payment_of(charge: object) -> str:
    return text_or_none(charge, "payment_intent") or text(charge, "id")


def charge_fact(kind: Kind, failure: FailureClass | None = None) -> Callable[[object], Fact]:
    """Reads a charge as that."""

    def read(charge: object) -> Fact:
        return Fact(kind=kind, payment_ref=_payment_of(charge), amount=integer(charge, "amount"), failure=failure)

    return read


def _charge_succeeded(charge: object) -> Fact:
    """A charge that succeeded without being captured is an authorization."""
    return charge_fact(Kind.PAYMENT_SUCCEEDED if _is_captured(charge) else Kind.PAYMENT_AUTHORIZED)(charge)


def _is_captured(charge: object) -> bool:
    """A charge that does not say so was captured at once."""
    captured = at(charge, ["captured"])
    if captured is not None and not isinstance(captured, bool):
        raise BadPayload("captured of the charge is not true or false")
    return captured is not False


def charge_captured(charge: object) -> Fact:
    """What was taken, which may be less than was authorized."""
    return Fact(kind=Kind.PAYMENT_SUCCEEDED, payment_ref=_payment_of(charge), amount=integer(charge, "amount_captured"))


def charge_failed(charge: object) -> Fact:
    """The reason of its outcome says more than its code."""
    failure, code = _classed(FAILURES, text_or_none(charge, "outcome", "reason"), text_or_none(charge, "failure_code"))
    return Fact(
        kind=Kind.PAYMENT_FAILED,
        payment_ref=_payment_of(charge),
        amount=integer(charge, "amount"),
        failure=failure,
        failure_code=code,
    )


def let_go(charge: object) -> int:
    """How much of an authorization was never taken.  Stripe writes that as refunded, too."""
    if not _is_captured(charge):
        return integer(charge, "amount")
    if at(charge, ["amount_captured"]) is None:
        return 0  # an API that does not tell of parts
    return integer(charge, "amount") - integer(charge, "amount_captured")


def charge_refunded(charge: object) -> Fact | None:
    """Carries what the charge has given back so far, not this refund; None where it was only let go."""
    total = integer(charge, "amount_refunded") - let_go(charge)
    return Fact(kind=Kind.REFUND_SUCCEEDED, payment_ref=_payment_of(charge), total=total) if total > 0 else None


def refund_fact(refund: object) -> Fact:
    """One refund, by its status."""
    status = text(refund, "status")
    if status not in REFUND_STATUSES:
        raise BadPayload("status of the refund is none that is known")
    kind = REFUND_STATUSES[status]
    failure, code = None, None
    if kind is Kind.REFUND_FAILED:
        failure, code = _classed(REFUND_FAILURES, text_or_none(refund, "failure_reason"))
    return Fact(
        kind=kind,
        payment_ref=text_or_none(refund, "payment_intent") or text_or_none(refund, "charge"),
        refund_ref=text(refund, "id"),
        amount=integer(refund, "amount"),
        failure=failure,
        failure_code=code,
    )


def dispute_fact(dispute: object) -> Fact:
    """One dispute, by its status."""
    status = text(dispute, "status")
    if status not in DISPUTE_STATUSES:
        raise BadPayload("status of the dispute is none that is known")
    return Fact(
        kind=DISPUTE_STATUSES[status],
        payment_ref=text_or_none(dispute, "payment_intent") or text_or_none(dispute, "charge"),
        dispute_ref=text(dispute, "id"),
        amount=integer(dispute, "amount"),
    )


# Every type that changes what we know; all others are answered with success and change nothing.
TYPES: Final[Mapping[str, Callable[[object], Fact | None]]] = {
    "payment_intent.succeeded": intent_fact(Kind.PAYMENT_SUCCEEDED, "amount_received"),
    "payment_intent.processing": intent_fact(Kind.PAYMENT_PENDING),
    "payment_intent.partially_funded": intent_fact(Kind.PAYMENT_PENDING),
    "payment_intent.amount_capturable_updated": intent_fact(Kind.PAYMENT_AUTHORIZED, "amount_capturable"),
    "payment_intent.payment_failed": intent_fact(Kind.PAYMENT_FAILED),
    "payment_intent.canceled": intent_fact(Kind.PAYMENT_CANCELLED),
    "checkout.session.completed": session_completed,
    "checkout.session.async_payment_succeeded": session_fact(Kind.PAYMENT_SUCCEEDED),
    "checkout.session.async_payment_failed": session_fact(Kind.PAYMENT_FAILED, FailureClass.UNKNOWN),
    "checkout.session.expired": session_fact(Kind.PAYMENT_CANCELLED, FailureClass.EXPIRED_UNPAID),
    "charge.succeeded": _charge_succeeded,
    "charge.captured": charge_captured,
    "charge.pending": charge_fact(Kind.PAYMENT_PENDING),
    "charge.failed": charge_failed,
    "charge.expired": charge_fact(Kind.PAYMENT_CANCELLED, FailureClass.EXPIRED_UNPAID),
    "charge.refunded": charge_refunded,
    "charge.refund.updated": refund_fact,
    "refund.created": refund_fact,
    "refund.updated": refund_fact,
    "refund.failed": refund_fact,
    "charge.dispute.created": dispute_fact,
    "charge.dispute.updated": dispute_fact,
    "charge.dispute.funds_withdrawn": dispute_fact,
    "charge.dispute.funds_reinstated": dispute_fact,
    "charge.dispute.closed": dispute_fact,
}


def minor_units(amount: int | None, currency: str) -> int | None:
    """Stripe's units as ISO 4217's."""
    return None if amount is None else units.from_minor(amount, currency, units.STRIPE)
