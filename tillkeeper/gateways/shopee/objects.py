"""Reads what Shopee's orders say of their payments.

Shopee takes the buyer's money itself: an order of the shop is its payment as well, and both have its one number.
Source: Shopee's page on "v2.order.get_order_detail".
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

import msgspec

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit import units
from tillkeeper.gateways.kit.fact import Fact
from tillkeeper.gateways.kit.fields import at, integer, moment_from_unix, text, text_or_none
from tillkeeper.gateways.kit.unknown_words import unknown_word

UNPAID: Final = "UNPAID"
CANCELLED: Final = "CANCELLED"
COMPLETED: Final = "COMPLETED"
TO_RETURN: Final = "TO_RETURN"

# Those that say that the buyer paid, but for cash on delivery.
PAID_STATUSES: Final = frozenset(
    {
        "READY_TO_SHIP",
        "PROCESSED",
        "RETRY_SHIP",
        "SHIPPED",
        "TO_CONFIRM_RECEIVE",
        "INVOICE_PENDING",
        "IN_CANCEL",  # asked for, and not yet granted
        TO_RETURN,
        COMPLETED,
    }
)

# Pieces of cancel_reason, in small letters; then who cancelled.
CANCEL_REASONS: Final = {
    "unpaid order": FailureClass.EXPIRED_UNPAID,
    "fraud": FailureClass.SUSPECTED_FRAUD,
}
CANCELLED_BY: Final = {"buyer": FailureClass.USER_CANCELLED}
REASON_CHARS_MAX: Final = 64


def facts_of(order: object) -> Iterator[Fact]:
    """Yields what an order says; nothing for a status or a currency that is not known."""
    status = text(order, "order_status")
    currency = units.known_currency("currency", text(order, "currency").upper())
    if currency is None:
        return
    updated_at = moment_from_unix(integer(order, "update_time"))
    if status == CANCELLED:
        yield from _cancelled(order, updated_at)
    elif status in PAID_STATUSES:
        yield from _paid(order, status, updated_at)
    elif status != UNPAID:
        unknown_word("order_status", status)


def _paid(order: object, status: str, updated_at: datetime) -> Iterator[Fact]:
    """Cash on delivery is on its way until the order is completed."""
    if _is_cash_on_delivery(order) and status != COMPLETED:
        yield _fact(order, Kind.PAYMENT_PENDING, updated_at)
    else:
        yield _fact(order, Kind.PAYMENT_SUCCEEDED, _paid_at(order) or updated_at)
    if status == TO_RETURN:  # how it ends the order does not tell
        ref = f"{text(order, 'order_sn')}-return"
        yield msgspec.structs.replace(_fact(order, Kind.DISPUTE_OPENED, updated_at), dispute_ref=ref)


def _cancelled(order: object, updated_at: datetime) -> Iterator[Fact]:
    """Yields what was paid before it was cancelled went back whole; Shopee names no refund, so the order names it."""
    paid_at = None if _is_cash_on_delivery(order) else _paid_at(order)
    if paid_at is None:
        failure, code = _why(order)
        fact = _fact(order, Kind.PAYMENT_CANCELLED, updated_at)
        yield msgspec.structs.replace(fact, failure=failure, failure_code=code)
        return
    yield _fact(order, Kind.PAYMENT_SUCCEEDED, paid_at)
    ref = f"{text(order, 'order_sn')}-cancelled"
    refund = _fact(order, Kind.REFUND_SUCCEEDED, updated_at)
    yield msgspec.structs.replace(refund, refund_ref=ref, method=None)


def _fact(order: object, kind: Kind, when: datetime) -> Fact:
    ref, currency = text(order, "order_sn"), text(order, "currency").upper()
    return Fact(
        kind=kind,
        occurred_at=when,
        order_ref=ref,
        payment_ref=ref,
        amount=units.from_major(at(order, ["total_amount"]), currency),
        currency=currency,
        method=text_or_none(order, "payment_method") if kind.is_payment else None,
    )


def _is_cash_on_delivery(order: object) -> bool:
    """Raises BadPayload where nothing tells, for then it would pass for paid."""
    is_cash = at(order, ["cod"])
    if type(is_cash) is not bool:
        raise BadPayload("cod is not true or false")
    return is_cash or "cash on delivery" in (text_or_none(order, "payment_method") or "").lower()


def _paid_at(order: object) -> datetime | None:
    """Returns None where pay_time is null or 0: the order is not paid yet."""
    return None if at(order, ["pay_time"]) in (None, 0) else moment_from_unix(integer(order, "pay_time"))


def _why(order: object) -> tuple[FailureClass, str | None]:
    reason, by = text_or_none(order, "cancel_reason"), text_or_none(order, "cancel_by")
    code = reason[:REASON_CHARS_MAX] if reason else by
    found = (failure for piece, failure in CANCEL_REASONS.items() if piece in (reason or "").lower())
    return next(found, CANCELLED_BY.get((by or "").lower(), FailureClass.UNKNOWN)), code
