"""Reads what Mollie's payments, refunds and chargebacks say of themselves, by next-gen webhook or by query.

Sources: Mollie's API reference, "Get payment" (statuses, times, `embed`), "Get refund", "Get chargeback", and its page
on failure reasons of card payments.  Not certain: whether `amountRefunded` counts refunds that are queued (it is used
only where the refunds themselves are not embedded).

What a payment that is captured by hand captured so far is one sum, which the payment itself gives its name to.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.errors import BadPayload, VerificationStep
from tillkeeper.gateways.kit import strictjson, units
from tillkeeper.gateways.kit.fact import Fact
from tillkeeper.gateways.kit.fields import at, moment_from_rfc3339, text, text_or_none, written_or_none
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


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What an account's settings say about its objects: where the order's reference stands, and the mode."""

    order_ref_path: Sequence[str]
    live: bool | None

    def order_ref_of(self, payment: object) -> str | None:
        """Returns the order that a payment names.

        Metadata may hold anything: what is no object on the way names no order.  JSON as text is read as such.
        """
        found = payment
        for name in self.order_ref_path:
            if isinstance(found, str) and found.startswith("{"):
                found = _object_in(found)
            found = found.get(name) if isinstance(found, dict) else None
        return written_or_none(found)

    def check_mode(self, subject: object) -> None:
        """Raises BadPayload for the other mode: test money must not pay live orders.  The API key tells the mode."""
        mode = at(subject, ["mode"])  # a refund may not tell
        if self.live is not None and mode is not None and mode != ("live" if self.live else "test"):
            raise BadPayload("mode is not the api_key's", VerificationStep.MODE)


def _object_in(written: str) -> object:
    try:
        return strictjson.loads(written.encode())
    except BadPayload:
        return None


def payment_facts(payment: object, profile: Profile, reported_at: datetime) -> Iterator[Fact]:
    """Yields where a payment stands; nothing while nobody tried to pay, or where nobody knows the word for it."""
    profile.check_mode(payment)
    status = text(payment, "status")
    if status not in PAYMENT_STATUSES:
        unknown_word("status of a payment", status)
        return
    state = PAYMENT_STATUSES[status]
    if state is None or not _is_counted(payment):
        return
    kind, time_field = state
    since = _moment(payment, time_field) or reported_at
    standing = _standing(payment, profile, kind, status, since)
    yield from _parts_of(payment, standing, reported_at) if kind in CAN_BE_CAPTURED else (standing,)
    if kind in CAME_TO_NOTHING and (paid_at := _moment(payment, "paidAt")) is not None:
        undone_at = max(paid_at, since)
        yield msgspec.structs.replace(standing, kind=Kind.PAYMENT_REVERSED, occurred_at=undone_at, failure=None)


def _standing(payment: object, profile: Profile, kind: Kind, status: str, since: datetime) -> Fact:
    amount, currency = _money(payment, "amount")
    failure, code = ENDED_BY.get(status), None
    if kind is Kind.PAYMENT_FAILED:
        code = text_or_none(payment, "details", "failureReason")
        failure = FAILURES.get(code or "", FailureClass.UNKNOWN)
    return Fact(
        kind=kind,
        payment_ref=text(payment, "id"),
        order_ref=profile.order_ref_of(payment),
        occurred_at=since,
        amount=amount,
        currency=currency,
        failure=failure,
        failure_code=code,
        method=text_or_none(payment, "method"),
    )


def _parts_of(payment: object, standing: Fact, reported_at: datetime) -> Iterator[Fact]:
    """Yields what was captured so far, where Mollie tells that, and what is left of the authorization."""
    captured, _ = _money_or_none(payment, "amountCaptured")
    if not captured:
        yield standing
        return
    yield _captured(payment, standing, captured, reported_at)
    if captured == standing.amount:
        return
    if standing.kind is Kind.PAYMENT_AUTHORIZED:
        yield standing
    else:  # paid with a part, and the rest was let go
        yield msgspec.structs.replace(standing, kind=Kind.PAYMENT_CANCELLED, occurred_at=reported_at, amount=None)


def _captured(payment: object, standing: Fact, amount: int, reported_at: datetime) -> Fact:
    """Unless the sum has a name, it grows with each capture: it is true of now."""
    is_by_hand = text_or_none(payment, "captureMode") == "manual"
    return msgspec.structs.replace(
        standing,
        kind=Kind.PAYMENT_SUCCEEDED,
        occurred_at=standing.occurred_at if is_by_hand else reported_at,
        amount=amount,
        capture_ref=standing.payment_ref if is_by_hand else None,
    )


def return_facts(payment: object, profile: Profile, reported_at: datetime) -> Iterator[Fact]:
    """Yields each refund and chargeback where they are embedded, else what all of them come to."""
    ref, order_ref = text(payment, "id"), profile.order_ref_of(payment)
    refunds, chargebacks = embedded(payment, "refunds"), embedded(payment, "chargebacks")
    refunded, charged_back = _refunded_in_all(payment), _charged_back_in_all(payment)
    facts = [
        *(_refund_fact(refund, ref, reported_at) for refund in refunds or ()),
        *(_chargeback_fact(chargeback, ref) for chargeback in chargebacks or ()),
        refunded if refunds is None else None,
        charged_back if chargebacks is None else None,
    ]
    yield from (msgspec.structs.replace(fact, order_ref=order_ref) for fact in facts if fact is not None)


def _refunded_in_all(payment: object) -> Fact | None:
    total, currency = _money_or_none(payment, "amountRefunded")
    if not total:
        return None
    return Fact(kind=Kind.REFUND_SUCCEEDED, payment_ref=text(payment, "id"), total=total, currency=currency)


def _charged_back_in_all(payment: object) -> Fact | None:
    amount, currency = _money_or_none(payment, "amountChargedBack")
    if not amount:
        return None
    ref = text(payment, "id")
    dispute_ref = f"{ref}:chargebacks"
    return Fact(kind=Kind.DISPUTE_OPENED, payment_ref=ref, amount=amount, currency=currency, dispute_ref=dispute_ref)


def gave_back(payment: object) -> bool:
    """Returns whether there are refunds or chargebacks to be asked for."""
    return any(_money_or_none(payment, name)[0] for name in ("amountRefunded", "amountChargedBack"))


def refund_facts(refund: object, payment_ref: str, profile: Profile, reported_at: datetime) -> Iterator[Fact]:
    """Yields a refund that stands by itself; nothing where nobody knows the word for its state."""
    profile.check_mode(refund)
    if (fact := _refund_fact(refund, payment_ref, reported_at)) is not None:
        yield msgspec.structs.replace(fact, order_ref=profile.order_ref_of({"id": payment_ref}))


def _refund_fact(refund: object, payment_ref: str, reported_at: datetime) -> Fact | None:
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
        payment_ref=payment_ref,
        refund_ref=text(refund, "id"),
        occurred_at=moment_from_rfc3339(text(refund, "createdAt")) if kind is Kind.REFUND_PENDING else reported_at,
        amount=amount,
        currency=currency,
        failure=FailureClass.UNKNOWN if failed else None,
        failure_code=status if failed else None,
    )


def _chargeback_fact(chargeback: object, payment_ref: str) -> Fact | None:
    """One chargeback, open until it is reversed: Mollie never says that one is lost for good."""
    if not _is_counted(chargeback):
        return None
    reversed_at = _moment(chargeback, "reversedAt")
    amount, currency = _money(chargeback, "amount")
    return Fact(
        kind=Kind.DISPUTE_OPENED if reversed_at is None else Kind.DISPUTE_WON,
        payment_ref=payment_ref,
        dispute_ref=text(chargeback, "id"),
        occurred_at=reversed_at or moment_from_rfc3339(text(chargeback, "createdAt")),
        amount=amount,
        currency=currency,
    )


def embedded(subject: object, name: str) -> list[object] | None:
    """Returns the objects embedded under a name; None where there is no such list."""
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
    """Returns whether an amount is in a currency that can be counted."""
    return units.is_currency(text(subject, name, "currency"), f"{name}.currency")
