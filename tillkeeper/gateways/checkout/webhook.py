"""Reads Checkout.com's webhooks: what each type of event says.

Sources: checkout.com/docs, "Event types", "API response codes".
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from tillkeeper.domain.events import Kind, PaymentEvent
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.checkout.objects import balance, failure_of, in_iso_units, money, uncaptured
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit import strictjson
from tillkeeper.gateways.kit.fact import Fact, webhook_event
from tillkeeper.gateways.kit.fields import at, moment_from_rfc3339, reference_or_none, text, text_or_none
from tillkeeper.gateways.kit.unknown_words import unknown_word
from tillkeeper.gateways.messages import ClaimedReferences

Reader = Callable[[object], tuple[Fact, ...]]


def events_in(body: bytes, account: str) -> tuple[PaymentEvent, ...]:
    """Returns the events of a delivery, none for a type that moves no order's money.  Raises BadPayload."""
    content = strictjson.loads(body)
    read = _reader_of(text(content, "type"))
    if read is None:
        return ()
    data = at(content, ["data"])
    written = text_or_none(data, "processed_on") or text_or_none(content, "created_on") or text(content, "timestamp")
    facts = [in_iso_units(fact) for fact in read(data)]
    event_id, reported_at = text(content, "id"), moment_from_rfc3339(written)
    return tuple(
        webhook_event(fact, account=account, event_id=event_id, reported_at=reported_at)
        for fact in facts
        if fact is not None
    )


def _reader_of(event_type: str) -> Reader | None:
    read = TYPES.get(event_type)
    if read is None and event_type.startswith(FAMILIES) and event_type not in OF_NO_ORDER:
        unknown_word("type", event_type)
    return read


def claimed_references(body: bytes) -> ClaimedReferences | None:
    """Returns the payment and the order that an unverified delivery names, if it names any."""
    try:
        data = at(strictjson.loads_unsigned(body), ["data"])
        payment_ref = reference_or_none(at(data, ["payment_id"]) or at(data, ["id"]))
        order_ref = reference_or_none(at(data, ["reference"]))
    except BadPayload:
        return None
    return ClaimedReferences.of(order_ref=order_ref, payment_ref=payment_ref)


def _payment_fact(data: object, kind: Kind, failure: FailureClass | None = None) -> Fact:
    code = None
    if kind is Kind.PAYMENT_FAILED:
        failure, code = _failure_of(data)
    return Fact(
        kind=kind,
        payment_ref=text(data, "id"),
        order_ref=text_or_none(data, "reference"),
        **money(data),
        method=text_or_none(data, "source", "type"),
        failure=failure,
        failure_code=code,
    )


def _failure_of(data: object) -> tuple[FailureClass, str | None]:
    return failure_of(text_or_none(data, "response_code"))


def _payment(kind: Kind, failure: FailureClass | None = None) -> Reader:
    """Reads an action on a payment as that."""

    def read(data: object) -> tuple[Fact, ...]:
        return (_payment_fact(data, kind, failure),)

    return read


def _incremented(data: object) -> tuple[Fact, ...]:
    """More is authorized from now on: its amount is what came on top."""
    fact = _payment_fact(data, Kind.PAYMENT_AUTHORIZED)
    return (msgspec.structs.replace(fact, amount=balance(data, "total_authorized")),)


def _captured(data: object) -> tuple[Fact, ...]:
    """One of possibly several captures, each an action of its own, and what is left of the authorization."""
    captured = msgspec.structs.replace(_payment_fact(data, Kind.PAYMENT_SUCCEEDED), capture_ref=text(data, "action_id"))
    rest = uncaptured(data)
    if rest is None:
        return (captured,)
    kind, amount = rest
    part = "authorized" if kind is Kind.PAYMENT_AUTHORIZED else "released"
    return captured, msgspec.structs.replace(captured, kind=kind, amount=amount, capture_ref=None, part=part)


def _capture_declined(data: object) -> tuple[Fact, ...]:
    """What can still be captured stays authorized.  The same capture may have been reported before: it is
    undone."""
    undone = _undone_fact(data, capture_ref=text_or_none(data, "action_id"), part="reversed")
    if not balance(data, "available_to_capture"):
        return _payment_fact(data, Kind.PAYMENT_FAILED), undone
    held = _payment_fact(data, Kind.PAYMENT_AUTHORIZED)
    return msgspec.structs.replace(held, amount=balance(data, "total_authorized")), undone


def _voided(data: object) -> tuple[Fact, ...]:
    """What can still be captured is not over.  Its amount is what was let go, not what is asked."""
    is_over = at(data, ["balances", "available_to_capture"]) in (None, 0)
    kind = Kind.PAYMENT_CANCELLED if is_over else Kind.PAYMENT_AUTHORIZED
    fact = _payment_fact(data, kind, FailureClass.USER_CANCELLED if is_over else None)
    voided = msgspec.structs.replace(fact, amount=None)
    if not is_over or balance(data, "total_captured") != 0:
        return (voided,)
    return voided, _undone_fact(data, part="reversed")


def _undone_fact(data: object, *, capture_ref: str | None = None, part: str = "") -> Fact:
    """A capture that was reported, or all of them, is no money."""
    return Fact(
        kind=Kind.PAYMENT_REVERSED,
        payment_ref=text(data, "id"),
        order_ref=text_or_none(data, "reference"),
        capture_ref=capture_ref,
        **money(data),
        part=part,
    )


def _returned(data: object) -> tuple[Fact, ...]:
    return (_undone_fact(data),)


def _refund(kind: Kind) -> Reader:
    """Reads a refund as that: its action is what tells it from others."""

    def read(data: object) -> tuple[Fact, ...]:
        failure, code = _failure_of(data) if kind is Kind.REFUND_FAILED else (None, None)
        refund = Fact(
            kind=kind,
            payment_ref=text(data, "id"),
            order_ref=text_or_none(data, "reference"),
            refund_ref=text(data, "action_id"),
            **money(data),
            failure=failure,
            failure_code=code,
        )
        return (refund,)

    return read


def _dispute(kind: Kind) -> Reader:
    """Reads a dispute as that."""

    def read(data: object) -> tuple[Fact, ...]:
        dispute = Fact(
            kind=kind,
            payment_ref=text_or_none(data, "payment_id"),
            order_ref=text_or_none(data, "payment_reference"),
            dispute_ref=text(data, "id"),
            **money(data),
        )
        return (dispute,)

    return read


# Of these families every type is known, or its name is noted; others are of no order's money.
FAMILIES: Final = ("payment_", "dispute_")
OF_NO_ORDER: Final = frozenset(
    {
        "payment_authentication_failed",
        "payment_authorization_increment_declined",
        "payment_capture_pending",
        "payment_compliance_review",
        "payment_paid",  # to somebody, by a payout
        "payment_void_declined",
    }
)
# Every type that changes what we know; all others are answered with success and change nothing.
TYPES: Final[Mapping[str, Reader]] = {
    "payment_pending": _payment(Kind.PAYMENT_PENDING),
    "payment_approved": _payment(Kind.PAYMENT_AUTHORIZED),
    "payment_captured": _captured,
    "payment_declined": _payment(Kind.PAYMENT_FAILED),
    "payment_retry_scheduled": _payment(Kind.PAYMENT_PENDING),  # Checkout.com tries again by itself
    "payment_authorization_incremented": _incremented,
    "payment_capture_declined": _capture_declined,
    "payment_expired": _payment(Kind.PAYMENT_CANCELLED, FailureClass.EXPIRED_UNPAID),
    "payment_canceled": _payment(Kind.PAYMENT_CANCELLED, FailureClass.USER_CANCELLED),
    "payment_voided": _voided,
    "payment_refund_pending": _refund(Kind.REFUND_PENDING),
    "payment_refunded": _refund(Kind.REFUND_SUCCEEDED),
    "payment_refund_declined": _refund(Kind.REFUND_FAILED),
    "payment_returned": _returned,  # the payer's bank took back what had succeeded
    "dispute_received": _dispute(Kind.DISPUTE_OPENED),
    "dispute_evidence_required": _dispute(Kind.DISPUTE_OPENED),
    "dispute_evidence_submitted": _dispute(Kind.DISPUTE_OPENED),
    "dispute_evidence_acknowledged_by_scheme": _dispute(Kind.DISPUTE_OPENED),
    "dispute_arbitration_evidence_submitted": _dispute(Kind.DISPUTE_OPENED),
    "dispute_arbitration_sent_to_scheme": _dispute(Kind.DISPUTE_OPENED),
    "dispute_won": _dispute(Kind.DISPUTE_WON),
    "dispute_arbitration_won": _dispute(Kind.DISPUTE_WON),
    "dispute_canceled": _dispute(Kind.DISPUTE_WON),  # by the payer's bank
    "dispute_resolved": _dispute(Kind.DISPUTE_WON),  # the payment had been refunded before: nothing more is taken
    "dispute_lost": _dispute(Kind.DISPUTE_LOST),
    "dispute_arbitration_lost": _dispute(Kind.DISPUTE_LOST),
    "dispute_accepted": _dispute(Kind.DISPUTE_LOST),
    "dispute_expired": _dispute(Kind.DISPUTE_LOST),
}
