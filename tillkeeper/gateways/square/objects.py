"""Reads what Square's objects say: one type of event brings every outcome, and the object's status tells which.

Sources: the package `squareup`, its types, for statuses and error codes; developer.squareup.com, the pages of events.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.kit import units
from tillkeeper.gateways.kit.fact import Fact
from tillkeeper.gateways.kit.fields import at, text, text_or_none
from tillkeeper.gateways.kit.ignored_types import IgnoredTypes
from tillkeeper.gateways.kit.unknown_words import known_or_none

PAYMENT_STATUSES: Final = {
    "PENDING": Kind.PAYMENT_PENDING,
    "APPROVED": Kind.PAYMENT_AUTHORIZED,  # not captured yet
    "COMPLETED": Kind.PAYMENT_SUCCEEDED,
    "CANCELED": Kind.PAYMENT_CANCELLED,
    "FAILED": Kind.PAYMENT_FAILED,
}

NOT_PAID: Final = frozenset({Kind.PAYMENT_FAILED, Kind.PAYMENT_CANCELLED})

REFUND_STATUSES: Final = {
    "PENDING": Kind.REFUND_PENDING,
    "COMPLETED": Kind.REFUND_SUCCEEDED,
    "REJECTED": Kind.REFUND_FAILED,
    "FAILED": Kind.REFUND_FAILED,
}

DISPUTE_STATES: Final = {
    "INQUIRY_EVIDENCE_REQUIRED": Kind.DISPUTE_OPENED,
    "INQUIRY_PROCESSING": Kind.DISPUTE_OPENED,
    "INQUIRY_CLOSED": Kind.DISPUTE_WON,  # a query that ended without a chargeback
    "EVIDENCE_REQUIRED": Kind.DISPUTE_OPENED,
    "PROCESSING": Kind.DISPUTE_OPENED,
    "WON": Kind.DISPUTE_WON,
    "LOST": Kind.DISPUTE_LOST,
    "ACCEPTED": Kind.DISPUTE_LOST,  # the merchant gave in
}

FAILURES: Final = {
    "INSUFFICIENT_FUNDS": FailureClass.INSUFFICIENT_FUNDS,
    "GIFT_CARD_AVAILABLE_AMOUNT": FailureClass.INSUFFICIENT_FUNDS,
    "TRANSACTION_LIMIT": FailureClass.LIMIT_EXCEEDED,
    "PAYMENT_LIMIT_EXCEEDED": FailureClass.LIMIT_EXCEEDED,
    "AMOUNT_TOO_HIGH": FailureClass.LIMIT_EXCEEDED,
    "CARD_EXPIRED": FailureClass.CARD_EXPIRED_OR_INVALID,
    "INVALID_EXPIRATION": FailureClass.CARD_EXPIRED_OR_INVALID,
    "EXPIRATION_FAILURE": FailureClass.CARD_EXPIRED_OR_INVALID,
    "BAD_EXPIRATION": FailureClass.CARD_EXPIRED_OR_INVALID,
    "CVV_FAILURE": FailureClass.CARD_EXPIRED_OR_INVALID,
    "VERIFY_CVV_FAILURE": FailureClass.CARD_EXPIRED_OR_INVALID,
    "INVALID_CARD": FailureClass.CARD_EXPIRED_OR_INVALID,
    "INVALID_CARD_DATA": FailureClass.CARD_EXPIRED_OR_INVALID,
    "INVALID_ACCOUNT": FailureClass.CARD_EXPIRED_OR_INVALID,
    "PAN_FAILURE": FailureClass.CARD_EXPIRED_OR_INVALID,
    "CARD_DECLINED_VERIFICATION_REQUIRED": FailureClass.BANK_VERIFICATION_FAILED,
    "VERIFY_AVS_FAILURE": FailureClass.BANK_VERIFICATION_FAILED,
    "ADDRESS_VERIFICATION_FAILURE": FailureClass.BANK_VERIFICATION_FAILED,
    "INVALID_PIN": FailureClass.BANK_VERIFICATION_FAILED,
    "ALLOWABLE_PIN_TRIES_EXCEEDED": FailureClass.BANK_VERIFICATION_FAILED,
    "ACCOUNT_UNUSABLE": FailureClass.ACCOUNT_FROZEN,
    "CARD_NOT_SUPPORTED": FailureClass.METHOD_UNAVAILABLE,
    "UNSUPPORTED_CARD_BRAND": FailureClass.METHOD_UNAVAILABLE,
    "BUYER_REFUSED_PAYMENT": FailureClass.USER_CANCELLED,
    "DELAYED_TRANSACTION_CANCELED": FailureClass.USER_CANCELLED,
    "DELAYED_TRANSACTION_EXPIRED": FailureClass.EXPIRED_UNPAID,
    "CHECKOUT_EXPIRED": FailureClass.EXPIRED_UNPAID,
    "TEMPORARY_ERROR": FailureClass.GATEWAY_FAULT,
    "GATEWAY_TIMEOUT": FailureClass.NETWORK_TIMEOUT,
    "CARD_DECLINED": FailureClass.UNKNOWN,
    "CARD_DECLINED_CALL_ISSUER": FailureClass.UNKNOWN,
    "GENERIC_DECLINE": FailureClass.UNKNOWN,
    "VOICE_FAILURE": FailureClass.UNKNOWN,
}

DETAILS_WITH_ERRORS: Final = ("card_details", "bank_account_details")

_CODE: Final = re.compile(r"[A-Z_]{1,64}", re.ASCII)


def payment_facts(payment: object) -> Iterator[Fact]:
    """Yields a payment's state; and what it gave back so far, once there is something."""
    kind = known_or_none(PAYMENT_STATUSES, text(payment, "status"), "payment.status")
    if kind is None:
        return
    if (fact := _state(kind, payment)) is not None:
        yield fact
        if kind in NOT_PAID and _was_captured(payment):
            yield _reversal_of(fact)
    if kind is Kind.PAYMENT_SUCCEEDED and (refunded := _refunded_so_far(payment)) is not None:
        yield refunded


def _state(kind: Kind, payment: object) -> Fact | None:
    money = _money(at(payment, ["amount_money"]))
    if money is None:
        return None
    failure, code = _failure(kind, payment)
    amount, currency = money
    return Fact(
        kind=kind,
        payment_ref=text(payment, "id"),
        order_ref=_order_ref(payment),
        amount=amount,
        currency=currency,
        on_top=_tip(payment, currency) if kind is Kind.PAYMENT_SUCCEEDED else None,
        failure=failure,
        failure_code=code,
        method=text_or_none(payment, "source_type"),
    )


def _reversal_of(state: Fact) -> Fact:
    """Returns the reversal of a capture whose payment failed or was cancelled after it."""
    return Fact(
        kind=Kind.PAYMENT_REVERSED,
        payment_ref=state.payment_ref,
        order_ref=state.order_ref,
        amount=state.amount,
        currency=state.currency,
        part="reversed",
    )


def _refunded_so_far(payment: object) -> Fact | None:
    refunded = at(payment, ["refunded_money"])
    money = None if at(refunded, ["amount"]) in (None, 0) else _money(refunded)
    if money is None:
        return None
    return Fact(
        kind=Kind.REFUND_SUCCEEDED,
        payment_ref=text(payment, "id"),
        order_ref=_order_ref(payment),
        total=money[0],
        currency=money[1],
        part="refunded",
    )


def _order_ref(payment: object) -> str | None:
    """Returns the merchant's own reference, else the id of Square's order."""
    return text_or_none(payment, "reference_id") or text_or_none(payment, "order_id")


def _money(money: object) -> tuple[int, str] | None:
    """Returns minor units and currency of `{"amount": 1000, "currency": "USD"}`; None for an unknown currency."""
    currency = text(money, "currency").upper()
    return (units.from_minor(at(money, ["amount"]), currency), currency) if units.is_currency(currency) else None


def _tip(payment: object, currency: str) -> int | None:
    """Returns the tip, which is not in `amount_money`."""
    tip = at(payment, ["tip_money", "amount"])
    return units.from_minor(tip, currency) if tip else None


def _was_captured(payment: object) -> bool:
    """Tells whether a payment that failed or was cancelled had been captured.  Odd details tell nothing."""
    card = at(payment, ["card_details"])
    timeline = card.get("card_payment_timeline") if isinstance(card, dict) else None
    return isinstance(timeline, dict) and bool(timeline.get("captured_at"))


def _failure(kind: Kind, payment: object) -> tuple[FailureClass | None, str | None]:
    if kind not in NOT_PAID:
        return None, None
    codes = [code for name in DETAILS_WITH_ERRORS for code in error_codes(at(payment, [name]))]
    known = next((code for code in codes if code in FAILURES), None)
    if known is not None:
        return FAILURES[known], known
    otherwise = FailureClass.USER_CANCELLED if kind is Kind.PAYMENT_CANCELLED else FailureClass.UNKNOWN
    return otherwise, codes[0] if codes else None


def error_codes(holder: object) -> list[str]:
    """Returns the codes in a list of errors.  No money hangs on them: odd ones are passed over."""
    errors = holder.get("errors") if isinstance(holder, dict) else None
    codes = [error.get("code") for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
    return [code for code in codes if isinstance(code, str) and _CODE.fullmatch(code)]


def refund_facts(refund: object) -> Iterator[Fact]:
    """Yields one refund by its status.

    Its order_id is that of the return, not of the purchase: its payment finds the order.
    """
    status = text(refund, "status")
    kind = known_or_none(REFUND_STATUSES, status, "refund.status")
    money = None if kind is None else _money(at(refund, ["amount_money"]))
    if kind is None or money is None:
        return
    failed = kind is Kind.REFUND_FAILED
    yield Fact(
        kind=kind,
        payment_ref=text_or_none(refund, "payment_id"),
        refund_ref=text(refund, "id"),
        amount=money[0],
        currency=money[1],
        failure=FailureClass.UNKNOWN if failed else None,
        failure_code=status if failed else None,
    )


def dispute_facts(dispute: object) -> Iterator[Fact]:
    """Yields one dispute by its state.  Older versions call its id dispute_id."""
    kind = known_or_none(DISPUTE_STATES, text(dispute, "state"), "dispute.state")
    money = None if kind is None else _money(at(dispute, ["amount_money"]))
    if kind is None or money is None:
        return
    yield Fact(
        kind=kind,
        payment_ref=text_or_none(dispute, "disputed_payment", "payment_id"),
        dispute_ref=text_or_none(dispute, "id") or text(dispute, "dispute_id"),
        amount=money[0],
        currency=money[1],
    )


READERS: Final[Mapping[str, Callable[[object], Iterator[Fact]]]] = {
    "payment": payment_facts,
    "refund": refund_facts,
    "dispute": dispute_facts,
}

# Every type that changes what we know, and the name of its object; all others are answered with success.
TYPES: Final[Mapping[str, str]] = {
    "payment.created": "payment",
    "payment.updated": "payment",
    "refund.created": "refund",
    "refund.updated": "refund",
    "dispute.created": "dispute",
    "dispute.state.updated": "dispute",
    "dispute.state.changed": "dispute",  # its name in versions before 2021
}
# What else a subscription may name: by the package `squareup` 46, whose list a test goes through, and Square's page
# "Webhook events".
IGNORED: Final = IgnoredTypes(
    field="type",
    families=tuple(
        f"{name}."
        for name in (
            *("bank_account", "booking", "card", "catalog", "channel", "customer", "device", "dispute.evidence"),
            *("gift_card", "inventory", "invoice", "job", "labor", "location", "loyalty", "merchant", "oauth"),
            *("online_checkout", "order", "payout", "subscription", "team_member", "terminal"),
            *("transfer_order", "vendor"),
        )
    ),
)
