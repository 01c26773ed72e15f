"""What Razorpay's objects say: each becomes a fact about a payment, a refund or a dispute, by webhook or by query.

Sources: razorpay.com/docs, the pages on webhook payloads, on the APIs of payments and refunds, and "Error reasons".
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Final

import msgspec

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.kit.fields import at, integer, moment_from_unix, text, text_or_none
from tillkeeper.gateways.kit.unknown_words import known_or_none

FAILURES: Final = {
    "insufficient_funds": FailureClass.INSUFFICIENT_FUNDS,
    "insufficient_balance": FailureClass.INSUFFICIENT_FUNDS,
    "payment_amount_limit": FailureClass.LIMIT_EXCEEDED,
    "transaction_limit_exceeded": FailureClass.LIMIT_EXCEEDED,
    "transaction_daily_limit_exceeded": FailureClass.LIMIT_EXCEEDED,
    "payment_timed_out": FailureClass.NETWORK_TIMEOUT,
    "request_timed_out": FailureClass.NETWORK_TIMEOUT,
    "bank_not_available": FailureClass.NETWORK_TIMEOUT,
    "payment_session_expired": FailureClass.EXPIRED_UNPAID,
    "payment_collect_request_expired": FailureClass.EXPIRED_UNPAID,
    "authentication_failed": FailureClass.BANK_VERIFICATION_FAILED,
    "incorrect_otp": FailureClass.BANK_VERIFICATION_FAILED,
    "invalid_otp": FailureClass.BANK_VERIFICATION_FAILED,
    "otp_expired": FailureClass.BANK_VERIFICATION_FAILED,
    "otp_attempts_exceeded": FailureClass.BANK_VERIFICATION_FAILED,
    "incorrect_pin": FailureClass.BANK_VERIFICATION_FAILED,
    "invalid_pin": FailureClass.BANK_VERIFICATION_FAILED,
    "pin_attempts_exceeded": FailureClass.BANK_VERIFICATION_FAILED,
    "card_expired": FailureClass.CARD_EXPIRED_OR_INVALID,
    "card_number_invalid": FailureClass.CARD_EXPIRED_OR_INVALID,
    "incorrect_cvv": FailureClass.CARD_EXPIRED_OR_INVALID,
    "incorrect_card_details": FailureClass.CARD_EXPIRED_OR_INVALID,
    "incorrect_card_expiry_date": FailureClass.CARD_EXPIRED_OR_INVALID,
    "incorrect_cardholder_name": FailureClass.CARD_EXPIRED_OR_INVALID,
    "bank_account_invalid": FailureClass.CARD_EXPIRED_OR_INVALID,
    "bank_account_validation_failed": FailureClass.CARD_EXPIRED_OR_INVALID,
    "invalid_vpa": FailureClass.CARD_EXPIRED_OR_INVALID,
    "debit_instrument_blocked": FailureClass.ACCOUNT_FROZEN,
    "debit_instrument_inactive": FailureClass.ACCOUNT_FROZEN,
    "payment_risk_check_failed": FailureClass.SUSPECTED_FRAUD,
    "payment_cancelled": FailureClass.USER_CANCELLED,
    "card_not_supported": FailureClass.METHOD_UNAVAILABLE,
    "card_network_not_enabled": FailureClass.METHOD_UNAVAILABLE,
    "bank_not_enabled": FailureClass.METHOD_UNAVAILABLE,
    "payment_method_disabled": FailureClass.METHOD_UNAVAILABLE,
    "international_transaction_not_allowed": FailureClass.METHOD_UNAVAILABLE,
    "amount_less_than_minimum_amount": FailureClass.METHOD_UNAVAILABLE,
    "bank_cutoff_in_progress": FailureClass.GATEWAY_FAULT,
    "bank_technical_error": FailureClass.GATEWAY_FAULT,
    "issuer_technical_error": FailureClass.GATEWAY_FAULT,
    "gateway_technical_error": FailureClass.GATEWAY_FAULT,
    "server_error": FailureClass.GATEWAY_FAULT,
    # error_code, where there is no reason that says more
    "GATEWAY_ERROR": FailureClass.GATEWAY_FAULT,
    "SERVER_ERROR": FailureClass.GATEWAY_FAULT,
}


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What one object says, before it is given its event's id and time."""

    kind: Kind
    subject: object  # that has the currency
    object_id: str
    payment_ref: str | None
    amount: object = None
    total: object = None
    on_top: int | None = None  # a fee that the payer bears, in `amount`
    discount: int | None = None
    refund_ref: str | None = None
    dispute_ref: str | None = None
    since: datetime | None = None  # where the state has a time of its own
    failure: FailureClass | None = None
    failure_code: str | None = None
    method: str | None = None


def _payment(kind: Kind) -> Callable[[Mapping[str, object]], Said]:
    """Reads the payment in an event as that, by the order beside it where there is one."""

    def read(entities: Mapping[str, object]) -> Said:
        said = _payment_said(kind, entities["payment"])
        order = entities["order"]
        return said if order is None else _by_its_order(said, order)

    return read


def _by_its_order(said: Said, order: object) -> Said:
    """The order tells what was asked for: what a payer gave above that is the fee, below that an offer took off."""
    asked, paid, payment = at(order, ["amount"]), at(order, ["amount_paid"]), said.subject
    fees = [it for it in (_whole(payment, "fee"), _whole(payment, "fee") + _whole(payment, "tax")) if it]
    fee = next((it for it in fees if type(asked) is int and at(payment, ["amount"]) == asked + it), None)
    if fee is not None:
        return msgspec.structs.replace(said, on_top=fee)
    has_offer = bool(at(order, ["offer_id"]) or at(order, ["offers"]) or at(payment, ["offer_id"]))
    is_paid = at(order, ["status"]) == "paid" and said.kind is Kind.PAYMENT_SUCCEEDED
    if has_offer and is_paid and type(asked) is int and type(paid) is int and 0 < paid < asked:
        return msgspec.structs.replace(said, discount=asked - paid)
    return said


def _whole(subject: object, name: str) -> int:
    """A whole number that need not be there, then 0."""
    value = at(subject, [name])
    return value if type(value) is int and value > 0 else 0


PAYER: Final = "customer"  # bears the fee, tax and all, in the "customer fee bearer" model; else "platform" does


def _payment_said(kind: Kind, payment: object, since: datetime | None = None) -> Said:
    failure, code = _why(payment) if kind is Kind.PAYMENT_FAILED else (None, None)
    if kind is Kind.PAYMENT_CANCELLED:
        failure = FailureClass.EXPIRED_UNPAID
    return Said(
        kind=kind,
        subject=payment,
        object_id=text(payment, "id"),
        payment_ref=text(payment, "id"),
        amount=at(payment, ["amount"]),
        on_top=_whole(payment, "fee") or None if at(payment, ["fee_bearer"]) == PAYER else None,
        since=since,
        failure=failure,
        failure_code=code,
        method=text_or_none(payment, "method"),
    )


def _why(payment: object) -> tuple[FailureClass, str | None]:
    said = [it for it in (text_or_none(payment, "error_reason"), text_or_none(payment, "error_code")) if it]
    known = next((it for it in said if it in FAILURES), None)
    if known is not None:
        return FAILURES[known], known
    return FailureClass.UNKNOWN, said[0] if said else None


# A payment that was never captured is let go by a refund of it: nothing was taken that could be given back.
LET_GO: Final = {
    Kind.REFUND_PENDING: Kind.PAYMENT_CANCELLED,
    Kind.REFUND_SUCCEEDED: Kind.PAYMENT_CANCELLED,
    Kind.REFUND_FAILED: Kind.PAYMENT_AUTHORIZED,
}


def _refund(kind: Kind) -> Callable[[Mapping[str, object]], Said]:
    """Reads the refund in an event as that, or as the end of an authorization."""

    def read(entities: Mapping[str, object]) -> Said:
        refund, payment = entities["refund"], entities["payment"]
        if payment is not None and at(payment, ["captured"]) is False:
            return msgspec.structs.replace(_payment_said(LET_GO[kind], payment), object_id=text(refund, "id"))
        return _refund_said(kind, refund)

    return read


def _refund_said(kind: Kind, refund: object, since: datetime | None = None) -> Said:
    return Said(
        kind=kind,
        subject=refund,
        object_id=text(refund, "id"),
        payment_ref=text_or_none(refund, "payment_id"),
        refund_ref=text(refund, "id"),
        amount=at(refund, ["amount"]),
        since=since,
        failure=FailureClass.UNKNOWN if kind is Kind.REFUND_FAILED else None,
    )


def _dispute(kind: Kind) -> Callable[[Mapping[str, object]], Said]:
    """Reads the dispute in an event as that."""
    return lambda entities: _dispute_said(kind, entities["dispute"])


def _dispute_said(kind: Kind, dispute: object) -> Said:
    return Said(
        kind=kind,
        subject=dispute,
        object_id=text(dispute, "id"),
        payment_ref=text_or_none(dispute, "payment_id"),
        dispute_ref=text(dispute, "id"),
        amount=at(dispute, ["amount"]),
    )


def _dispute_closed(entities: Mapping[str, object]) -> Said:
    """Closed is neither won nor lost: whether money was taken tells."""
    taken = at(entities["dispute"], ["amount_deducted"]) not in (None, 0)
    return _dispute_said(Kind.DISPUTE_LOST if taken else Kind.DISPUTE_WON, entities["dispute"])


# Every event that changes what we know; all others are answered with success and change nothing.
EVENTS: Final[Mapping[str, Callable[[Mapping[str, object]], Said]]] = {
    "payment.authorized": _payment(Kind.PAYMENT_AUTHORIZED),
    "payment.captured": _payment(Kind.PAYMENT_SUCCEEDED),
    "payment.failed": _payment(Kind.PAYMENT_FAILED),
    "order.paid": _payment(Kind.PAYMENT_SUCCEEDED),  # the same money as payment.captured, and the order's receipt
    "refund.created": _refund(Kind.REFUND_PENDING),
    "refund.processed": _refund(Kind.REFUND_SUCCEEDED),
    "refund.failed": _refund(Kind.REFUND_FAILED),
    "payment.dispute.created": _dispute(Kind.DISPUTE_OPENED),
    "payment.dispute.under_review": _dispute(Kind.DISPUTE_OPENED),
    "payment.dispute.action_required": _dispute(Kind.DISPUTE_OPENED),
    "payment.dispute.won": _dispute(Kind.DISPUTE_WON),
    "payment.dispute.lost": _dispute(Kind.DISPUTE_LOST),
    "payment.dispute.closed": _dispute_closed,
}

PAYMENT_STATUSES: Final[Mapping[str, Kind | None]] = {
    "created": None,  # nobody paid yet
    "authorized": Kind.PAYMENT_AUTHORIZED,
    "captured": Kind.PAYMENT_SUCCEEDED,
    "refunded": Kind.PAYMENT_SUCCEEDED,
    "failed": Kind.PAYMENT_FAILED,
}

REFUND_STATUSES: Final = {
    "pending": Kind.REFUND_PENDING,
    "processed": Kind.REFUND_SUCCEEDED,
    "failed": Kind.REFUND_FAILED,
}


def payment_states(payment: object) -> Iterator[Said]:
    """Its state, and what it gave back so far."""
    status = text(payment, "status")
    kind = known_or_none(PAYMENT_STATUSES, status, "payment.status")
    if kind is None:
        return
    if status == "refunded" and at(payment, ["captured"]) is False:
        kind = Kind.PAYMENT_CANCELLED
    created_at = moment_from_unix(integer(payment, "created_at"))
    said = _payment_said(kind, payment, created_at if kind is Kind.PAYMENT_SUCCEEDED else None)
    yield said
    if kind is Kind.PAYMENT_SUCCEEDED and at(payment, ["amount_refunded"]) not in (None, 0):
        total = integer(payment, "amount_refunded")
        yield msgspec.structs.replace(said, kind=Kind.REFUND_SUCCEEDED, total=total, since=None, method=None)


def refund_states(refund: object) -> Iterator[Said]:
    """Begun when it was made, for what replaced a refund that failed began after that; when it failed is not told."""
    kind = known_or_none(REFUND_STATUSES, text(refund, "status"), "refund.status")
    if kind is not None:
        created_at = moment_from_unix(integer(refund, "created_at"))
        yield _refund_said(kind, refund, None if kind is Kind.REFUND_FAILED else created_at)
