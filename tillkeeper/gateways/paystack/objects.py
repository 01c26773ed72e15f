"""Reads what Paystack's transactions, refunds and disputes say, in a webhook or in an answer.

Sources: Paystack's pages "Webhooks", "Verify payments", "Refunds" and "Disputes"; its API reference.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit import units
from tillkeeper.gateways.kit.fact import Fact
from tillkeeper.gateways.kit.fields import (
    at,
    moment_from_rfc3339,
    number,
    number_or_none,
    reference_or_none,
    text,
    text_or_none,
)
from tillkeeper.gateways.kit.ignored_types import IgnoredTypes
from tillkeeper.gateways.kit.unknown_words import known_or_none

# Paystack dates no word about a refund, and a late one must not undo the last.  So all stand at one instant, where
# their rank decides: pending, processed, failed.  It lies before Paystack's first payment, and after what a merchant
# registers of a refund beforehand.
UNDATED: Final = datetime(2015, 1, 1, tzinfo=UTC)

TRANSACTION_STATUSES: Final = {
    "success": Kind.PAYMENT_SUCCEEDED,
    "failed": Kind.PAYMENT_FAILED,
    "abandoned": Kind.PAYMENT_CANCELLED,
    "ongoing": Kind.PAYMENT_PENDING,
    "pending": Kind.PAYMENT_PENDING,
    "processing": Kind.PAYMENT_PENDING,
    "queued": Kind.PAYMENT_PENDING,
    "reversed": Kind.PAYMENT_SUCCEEDED,  # it was taken, and went back as a whole: said besides
}

REFUND_STATUSES: Final = {
    "pending": Kind.REFUND_PENDING,
    "processing": Kind.REFUND_PENDING,
    "needs-attention": Kind.REFUND_PENDING,  # it waits for where to pay it to
    "processed": Kind.REFUND_SUCCEEDED,
    "failed": Kind.REFUND_FAILED,
}

# A dispute that ended in a way not named here stays open, for people to look at.
RESOLUTIONS: Final = {
    "declined": Kind.DISPUTE_WON,
    "merchant-accepted": Kind.DISPUTE_LOST,
    "auto-accepted": Kind.DISPUTE_LOST,  # nobody answered in time
}

# `gateway_response` is free text: the first line whose words it holds, in any letter case, tells the class.
FAILURES: Final[tuple[tuple[str, FailureClass], ...]] = (
    ("insufficient", FailureClass.INSUFFICIENT_FUNDS),
    ("not sufficient", FailureClass.INSUFFICIENT_FUNDS),
    ("limit", FailureClass.LIMIT_EXCEEDED),
    ("timeout", FailureClass.NETWORK_TIMEOUT),
    ("timed out", FailureClass.NETWORK_TIMEOUT),
    ("issuer or switch inoperative", FailureClass.NETWORK_TIMEOUT),
    ("pin", FailureClass.BANK_VERIFICATION_FAILED),
    ("otp", FailureClass.BANK_VERIFICATION_FAILED),
    ("authentication", FailureClass.BANK_VERIFICATION_FAILED),
    ("token not generated", FailureClass.BANK_VERIFICATION_FAILED),
    ("fraud", FailureClass.SUSPECTED_FRAUD),
    ("expired card", FailureClass.CARD_EXPIRED_OR_INVALID),
    ("card expired", FailureClass.CARD_EXPIRED_OR_INVALID),
    ("invalid card", FailureClass.CARD_EXPIRED_OR_INVALID),
    ("no card record", FailureClass.CARD_EXPIRED_OR_INVALID),
    ("restricted", FailureClass.ACCOUNT_FROZEN),
    ("lost card", FailureClass.ACCOUNT_FROZEN),
    ("stolen", FailureClass.ACCOUNT_FROZEN),
    ("hot card", FailureClass.ACCOUNT_FROZEN),
    ("inactive", FailureClass.ACCOUNT_FROZEN),
    ("not permitted", FailureClass.METHOD_UNAVAILABLE),
    ("not enabled", FailureClass.METHOD_UNAVAILABLE),
    ("cancel", FailureClass.USER_CANCELLED),
    ("system malfunction", FailureClass.GATEWAY_FAULT),
    ("unable to process", FailureClass.GATEWAY_FAULT),
)
FAILURE_CODE_CHARS_MAX: Final = 100
NOT_PAID: Final = frozenset({Kind.PAYMENT_FAILED, Kind.PAYMENT_CANCELLED})
WHOLLY_BACK: Final = "reversed"  # a transaction that was taken and went back as a whole
MADE_AT: Final = ("created_at", "createdAt")
PAID_AT: Final = ("paid_at", "paidAt", *MADE_AT)
RESOLVED_AT: Final = ("resolvedAt", "resolved_at", "updated_at", "updatedAt", *MADE_AT)

_DIGITS: Final = re.compile(r"\d{1,18}", re.ASCII)


def transaction_fact(transaction: object, reported_at: datetime | None = None) -> Fact | None:
    """Reads one transaction by its status.

    `reported_at` is when a response was given; a webhook has a time of its own.
    """
    kind = known_or_none(TRANSACTION_STATUSES, text(transaction, "status"), "transaction.status")
    currency = _currency_or_none(text(transaction, "currency"))
    if kind is None or currency is None:
        return None
    failure, code = _failure(kind, transaction)
    fee = _fee_on_top(transaction, currency)
    is_dated = kind is Kind.PAYMENT_SUCCEEDED or reported_at is None
    return Fact(
        kind=kind,
        payment_ref=text(transaction, "reference"),
        amount=_minor(at(transaction, ["amount"]), currency) - fee,
        currency=currency,
        on_top=fee or None,
        occurred_at=_moment(transaction, PAID_AT) if is_dated else reported_at,
        failure=failure,
        failure_code=code,
        method=reference_or_none(at(transaction, ["channel"])),  # no money hangs on it: what is odd is unknown
    )


def transaction_facts(transaction: object, reported_at: datetime) -> Iterator[Fact]:
    """Yields the state of a transaction in a response, and that all of it went back where it did."""
    fact = transaction_fact(transaction, reported_at)
    if fact is None:
        return
    yield fact
    if text(transaction, "status") == WHOLLY_BACK:
        yield Fact(
            kind=Kind.REFUND_SUCCEEDED,
            payment_ref=fact.payment_ref,
            total=fact.amount,
            currency=fact.currency,
            occurred_at=reported_at,
        )


def refund_fact(refund: object) -> Fact | None:
    """Reads one refund by its status; None where it has no number, and Paystack is queried."""
    kind = known_or_none(REFUND_STATUSES, text(refund, "status"), "refund.status")
    refund_ref, currency = number_or_none(refund, "id"), _currency_or_none(text(refund, "currency"))
    if kind is None or refund_ref is None or currency is None:
        return None
    return Fact(
        kind=kind,
        payment_ref=text_or_none(refund, "transaction_reference"),
        refund_ref=refund_ref,
        amount=_minor(at(refund, ["amount"]), currency),
        currency=currency,
        occurred_at=UNDATED,
        failure=FailureClass.UNKNOWN if kind is Kind.REFUND_FAILED else None,
    )


def dispute_fact(dispute: object) -> Fact | None:
    """Reads one dispute, which is open until it is resolved."""
    transaction = at(dispute, ["transaction"])
    kind = Kind.DISPUTE_OPENED
    if text(dispute, "status") == "resolved":
        kind = RESOLUTIONS.get(text_or_none(dispute, "resolution") or "", kind)
    amount = at(dispute, ["refund_amount"]) or at(transaction, ["amount"])
    currency = _currency_or_none(text_or_none(dispute, "currency") or text(transaction, "currency"))
    if currency is None:
        return None
    return Fact(
        kind=kind,
        payment_ref=text_or_none(transaction, "reference") or text_or_none(dispute, "transaction_reference"),
        dispute_ref=number(dispute, "id"),
        amount=None if amount is None else _minor(amount, currency),
        currency=currency,
        occurred_at=_moment(dispute, MADE_AT if kind is Kind.DISPUTE_OPENED else RESOLVED_AT),
    )


class EventSubject(msgspec.Struct, frozen=True):
    """What an event is about: its reader, and the path to the transaction that names the order, if any."""

    read: Callable[[object], Fact | None]
    transaction: tuple[str, ...] | None


TRANSACTION: Final = EventSubject(transaction_fact, transaction=())
REFUND: Final = EventSubject(refund_fact, transaction=None)
DISPUTE: Final = EventSubject(dispute_fact, transaction=("transaction",))

# Every event that changes what we know; all others are answered with success and change nothing.
EVENTS: Final[Mapping[str, EventSubject]] = {
    "charge.success": TRANSACTION,
    "charge.failed": TRANSACTION,
    "refund.pending": REFUND,
    "refund.processing": REFUND,
    "refund.needs-attention": REFUND,
    "refund.processed": REFUND,
    "refund.failed": REFUND,
    "charge.dispute.create": DISPUTE,
    "charge.dispute.remind": DISPUTE,
    "charge.dispute.resolve": DISPUTE,
}
# What else Paystack sends, by its page "Webhooks"; every event goes to the one address.
IGNORED: Final = IgnoredTypes(
    field="event",
    families=tuple(
        f"{name}."
        for name in (
            *("bank", "customeridentification", "dedicatedaccount", "direct_debit", "invoice", "paymentrequest"),
            *("subscription", "transfer"),
        )
    ),
)


def _currency_or_none(written: str) -> str | None:
    currency = written.upper()
    return currency if units.is_currency(currency) else None


def _minor(amount: object, currency: str) -> int:
    """Returns minor units of ISO 4217.  Refunds write amounts as digits in quotes, too."""
    if isinstance(amount, str) and _DIGITS.fullmatch(amount):
        amount = int(amount)
    return units.from_minor(amount, currency, units.PAYSTACK)


def _fee_on_top(transaction: object, currency: str) -> int:
    """Returns the fee where the payer bears it: then the amount is the requested one and the fee."""
    requested, fees = at(transaction, ["requested_amount"]), at(transaction, ["fees"])
    if type(requested) is not int or type(fees) is not int or requested <= 0 or fees <= 0:
        return 0
    return _minor(fees, currency) if at(transaction, ["amount"]) == requested + fees else 0


def _moment(subject: object, names: tuple[str, ...]) -> datetime:
    """Returns the first of these times that is there."""
    written = next((value for name in names if (value := text_or_none(subject, name))), None)
    if written is None:
        raise BadPayload(f"the time is missing: none of {', '.join(names)} is there")
    return moment_from_rfc3339(written)


def _failure(kind: Kind, transaction: object) -> tuple[FailureClass | None, str | None]:
    if kind not in NOT_PAID:
        return None, None
    response = text_or_none(transaction, "gateway_response") or ""
    code = response[:FAILURE_CODE_CHARS_MAX] or None
    if kind is Kind.PAYMENT_CANCELLED:
        return FailureClass.EXPIRED_UNPAID, code
    lower = response.lower()
    return next((failure for words, failure in FAILURES if words in lower), FailureClass.UNKNOWN), code
