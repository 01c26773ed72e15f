"""Reads what Flutterwave's objects say, of both versions: charges or transactions, refunds and chargebacks.

Sources: Flutterwave's pages "Webhooks", "Transaction verification", "Refunds" and "Chargebacks", of v3 and of v4.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit.fact import Fact
from tillkeeper.gateways.kit.fields import (
    at,
    moment_from_rfc3339,
    number,
    number_or_none,
    reference_or_none,
    text,
    text_or_none,
    written_or_none,
)
from tillkeeper.gateways.kit.ignored_types import IgnoredTypes
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

NOT_PAID: Final = frozenset({Kind.PAYMENT_FAILED, Kind.PAYMENT_CANCELLED})

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


def charge_fact(charge: object) -> Fact | None:
    """Reads one charge by its status: the event of its completion is sent for failures, too.

    Fees that the payer bears are in `charged_amount` alone.
    """
    kind = known_or_none(CHARGE_STATUSES, text(charge, "status"), "charge.status")
    currency = text(charge, "currency").upper()
    if kind is None or not is_currency(currency):
        return None
    failure, code = _failure(kind, charge)
    return Fact(
        kind=kind,
        payment_ref=number(charge, "id"),
        order_ref=order_ref_of(charge),
        amount=from_major(at(charge, ["amount"]), currency),
        currency=currency,
        failure=failure,
        failure_code=code,
        method=_method(charge),
    )


def refund_fact(refund: object, currency_untold: str | None) -> Fact | None:
    """Reads one refund by its status; `currency_untold` is the currency of refunds that name none."""
    kind = known_or_none(REFUND_STATUSES, text(refund, "status").partition("-")[0], "refund.status")
    currency = (text_or_none(refund, "currency") or currency_untold or "").upper()
    if not currency:
        raise BadPayload("the refund tells no currency, and the setting `currency` is not there")
    if kind is None or not is_currency(currency):
        return None
    refunded = at(refund, ["amount_refunded"])
    return Fact(
        kind=kind,
        payment_ref=number_or_none(refund, "charge_id") or number_or_none(refund, "tx_id"),
        refund_ref=number(refund, "id"),
        amount=from_major(at(refund, ["amount"]) if refunded is None else refunded, currency),
        currency=currency,
        failure=FailureClass.UNKNOWN if kind is Kind.REFUND_FAILED else None,
    )


def chargeback_fact(chargeback: object, currency_untold: str | None) -> Fact:
    """Reads one chargeback, which is open until its status says how it ended."""
    written = (text_or_none(chargeback, "currency") or currency_untold or "").upper()
    currency = written if written and is_currency(written) else None
    amount = at(chargeback, ["amount"])
    return Fact(
        kind=CHARGEBACK_STATUSES.get(text(chargeback, "status"), Kind.DISPUTE_OPENED),
        payment_ref=number_or_none(chargeback, "charge_id"),
        dispute_ref=number(chargeback, "id"),
        amount=None if currency is None or amount is None else from_major(amount, currency),
        currency=currency,
    )


# What v4's types are about, by the word before the dot; all others are answered with success and change nothing.
READERS: Final[Mapping[str, Callable[[object, str | None], Fact | None]]] = {
    "charge": lambda charge, _: charge_fact(charge),
    "refund": refund_fact,
    "chargeback": chargeback_fact,
}
# Money that the merchant sends, and what is about no money: by Flutterwave's page "Webhooks" and its API reference.
IGNORED: Final = IgnoredTypes(
    field="type",
    families=(
        "bill.",
        "customer.",
        "payout.",
        "singlebillpayment.",
        "subscription.",
        "transfer.",
        "virtual_account.",
        "wallet.",
    ),
)


def order_ref_of(charge: object) -> str | None:
    """Returns what the merchant wrote down, or else its reference of the charge.  Meta may hold anything."""
    meta = at(charge, ["meta"])
    noted = written_or_none(meta.get("order_id")) if isinstance(meta, dict) else None
    return noted or text_or_none(charge, "reference") or text_or_none(charge, "tx_ref")


def made_at(subject: object) -> datetime | None:
    """Returns when an object was made, where it tells."""
    written = text_or_none(subject, "created_datetime") or text_or_none(subject, "created_at")
    return moment_from_rfc3339(written) if written else None


def _failure(kind: Kind, charge: object) -> tuple[FailureClass | None, str | None]:
    if kind not in NOT_PAID:
        return None, None
    response = at(charge, ["processor_response"])
    if isinstance(response, dict):  # v4's has a type and a code
        response = response.get("type") or response.get("code")
    if not isinstance(response, str) or not response:
        return FailureClass.UNKNOWN, None
    words = response.lower().replace("_", " ")
    failure = next((failure for found, failure in FAILURES if found in words), FailureClass.UNKNOWN)
    return failure, response[:FAILURE_CODE_CHARS_MAX]


def _method(charge: object) -> str | None:
    """Returns how the payer pays.  No money hangs on it: odd values count as unknown."""
    method = at(charge, ["payment_method"])
    return reference_or_none(method.get("type") if isinstance(method, dict) else at(charge, ["payment_type"]))
