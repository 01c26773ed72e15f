"""What Mollie's payments, refunds and chargebacks say of themselves, by next-gen webhook or by query.

Sources: Mollie's API reference, "Get payment" (statuses, times, `embed`), "Get refund", "Get chargeback", and its page
on failure reasons of card payments.  Not certain: whether `amountRefunded` counts refunds that are queued (it is used
only where the refunds themselves are not told).

What a payment that is captured by hand captured so far is one sum, which the payment itself gives its name to.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

import msgspec

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit import units
from tillkeeper.gateways.kit.fields import at, moment_from_rfc3339, text, text_or_none
from tillkeeper.gateways.kit.unknown_words import unknown_word

# What each status means, and where the payment says since when; None where nothing was tried yet.
PAYMENT_STATUSES: Final[Mapping[str, tuple[Kind, str | None] | None]] = {
    "open": None,
    "pending": (Kind.PAYMENT_PENDING, "createdAt"),
    "authorized": (Kind.PAYMENT_AUTHORIZED, "authorizedAt"),
    "paid": (Kind.PAYMENT_SUCCEEDED, "paidAt"),
    "canceled": (Kind.PAYMENT_CANCELLED, "canceledAt"),
    "expired": (Kind.PAYMENT_CANCELLED, "expiredAt"),
    "failed": (Kind.PAYMENT_FAILED, "failedAt"),
}
CAN_BE_CAPTURED: Final = frozenset({Kind.PAYMENT_AUTHORIZED, Kind.PAYMENT_SUCCEEDED})
CAME_TO_NOTHING: Final = frozenset({Kind.PAYMENT_FAILED, Kind.PAYMENT_CANCELLED})
ENDED_BY: Final = {"canceled": FailureClass.USER_CANCELLED, "expired": FailureClass.EXPIRED_UNPAID}

REFUND_STATUSES: Final[Mapping[str, Kind]] = {
    "queued": Kind.REFUND_PENDING,
    "pending": Kind.REFUND_PENDING,
    "processing": Kind.REFUND_PENDING,
    "refunded": Kind.REFUND_SUCCEEDED,
    "failed": Kind.REFUND_FAILED,
    "canceled": Kind.REFUND_FAILED,
}

FAILURES: Final[Mapping[str, FailureClass]] = {
    "insufficient_funds": FailureClass.INSUFFICIENT_FUNDS,
    "card_expired": FailureClass.CARD_EXPIRED_OR_INVALID,
    "invalid_card_number": FailureClass.CARD_EXPIRED_OR_INVALID,
    "invalid_cvv": FailureClass.CARD_EXPIRED_OR_INVALID,
    "invalid_card_holder_name": FailureClass.CARD_EXPIRED_OR_INVALID,
    "invalid_card_type": FailureClass.CARD_EXPIRED_OR_INVALID,
    "authentication_failed": FailureClass.BANK_VERIFICATION_FAILED,
    "authentication_required": FailureClass.BANK_VERIFICATION_FAILED,
    "authentication_unavailable_acs": FailureClass.BANK_VERIFICATION_FAILED,
    "authentication_abandoned": FailureClass.USER_CANCELLED,
    "inactive_card": FailureClass.ACCOUNT_FROZEN,
    "possible_fraud": FailureClass.SUSPECTED_FRAUD,
    "refused_by_issuer": FailureClass.UNKNOWN,
    "unknown_reason": FailureClass.UNKNOWN,
}


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """What one object says, in minor units."""

    kind: Kind
    at: datetime
    currency: str
    amount: int | None = None
    total: int | None = None
    capture_ref: str | None = None
    refund_ref: str | None = None
    dispute_ref: str | None = None
    failure: FailureClass | None = None
    failure_code: str | None = None
    method: str | None = None


def payment_facts(payment: object, told_at: datetime) -> Iterator[Fact]:
    """Where a payment stands; nothing while nobody tried to pay, or where nobody knows the word for it."""
    status = text(payment, "status")
    if status not in PAYMENT_STATUSES:
        unknown_word("status of a payment", status)
        return
    meant = PAYMENT_STATUSES[status]
    if meant is None or not _is_counted(payment):
        return
    (kind, since), (amount, currency) = meant, _money(payment, "amount")
    failure, code = ENDED_BY.get(status), None
    if kind is Kind.PAYMENT_FAILED:
        code = text_or_none(payment, "details", "failureReason")
        failure = FAILURES.get(code or "", FailureClass.UNKNOWN)
    standing = Fact(
        kind=kind,
        at=_moment(payment, since) or told_at,
        amount=amount,
        currency=currency,
        failure=failure,
        failure_code=code,
        method=text_or_none(payment, "method"),
    )
    yield from _parts_of(payment, standing, told_at) if kind in CAN_BE_CAPTURED else (standing,)
    if kind in CAME_TO_NOTHING and (paid_at := _moment(payment, "paidAt")) is not None:
        yield msgspec.structs.replace(standing, kind=Kind.PAYMENT_REVERSED, at=max(paid_at, standing.at), failure=None)


def _parts_of(payment: object, standing: Fact, told_at: datetime) -> Iterator[Fact]:
    """What was captured so far, where Mollie tells that, and what is left of the authorization."""
    captured, _ = _money_or_none(payment, "amountCaptured")
    if not captured:
        yield standing
        return
    by_hand = text_or_none(payment, "captureMode") == "manual"
    yield msgspec.structs.replace(
        standing,
        kind=Kind.PAYMENT_SUCCEEDED,
        at=standing.at if by_hand else told_at,  # unless it has a name, it grows with each capture: it is true of now
        amount=captured,
        capture_ref=text(payment, "id") if by_hand else None,
    )
    if captured == standing.amount:
        return
    if standing.kind is Kind.PAYMENT_AUTHORIZED:
        yield standing
    else:  # paid with a part, and the rest was let go
        yield msgspec.structs.replace(standing, kind=Kind.PAYMENT_CANCELLED, at=told_at, amount=None)


def returns_of(payment: object, told_at: datetime) -> Iterator[Fact]:
    """Each refund and chargeback where they are told along, else what all of them come to."""
    refunds, chargebacks = embedded(payment, "refunds"), embedded(payment, "chargebacks")
    yield from filter(None, (refund_fact(refund, told_at) for refund in refunds or ()))
    yield from (_chargeback_fact(chargeback) for chargeback in chargebacks or () if _is_counted(chargeback))
    given_back, currency = _money_or_none(payment, "amountRefunded")
    if given_back and refunds is None:
        yield Fact(kind=Kind.REFUND_SUCCEEDED, at=told_at, total=given_back, currency=currency)
    charged_back, currency = _money_or_none(payment, "amountChargedBack")
    if charged_back and chargebacks is None:
        ref = f"{text(payment, 'id')}:chargebacks"
        yield Fact(kind=Kind.DISPUTE_OPENED, at=told_at, amount=charged_back, currency=currency, dispute_ref=ref)


def gave_back(payment: object) -> bool:
    """Whether there are refunds or chargebacks to be asked for."""
    return any(_money_or_none(payment, name)[0] for name in ("amountRefunded", "amountChargedBack"))


def refund_fact(refund: object, told_at: datetime) -> Fact | None:
    """One refund by its status: pending since it was made, so that no outcome can seem to lie before it."""
    status = text(refund, "status")
    if status not in REFUND_STATUSES:
        unknown_word("status of a refund", status)
        return None
    if not _is_counted(refund):
        return None
    kind = REFUND_STATUSES[status]
    amount, currency = _money(refund, "amount")
    failed = kind is Kind.REFUND_FAILED
    return Fact(
        kind=kind,
        at=moment_from_rfc3339(text(refund, "createdAt")) if kind is Kind.REFUND_PENDING else told_at,
        amount=amount,
        currency=currency,
        refund_ref=text(refund, "id"),
        failure=FailureClass.UNKNOWN if failed else None,
        failure_code=status if failed else None,
    )


def _chargeback_fact(chargeback: object) -> Fact:
    """Open until it is reversed: Mollie never says that one is lost for good."""
    reversed_at = _moment(chargeback, "reversedAt")
    amount, currency = _money(chargeback, "amount")
    return Fact(
        kind=Kind.DISPUTE_OPENED if reversed_at is None else Kind.DISPUTE_WON,
        at=reversed_at or moment_from_rfc3339(text(chargeback, "createdAt")),
        amount=amount,
        currency=currency,
        dispute_ref=text(chargeback, "id"),
    )


def embedded(subject: object, name: str) -> list[object] | None:
    """The objects told along under a name; None where none are told."""
    found = at(subject, ["_embedded", name])
    if found is not None and not isinstance(found, list):
        raise BadPayload(f"{name} is no list")
    return found


def _moment(subject: object, name: str | None) -> datetime | None:
    written = None if name is None else text_or_none(subject, name)
    return None if written is None else moment_from_rfc3339(written)


def _money(subject: object, name: str) -> tuple[int, str]:
    currency = text(subject, name, "currency")
    return units.from_major(text(subject, name, "value"), currency), currency


def _money_or_none(subject: object, name: str) -> tuple[int, str]:
    return (0, "") if at(subject, [name]) is None or not _is_counted(subject, name) else _money(subject, name)


def _is_counted(subject: object, name: str = "amount") -> bool:
    """Whether an amount is in a currency that can be counted."""
    return units.is_currency(text(subject, name, "currency"), f"{name}.currency")
