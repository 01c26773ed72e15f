"""What Checkout.com's objects say, and what its response codes mean.

Source: checkout.com/docs, "API response codes"; the grouping is ours.
"""

from datetime import datetime
from typing import Final, TypedDict

import msgspec

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit.fields import at, text

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


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What one object says, before it is given its event's id and time.  Amounts are in Checkout.com's units."""

    kind: Kind
    payment_ref: str | None
    order_ref: str | None = None
    capture_ref: str | None = None
    refund_ref: str | None = None
    dispute_ref: str | None = None
    amount: object = None
    total: object = None
    currency: str | None = None
    since: datetime | None = None  # where the state has a time of its own
    as_of: datetime | None = None  # where it stands for another moment than that of its delivery or answer
    failure: FailureClass | None = None
    failure_code: str | None = None
    method: str | None = None
    also: "tuple[tuple[str, Said], ...]" = ()  # what it says besides, by what the names of those events end in


class Money(TypedDict):
    """An amount with its currency, as fields of Said."""

    amount: object
    currency: str


def money(data: object) -> Money:
    """The amount, which must be there, and its currency."""
    amount = at(data, ["amount"])
    if amount is None:
        raise BadPayload("amount is missing")
    return {"amount": amount, "currency": text(data, "currency")}


def balance(data: object, name: str) -> int | None:
    """What stands under a name among the balances; None where nothing does."""
    value = at(data, ["balances", name])
    return value if type(value) is int else None


def failure_of(code: str | None) -> tuple[FailureClass, str | None]:
    """The class of a response code, and the code."""
    if code is None:
        return FailureClass.UNKNOWN, None
    if code.startswith(RISK_PREFIX):
        return FailureClass.SUSPECTED_FRAUD, code
    return FAILURES.get(code, FailureClass.UNKNOWN), code
