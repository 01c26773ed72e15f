"""Reads what Checkout.com's objects say, and what its response codes mean.

Source: checkout.com/docs, "API response codes"; the grouping is ours.
"""

from typing import Final, TypedDict

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.kit import units
from tillkeeper.gateways.kit.fact import Fact, in_minor_units
from tillkeeper.gateways.kit.fields import at, integer, text

FAILURES: Final = {
    "20051": FailureClass.INSUFFICIENT_FUNDS,
    "20061": FailureClass.LIMIT_EXCEEDED,
    "20065": FailureClass.LIMIT_EXCEEDED,
    "20014": FailureClass.CARD_EXPIRED_OR_INVALID,
    "20054": FailureClass.CARD_EXPIRED_OR_INVALID,
    "20087": FailureClass.CARD_EXPIRED_OR_INVALID,
    "30015": FailureClass.CARD_EXPIRED_OR_INVALID,  # no such issuer
    "30033": FailureClass.CARD_EXPIRED_OR_INVALID,
    "20059": FailureClass.SUSPECTED_FRAUD,
    "30034": FailureClass.SUSPECTED_FRAUD,
    "20062": FailureClass.ACCOUNT_FROZEN,
    "20078": FailureClass.ACCOUNT_FROZEN,
    "30004": FailureClass.ACCOUNT_FROZEN,
    "30007": FailureClass.ACCOUNT_FROZEN,
    "30041": FailureClass.ACCOUNT_FROZEN,
    "30043": FailureClass.ACCOUNT_FROZEN,
    "30046": FailureClass.ACCOUNT_FROZEN,  # closed
    "20151": FailureClass.BANK_VERIFICATION_FAILED,
    "20152": FailureClass.BANK_VERIFICATION_FAILED,
    "20153": FailureClass.BANK_VERIFICATION_FAILED,
    "20154": FailureClass.BANK_VERIFICATION_FAILED,
    "20155": FailureClass.BANK_VERIFICATION_FAILED,
    "20057": FailureClass.METHOD_UNAVAILABLE,
    "20058": FailureClass.METHOD_UNAVAILABLE,
    "20093": FailureClass.METHOD_UNAVAILABLE,
    "20068": FailureClass.NETWORK_TIMEOUT,
    "20091": FailureClass.NETWORK_TIMEOUT,
    "20096": FailureClass.GATEWAY_FAULT,
    "20005": FailureClass.UNKNOWN,
    "20012": FailureClass.UNKNOWN,  # "invalid transaction"
    "20182": FailureClass.UNKNOWN,  # the issuer's policy
}
RISK_PREFIX: Final = "40"  # "risk responses": blocked by the merchant's own or Checkout.com's rules
APPROVED_PREFIX: Final = "10"


class Money(TypedDict):
    """An amount in Checkout.com's units with its currency, as fields of a Fact."""

    amount: int
    currency: str


def money(subject: object) -> Money:
    """Returns the amount, which must be there, and its currency."""
    return {"amount": integer(subject, "amount"), "currency": text(subject, "currency")}


def in_iso_units(fact: Fact) -> Fact | None:
    """Returns the fact with its amounts in ISO 4217's minor units; None where nobody can count its currency."""
    if fact.currency is None:
        return fact
    currency = fact.currency.upper()
    return in_minor_units(fact, currency, units.CHECKOUT) if units.is_currency(currency) else None


def balance(payment: object, name: str) -> int | None:
    """Returns what stands under a name among the balances; None where nothing does."""
    value = at(payment, ["balances", name])
    return value if type(value) is int else None


def uncaptured(payment: object) -> tuple[Kind, int | None] | None:
    """Returns what became of the rest of an authorization beside what was captured; None where there is no rest.

    The rest is still held, and then all that was authorized stands as its amount, or it was let go.
    """
    left, authorized = balance(payment, "available_to_capture"), balance(payment, "total_authorized")
    if left is None or authorized is None or balance(payment, "total_captured") == authorized:
        return None
    return (Kind.PAYMENT_AUTHORIZED, authorized) if left > 0 else (Kind.PAYMENT_CANCELLED, None)


def failure_of(code: str | None) -> tuple[FailureClass, str | None]:
    """Returns the class of a response code, and the code."""
    if code is None:
        return FailureClass.UNKNOWN, None
    if code.startswith(RISK_PREFIX):
        return FailureClass.SUSPECTED_FRAUD, code
    return FAILURES.get(code, FailureClass.UNKNOWN), code
