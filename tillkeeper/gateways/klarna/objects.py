"""Reads what Klarna's orders say of themselves, with their captures and refunds.

Authorised is not paid: Klarna pays what is captured, so each capture is a success of its own, and an order without one
is on its way.  A capture absorbs what comes later: fraud that Klarna finds after one is a dispute of its own,
`ORDER-ID:fraud`.

Sources: the reference of Klarna's Order Management API; `Order`, `Capture` and `Refund` of
klarna-order-management-api-php.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

import msgspec

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit import units
from tillkeeper.gateways.kit.fact import Fact
from tillkeeper.gateways.kit.fields import at, integer, moment_from_rfc3339, text, text_or_none
from tillkeeper.gateways.kit.unknown_words import unknown_word

State = tuple[Kind, FailureClass | None]

# Orders of which nothing was captured.  CLOSED is what is left when an authorization was released.
NOT_CAPTURED: Final[Mapping[str, State]] = {
    "AUTHORIZED": (Kind.PAYMENT_AUTHORIZED, None),
    "CANCELLED": (Kind.PAYMENT_CANCELLED, FailureClass.USER_CANCELLED),
    "EXPIRED": (Kind.PAYMENT_CANCELLED, FailureClass.EXPIRED_UNPAID),
    "CLOSED": (Kind.PAYMENT_CANCELLED, FailureClass.UNKNOWN),
}
STATUSES: Final = frozenset({*NOT_CAPTURED, "PART_CAPTURED", "CAPTURED"})

# What Klarna thinks of an authorised order.
FRAUD_STATUSES: Final[Mapping[str, State]] = {
    "ACCEPTED": (Kind.PAYMENT_AUTHORIZED, None),
    "PENDING": (Kind.PAYMENT_PENDING, None),
    "REJECTED": (Kind.PAYMENT_FAILED, FailureClass.SUSPECTED_FRAUD),
    "STOPPED": (Kind.PAYMENT_FAILED, FailureClass.SUSPECTED_FRAUD),
}
FRAUDULENT: Final = frozenset(status for status, (kind, _) in FRAUD_STATUSES.items() if kind is Kind.PAYMENT_FAILED)
IN_PROGRESS: Final = frozenset({Kind.PAYMENT_PENDING, Kind.PAYMENT_AUTHORIZED})


def order_facts(order: object, order_ref: str | None, reported_at: datetime) -> Iterator[Fact]:
    """Yields everything an order says: its state, captures and refunds; `order_ref` where the order names none of ours.

    An order in a currency that nobody can count says nothing.
    """
    status, fraud = text(order, "status"), text(order, "fraud_status")
    if status not in STATUSES:
        unknown_word("status of an order", status)
    if fraud not in FRAUD_STATUSES:
        unknown_word("fraud_status of an order", fraud)
    if not units.is_currency(text(order, "purchase_currency"), "purchase_currency"):
        return
    base, captured = _order_fact(order, order_ref, reported_at), _captured_amount(order)
    if not captured:
        yield from _uncaptured(order, base, status, fraud)
        return
    yield from _captures(order, base)
    yield from _rest(order, base, status, captured)
    yield from _refunds(order, msgspec.structs.replace(base, method=None))
    if fraud in FRAUDULENT:
        yield _changed(base, kind=Kind.DISPUTE_OPENED, dispute_ref=f"{base.payment_ref}:fraud", method=None)


def _order_fact(order: object, order_ref: str | None, reported_at: datetime) -> Fact:
    """Returns the order as authorized; what it says besides is made from that."""
    return Fact(
        kind=Kind.PAYMENT_AUTHORIZED,
        occurred_at=reported_at,
        order_ref=text_or_none(order, "merchant_reference1") or order_ref,
        payment_ref=text(order, "order_id"),
        amount=_amount(order, order, "order_amount"),
        currency=text(order, "purchase_currency"),
        method=text_or_none(order, "initial_payment_method", "type"),
    )


def _captured_amount(order: object) -> int:
    captured = _amount(order, order, "captured_amount")
    if sum(_amount(order, capture, "captured_amount") for capture in _list(order, "captures")) != captured:
        raise BadPayload("the captures do not come to captured_amount")
    return captured


def _uncaptured(order: object, base: Fact, status: str, fraud: str) -> Iterator[Fact]:
    """Yields where an order stands of which nothing was captured; nothing where a word that decides is unknown."""
    state = NOT_CAPTURED.get(status) or (NOT_CAPTURED["AUTHORIZED"] if status in STATUSES else None)
    if state is not None and state[0] is Kind.PAYMENT_AUTHORIZED:
        state = FRAUD_STATUSES.get(fraud)
    if state is None:
        return
    kind, failure = state
    # Of one instant, the higher rank stands.
    since = moment_from_rfc3339(text(order, "created_at")) if kind in IN_PROGRESS else base.occurred_at
    yield _changed(base, kind=kind, failure=failure, occurred_at=since)


def _captures(order: object, base: Fact) -> Iterator[Fact]:
    for capture in _list(order, "captures"):
        yield _changed(
            base,
            kind=Kind.PAYMENT_SUCCEEDED,
            capture_ref=text(capture, "capture_id"),
            amount=_amount(order, capture, "captured_amount"),
            occurred_at=moment_from_rfc3339(text(capture, "captured_at")),
        )


def _rest(order: object, base: Fact, status: str, captured: int) -> Iterator[Fact]:
    """Yields what was authorized and not captured: still held, or let go, which nobody else tells."""
    if captured >= (base.amount or 0):
        return
    written = at(order, ["remaining_authorized_amount"])
    left = None if written is None else units.from_minor(written, text(order, "purchase_currency"))
    if status == "PART_CAPTURED" and left != 0:
        yield _changed(base, amount=base.amount if left is None else captured + left)
    elif status in STATUSES:
        yield _changed(base, kind=Kind.PAYMENT_CANCELLED, failure=NOT_CAPTURED.get(status, (None, None))[1])


def _refunds(order: object, base: Fact) -> Iterator[Fact]:
    """Yields each refund that has a name, and what all of them come to; Klarna refunds at once or not at all."""
    refunds = _list(order, "refunds")
    times = [moment_from_rfc3339(text(refund, "refunded_at")) for refund in refunds]
    base = _changed(base, kind=Kind.REFUND_SUCCEEDED)
    for refund, refunded_at in zip(refunds, times, strict=True):
        if (refund_ref := text_or_none(refund, "refund_id")) is not None:
            amount = _amount(order, refund, "refunded_amount")
            yield _changed(base, refund_ref=refund_ref, amount=amount, occurred_at=refunded_at)
    if total := _amount(order, order, "refunded_amount"):
        last = max(times, default=base.occurred_at)
        yield _changed(base, amount=None, total=total, occurred_at=last)


def _changed(fact: Fact, **changes: object) -> Fact:
    return msgspec.structs.replace(fact, **changes)


def _list(order: object, name: str) -> list[object]:
    found = at(order, [name])
    if found is None:
        return []
    if not isinstance(found, list):
        raise BadPayload(f"{name} is no list")
    return found


def _amount(order: object, subject: object, name: str) -> int:
    """Returns an amount of the order, or of one of its captures or refunds, in the order's currency."""
    return units.from_minor(integer(subject, name), text(order, "purchase_currency"))
