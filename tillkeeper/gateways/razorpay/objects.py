"""Reads what Razorpay's objects say: each becomes a fact about a payment, a refund or a dispute, by webhook or by
query.

Sources: razorpay.com/docs, the pages on webhook payloads, on the APIs of payments and refunds, and "Error reasons".
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.kit import units
from tillkeeper.gateways.kit.fact import Fact
from tillkeeper.gateways.kit.fields import at, integer, moment_from_unix, text, text_or_none
from tillkeeper.gateways.kit.ignored_types import IgnoredTypes
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


Entities = Mapping[str, object]  # by their names: payment, order, refund, dispute; None for one that is not told
Reader = Callable[[Entities, bool], Fact | None]  # bool: whether payers bear Razorpay's fee, as the settings tell

PAYER: Final = "customer"  # bears the fee, tax and all, in the "customer fee bearer" model; else "platform" does


def _money(subject: object, name: str = "amount") -> tuple[int, str] | None:
    """Returns an amount and its currency; None where nobody knows the currency."""
    currency = text(subject, "currency").upper()
    return (units.from_minor(at(subject, [name]), currency), currency) if units.is_currency(currency) else None


def _payment_as(kind: Kind) -> Reader:
    """Makes a reader that reads the payment in an event as that kind, by the order beside it if there is one."""
    return lambda entities, payer_bears_fee: payment_fact(
        kind, entities["payment"], entities["order"], payer_bears_fee=payer_bears_fee
    )


def payment_fact(kind: Kind, payment: object, order: object = None, *, payer_bears_fee: bool = False) -> Fact | None:
    """Reads a payment as that kind.  A fee that the payer bears is in its amount, and is not the order's."""
    money = _money(payment)
    if money is None:
        return None
    failure, code = _failure(kind, payment)
    paid, currency = money
    fee = _fee_on_top(payment, order, payer_bears_fee=payer_bears_fee)
    on_top = fee if fee < paid else 0
    return Fact(
        kind=kind,
        payment_ref=text(payment, "id"),
        amount=paid - on_top,
        currency=currency,
        on_top=on_top or None,
        discount=_discount(payment, order) if kind is Kind.PAYMENT_SUCCEEDED else None,
        failure=failure,
        failure_code=code,
        method=text_or_none(payment, "method"),
    )


def _fee_on_top(payment: object, order: object, *, payer_bears_fee: bool) -> int:
    """Returns the fee where the payer bears it: as the settings, else the order, else the payment tells."""
    fee = _whole(payment, "fee")
    if payer_bears_fee and fee:
        return fee
    return _fee_above(order, payment) or (fee if at(payment, ["fee_bearer"]) == PAYER else 0)


def _fee_above(order: object, payment: object) -> int:
    """Returns the fee that a payer gave above the order's amount, with or without its tax; 0 where there is none."""
    due = at(order, ["amount"])
    if type(due) is not int:
        return 0
    fee = _whole(payment, "fee")
    possible = (fee, fee + _whole(payment, "tax"))
    return next((each for each in possible if each and at(payment, ["amount"]) == due + each), 0)


def _discount(payment: object, order: object) -> int | None:
    """Returns what an offer took off the order's amount, once the order is paid."""
    due, paid = at(order, ["amount"]), at(order, ["amount_paid"])
    has_offer = bool(at(order, ["offer_id"]) or at(order, ["offers"]) or at(payment, ["offer_id"]))
    if not has_offer or at(order, ["status"]) != "paid" or _fee_above(order, payment):
        return None
    return due - paid if type(due) is int and type(paid) is int and 0 < paid < due else None


def _whole(subject: object, name: str) -> int:
    """Returns a whole number, or 0 where there is none."""
    value = at(subject, [name])
    return value if type(value) is int and value > 0 else 0


def _failure(kind: Kind, payment: object) -> tuple[FailureClass | None, str | None]:
    if kind is Kind.PAYMENT_CANCELLED:
        return FailureClass.EXPIRED_UNPAID, None
    if kind is not Kind.PAYMENT_FAILED:
        return None, None
    codes = [code for name in ("error_reason", "error_code") if (code := text_or_none(payment, name))]
    known = next((code for code in codes if code in FAILURES), None)
    if known is not None:
        return FAILURES[known], known
    return FailureClass.UNKNOWN, codes[0] if codes else None


# A payment that was never captured is let go by a refund of it: nothing was taken that could be given back.
LET_GO: Final = {
    Kind.REFUND_PENDING: Kind.PAYMENT_CANCELLED,
    Kind.REFUND_SUCCEEDED: Kind.PAYMENT_CANCELLED,
    Kind.REFUND_FAILED: Kind.PAYMENT_AUTHORIZED,
}


def _refund_as(kind: Kind) -> Reader:
    """Makes a reader that reads the refund in an event as that kind, or as the end of an authorization."""

    def read(entities: Entities, payer_bears_fee: bool) -> Fact | None:
        refund, payment = entities["refund"], entities["payment"]
        if payment is not None and at(payment, ["captured"]) is False:
            return payment_fact(LET_GO[kind], payment, payer_bears_fee=payer_bears_fee)
        return _refund_fact(kind, refund)

    return read


def _refund_fact(kind: Kind, refund: object) -> Fact | None:
    money = _money(refund)
    return money and Fact(
        kind=kind,
        payment_ref=text_or_none(refund, "payment_id"),
        refund_ref=text(refund, "id"),
        amount=money[0],
        currency=money[1],
        failure=FailureClass.UNKNOWN if kind is Kind.REFUND_FAILED else None,
    )


def _dispute_as(kind: Kind) -> Reader:
    """Makes a reader that reads the dispute in an event as that kind."""
    return lambda entities, _: _dispute_fact(kind, entities["dispute"])


def _dispute_fact(kind: Kind, dispute: object) -> Fact | None:
    money = _money(dispute)
    return money and Fact(
        kind=kind,
        payment_ref=text_or_none(dispute, "payment_id"),
        dispute_ref=text(dispute, "id"),
        amount=money[0],
        currency=money[1],
    )


def _dispute_closed(entities: Entities, _payer_bears_fee: bool) -> Fact | None:
    """Reads a closed dispute, which is lost where money was deducted, and else won."""
    taken = at(entities["dispute"], ["amount_deducted"]) not in (None, 0)
    return _dispute_fact(Kind.DISPUTE_LOST if taken else Kind.DISPUTE_WON, entities["dispute"])


# Every event that changes what we know: the entity that it is about, and who reads it.  All others are answered with
# success and change nothing.
EVENTS: Final[Mapping[str, tuple[str, Reader]]] = {
    "payment.authorized": ("payment", _payment_as(Kind.PAYMENT_AUTHORIZED)),
    "payment.captured": ("payment", _payment_as(Kind.PAYMENT_SUCCEEDED)),
    "payment.failed": ("payment", _payment_as(Kind.PAYMENT_FAILED)),
    # The same money as payment.captured, and the order's receipt.
    "order.paid": ("payment", _payment_as(Kind.PAYMENT_SUCCEEDED)),
    "refund.created": ("refund", _refund_as(Kind.REFUND_PENDING)),
    "refund.processed": ("refund", _refund_as(Kind.REFUND_SUCCEEDED)),
    "refund.failed": ("refund", _refund_as(Kind.REFUND_FAILED)),
    "payment.dispute.created": ("dispute", _dispute_as(Kind.DISPUTE_OPENED)),
    "payment.dispute.under_review": ("dispute", _dispute_as(Kind.DISPUTE_OPENED)),
    "payment.dispute.action_required": ("dispute", _dispute_as(Kind.DISPUTE_OPENED)),
    "payment.dispute.won": ("dispute", _dispute_as(Kind.DISPUTE_WON)),
    "payment.dispute.lost": ("dispute", _dispute_as(Kind.DISPUTE_LOST)),
    "payment.dispute.closed": ("dispute", _dispute_closed),
}
# What else a webhook may name, by Razorpay's page "All Webhook Events".
IGNORED: Final = IgnoredTypes(
    field="event",
    names=frozenset({"refund.speed_changed"}),
    families=tuple(
        f"{name}."
        for name in (
            *("account", "customer", "fund_account", "invoice", "order.notification", "payment.downtime"),
            *("payment_link", "payout", "payout_link", "product", "qr_code", "settlement", "subscription", "token"),
            *("transaction", "transfer", "virtual_account"),
        )
    ),
)

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


def payment_states(payment: object, *, payer_bears_fee: bool) -> Iterator[Fact]:
    """Yields a payment's state, and what it gave back so far."""
    status = text(payment, "status")
    kind = known_or_none(PAYMENT_STATUSES, status, "payment.status")
    if kind is None:
        return
    if status == "refunded" and at(payment, ["captured"]) is False:
        kind = Kind.PAYMENT_CANCELLED
    created_at = moment_from_unix(integer(payment, "created_at"))
    fact = payment_fact(kind, payment, payer_bears_fee=payer_bears_fee)
    if fact is None:
        return
    yield msgspec.structs.replace(fact, occurred_at=created_at if kind is Kind.PAYMENT_SUCCEEDED else None)
    if kind is Kind.PAYMENT_SUCCEEDED and at(payment, ["amount_refunded"]) not in (None, 0):
        total, currency = _money(payment, "amount_refunded") or (None, None)
        yield Fact(kind=Kind.REFUND_SUCCEEDED, payment_ref=fact.payment_ref, total=total, currency=currency)


def refund_states(refund: object) -> Iterator[Fact]:
    """Yields a refund's state since it was made; since the answer where it failed, for when is not known.

    A refund that replaces a failed one begins after that.
    """
    kind = known_or_none(REFUND_STATUSES, text(refund, "status"), "refund.status")
    if kind is None:
        return
    created_at = moment_from_unix(integer(refund, "created_at"))
    fact = _refund_fact(kind, refund)
    if fact is not None:
        yield msgspec.structs.replace(fact, occurred_at=None if kind is Kind.REFUND_FAILED else created_at)
