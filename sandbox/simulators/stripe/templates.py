"""Lists what can happen to a payment at Stripe, and what each event type means."""

from collections.abc import Mapping
from typing import Final

from tillkeeper.domain.statuses import Status
from tillkeeper.sandbox.ledger.payments import PaymentState, RefundState
from tillkeeper.sandbox.templates import (
    ALL,
    AT_ONCE_S,
    Event,
    Template,
    at_other_account,
    failed,
    in_other_currency,
    paid,
    partially_paid,
    partially_refunded,
    processing,
    refunded,
    refunding,
    unpaid,
)

EVENT_TYPES: Final[Mapping[str, PaymentState | RefundState | None]] = {
    "payment_intent.created": PaymentState.CREATED,
    "payment_intent.processing": PaymentState.PENDING,
    "payment_intent.amount_capturable_updated": PaymentState.AUTHORIZED,
    "payment_intent.succeeded": PaymentState.SUCCEEDED,
    "payment_intent.payment_failed": PaymentState.FAILED,
    "payment_intent.canceled": PaymentState.CANCELLED,
    "checkout.session.completed": PaymentState.PENDING,
    "checkout.session.async_payment_succeeded": PaymentState.SUCCEEDED,
    "refund.created": RefundState.PENDING,
    "refund.updated": RefundState.SUCCEEDED,
    "refund.failed": RefundState.FAILED,
    "charge.refunded": None,  # its refunds are words of their own
    "charge.dispute.created": None,
}

TEMPLATES: Final = (
    paid(
        "paid",
        30,
        Event("payment_intent.created"),
        Event("payment_intent.processing"),
        Event("payment_intent.succeeded", after_s=AT_ONCE_S),
    ),
    paid(
        "authorized, then captured",
        8,
        Event("payment_intent.amount_capturable_updated"),
        Event("payment_intent.succeeded", after_s=AT_ONCE_S),
    ),
    partially_paid(
        "authorized, then captured in part",
        5,
        6,
        Event("payment_intent.amount_capturable_updated"),
        Event("payment_intent.succeeded", 6),
    ),
    Template(
        name="captured in part, and a part of that given back",
        weight=2,
        events=(
            Event("payment_intent.amount_capturable_updated"),
            Event("payment_intent.succeeded", 6),
            Event("refund.updated", 2, "1"),
            Event("charge.refunded", 2, after_s=AT_ONCE_S),
        ),
        status=Status.PARTIALLY_REFUNDED,
        paid=6,
        refunded=2,
    ),
    failed(
        "authorized, then let go",
        2,
        Event("payment_intent.amount_capturable_updated"),
        Event("payment_intent.canceled"),
    ),
    paid(
        "declined, then paid",
        12,
        Event("payment_intent.payment_failed"),
        Event("payment_intent.processing"),
        Event("payment_intent.succeeded", after_s=AT_ONCE_S),
    ),
    paid(
        "one payment told by three words",
        5,
        Event("checkout.session.completed"),
        Event("checkout.session.async_payment_succeeded"),
        Event("payment_intent.succeeded", after_s=AT_ONCE_S),
    ),
    failed(
        "declined", 6, Event("payment_intent.processing"), Event("payment_intent.payment_failed", after_s=AT_ONCE_S)
    ),
    processing(
        "declined, and tried again", 3, Event("payment_intent.payment_failed"), Event("payment_intent.processing")
    ),
    failed("abandoned", 5, Event("payment_intent.processing"), Event("payment_intent.canceled")),
    processing("on its way", 4, Event("payment_intent.processing")),
    unpaid("only looked at", 3, Event("payment_intent.created")),
    partially_refunded(
        "a part given back",
        6,
        4,
        Event("payment_intent.succeeded"),
        Event("refund.created", 4, "1"),
        Event("charge.refunded", 4, after_s=AT_ONCE_S),
        Event("refund.updated", 4, "1", after_s=AT_ONCE_S),
    ),
    partially_refunded(
        "two parts given back",
        3,
        7,
        Event("payment_intent.succeeded"),
        Event("refund.created", 2, "1"),
        Event("refund.updated", 2, "1", after_s=AT_ONCE_S),
        Event("refund.created", 5, "2"),
        Event("refund.updated", 5, "2", after_s=AT_ONCE_S),
    ),
    refunded(
        "given back",
        5,
        Event("payment_intent.succeeded"),
        Event("refund.created", ALL, "1"),
        Event("refund.updated", ALL, "1", after_s=AT_ONCE_S),
        Event("charge.refunded", ALL),
    ),
    refunding(
        "being given back",
        3,
        Event("payment_intent.succeeded"),
        Event("charge.refunded", 4),
        Event("refund.created", 4, "1", after_s=AT_ONCE_S),
    ),
    paid(
        "a refund that fails",
        3,
        Event("payment_intent.succeeded"),
        Event("refund.created", ALL, "1"),
        Event("charge.refunded", ALL, after_s=AT_ONCE_S),
        Event("refund.failed", ALL, "1", after_s=AT_ONCE_S),
    ),
    paid(
        "a refund that fails after it succeeded",
        2,
        Event("payment_intent.succeeded"),
        Event("refund.updated", 3, "1"),
        Event("refund.failed", 3, "1", after_s=AT_ONCE_S),
    ),
    paid("disputed", 2, Event("payment_intent.succeeded"), Event("charge.dispute.created")),
    partially_paid("paid too little", 2, 9, Event("payment_intent.succeeded", 9)),
    in_other_currency(Event("payment_intent.processing"), Event("payment_intent.succeeded", after_s=AT_ONCE_S)),
    at_other_account(Event("payment_intent.succeeded")),
)
