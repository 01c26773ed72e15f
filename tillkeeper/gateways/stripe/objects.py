"""Reads what Stripe's intents, sessions, refunds and disputes say of payments, by webhook or by query.

Sources: Stripe's API reference for objects and types; its pages "Decline codes", "How PaymentIntents work", "How
disputes work", "No-cost orders" (Checkout) and "Collect tips" (Terminal).
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.kit.fact import Fact
from tillkeeper.gateways.kit.fields import at, integer, member, text, text_or_none
from tillkeeper.gateways.kit.unknown_words import unknown_word

PARTS: Final = "parts"  # for what an authorization stands beside: Stripe tells the sum of its captures, and no names
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
    "charge_refunded": Kind.DISPUTE_WON,  # given back before it was decided; until API release 2022 or so
    "won": Kind.DISPUTE_WON,
    "lost": Kind.DISPUTE_LOST,
    "appeal_needs_response": Kind.DISPUTE_OPENED,
    "appeal_under_review": Kind.DISPUTE_OPENED,
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
    "expired": FailureClass.EXPIRED_UNPAID,  # the authorization; until API release basil that was "automatic"
    "fraudulent": FailureClass.SUSPECTED_FRAUD,
    "duplicate": FailureClass.UNKNOWN,
    "failed_invoice": FailureClass.UNKNOWN,
    "void_invoice": FailureClass.UNKNOWN,
}

REFUND_FAILURES: Final = {
    "expired_or_canceled_card": FailureClass.CARD_EXPIRED_OR_INVALID,
    "lost_or_stolen_card": FailureClass.ACCOUNT_FROZEN,
    "insufficient_funds": FailureClass.INSUFFICIENT_FUNDS,  # the merchant's own balance
}


class Stated(msgspec.Struct, frozen=True):
    """A fact in Stripe's units, and the object that states it, which has the currency, the order and the method."""

    fact: Fact
    subject: object


Facts = list[Fact]


def method_of(subject: object) -> str | None:
    """Returns how the payer pays, in Stripe's word, where the object leaves no doubt.

    No money hangs on it: odd values count as unknown.
    """
    charge = member(subject, "latest_charge")
    details = member(charge if isinstance(charge, dict) else subject, "payment_method_details")
    if isinstance(details, dict):
        return _word(details.get("type"))
    possible = member(subject, "payment_method_types")
    return _word(possible[0]) if isinstance(possible, list) and len(possible) == 1 else None


def _word(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= METHOD_CHARS_MAX else None


def intent_fact(kind: Kind, amount_field: str = "amount") -> Callable[[object], Fact]:
    """Makes a reader that reads a payment intent as that kind.

    `amount_field` holds the amount.  A tip in it is not the order's.
    """

    def read(intent: object) -> Fact:
        failure, code = _failure(kind, intent)
        amount = integer(intent, amount_field)
        tip = min(_whole(intent, "amount_details", "tip", "amount"), amount)
        return Fact(
            kind=kind,
            payment_ref=text(intent, "id"),
            amount=amount - tip,
            on_top=tip or None,
            failure=failure,
            failure_code=code,
        )

    return read


_captured: Final = intent_fact(Kind.PAYMENT_SUCCEEDED, "amount_received")
_capturable: Final = intent_fact(Kind.PAYMENT_AUTHORIZED, "amount_capturable")
_cancelled: Final = intent_fact(Kind.PAYMENT_CANCELLED)


def intent_succeeded(intent: object) -> Facts:
    """Reads what was captured; what was authorized beyond it was released."""
    return [_released(_captured(intent), intent)]


def intent_cancelled(intent: object) -> Facts:
    """Reads a cancelled intent: only money that was not captured can be, so all of it was released."""
    fact = _cancelled(intent)
    return [msgspec.structs.replace(fact, released=integer(intent, "amount"))]


def intent_authorized(intent: object) -> Facts:
    """Reads what can be captured; parts of it may be captured already (multicapture)."""
    held = _capturable(intent)
    taken = _whole(intent, "amount_received")
    if not 0 < taken <= integer(intent, "amount") - integer(intent, "amount_capturable"):
        return [held]
    whole = msgspec.structs.replace(held, amount=(held.amount or 0) + taken, capture_ref=PARTS)
    return [whole, _captured(intent)]


def _released(fact: Fact, intent: object) -> Fact:
    released = integer(intent, "amount") - integer(intent, "amount_received")
    return msgspec.structs.replace(fact, released=released) if released > 0 else fact


def _whole(subject: object, *path: str) -> int:
    """Returns a whole number, or 0 where there is none."""
    value = at(subject, path)
    if type(value) is int:
        return max(0, value)
    return 0 if value is None else integer(subject, *path)  # which is refused


def _failure(kind: Kind, intent: object) -> tuple[FailureClass | None, str | None]:
    if kind is Kind.PAYMENT_FAILED:
        error = member(intent, "last_payment_error")
        return classed(FAILURES, text_or_none(error, "decline_code"), text_or_none(error, "code"))
    if kind is Kind.PAYMENT_CANCELLED:
        reason = text_or_none(intent, "cancellation_reason")
        if reason is not None and reason not in CANCELLATIONS:
            unknown_word("cancellation_reason", reason)
        return classed(CANCELLATIONS, reason)
    return None, None


def classed(table: Mapping[str, FailureClass], *words: str | None) -> tuple[FailureClass, str | None]:
    """Returns the class of the first word that has one, and that word; else UNKNOWN and the first word."""
    present = [word for word in words if word]
    known = next((word for word in present if word in table), None)
    if known is not None:
        return table[known], known
    return FailureClass.UNKNOWN, present[0] if present else None


def session_fact(kind: Kind, failure: FailureClass | None = None) -> Callable[[object], Facts]:
    """Makes a reader that reads a checkout session as that kind."""

    def read(session: object) -> Facts:
        if text_or_none(session, "mode") == "setup":
            return []  # it saves a card and asks for no money
        return [
            Fact(
                kind=kind,
                payment_ref=text_or_none(session, "payment_intent") or text(session, "id"),
                amount=integer(session, "amount_total"),
                discount=discount_of(session) if kind is Kind.PAYMENT_SUCCEEDED else None,
                failure=failure,
            )
        ]

    return read


def discount_of(session: object) -> int | None:
    """Returns what coupons and promotion codes took off."""
    return _whole(session, "total_details", "amount_discount") or None


def session_completed(session: object) -> Facts:
    """Reads a completed session, which need not be paid: a bank debit or voucher may be still to come."""
    status = text(session, "payment_status")
    if status not in SESSION_STATUSES:
        unknown_word("payment_status", status)
        return []
    return SESSION_STATUSES[status](session)


def _no_payment(session: object) -> Facts:
    """Reads a session that is free of charge; with an amount it is due later (a trial), and nobody paid it."""
    return session_fact(Kind.PAYMENT_SUCCEEDED)(session) if member(session, "amount_total") == 0 else []


SESSION_STATUSES: Final[Mapping[str, Callable[[object], Facts]]] = {
    "paid": session_fact(Kind.PAYMENT_SUCCEEDED),
    "no_payment_required": _no_payment,
    "unpaid": session_fact(Kind.PAYMENT_PENDING),
}


def refund_facts(refund: object, *, may_be_release: bool = False) -> Facts:
    """Reads one refund by its status.

    `may_be_release` says that it may be a released authorization.
    """
    status = text_or_none(refund, "status")  # the reference allows null
    if status is None or status not in REFUND_STATUSES:
        unknown_word("refund.status", status)
        return []
    kind = REFUND_STATUSES[status]
    failure, code = None, None
    if kind is Kind.REFUND_FAILED:
        failure, code = classed(REFUND_FAILURES, text_or_none(refund, "failure_reason"))
    return [
        Fact(
            kind=kind,
            payment_ref=text_or_none(refund, "payment_intent") or text_or_none(refund, "charge"),
            refund_ref=text(refund, "id"),
            amount=integer(refund, "amount"),
            failure=failure,
            failure_code=code,
            may_be_release=may_be_release and kind is Kind.REFUND_SUCCEEDED,
        )
    ]


def dispute_facts(dispute: object) -> Facts:
    """Reads one dispute by its status.  Bank debits that come back after they succeeded are disputes, too."""
    status = text(dispute, "status")
    if status not in DISPUTE_STATUSES:
        unknown_word("dispute.status", status)
        return []
    return [
        Fact(
            kind=DISPUTE_STATUSES[status],
            payment_ref=text_or_none(dispute, "payment_intent") or text_or_none(dispute, "charge"),
            dispute_ref=text(dispute, "id"),
            amount=integer(dispute, "amount"),
        )
    ]
