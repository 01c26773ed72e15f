"""Lists what can happen to a payment at PayPal, and what each event type means."""

from typing import Final

from tillkeeper.sandbox.templates import (
    ALL,
    AT_ONCE_S,
    Event,
    at_other_account,
    failed,
    in_other_currency,
    paid,
    partially_paid,
    partially_refunded,
    processing,
    refunded,
    refunding,
)

APPROVED: Final = "CHECKOUT.ORDER.APPROVED"

ORDER_COMPLETED: Final = "CHECKOUT.ORDER.COMPLETED"

LET_GO: Final = "CHECKOUT.PAYMENT-APPROVAL.REVERSED"

AUTHORIZED: Final = "PAYMENT.AUTHORIZATION.CREATED"

VOIDED: Final = "PAYMENT.AUTHORIZATION.VOIDED"

PENDING: Final = "PAYMENT.CAPTURE.PENDING"

COMPLETED: Final = "PAYMENT.CAPTURE.COMPLETED"

DENIED: Final = "PAYMENT.CAPTURE.DENIED"

DECLINED: Final = "PAYMENT.CAPTURE.DECLINED"

REFUNDED: Final = "PAYMENT.CAPTURE.REFUNDED"

REFUND_PENDING: Final = "PAYMENT.REFUND.PENDING"

REFUND_FAILED: Final = "PAYMENT.REFUND.FAILED"

REVERSED: Final = "PAYMENT.CAPTURE.REVERSED"

DISPUTED: Final = "CUSTOMER.DISPUTE.CREATED"

TEMPLATES: Final = (
    paid("paid", 30, Event(COMPLETED)),
    paid(
        "approved, then paid",
        15,
        Event(APPROVED),
        Event(COMPLETED, after_s=AT_ONCE_S),
        Event(ORDER_COMPLETED, after_s=AT_ONCE_S),
    ),
    paid("authorized, then captured", 5, Event(AUTHORIZED), Event(COMPLETED)),
    paid("by eCheck, which takes its time", 6, Event(PENDING), Event(COMPLETED, after_s=AT_ONCE_S)),
    processing("approved, not captured", 4, Event(APPROVED)),
    processing("on its way", 4, Event(PENDING)),
    failed("an eCheck that is denied", 4, Event(PENDING), Event(DENIED)),
    failed("declined", 6, Event(DECLINED)),
    failed("approved, and let go", 4, Event(APPROVED), Event(LET_GO)),
    failed("authorized, and voided", 3, Event(AUTHORIZED), Event(VOIDED)),
    partially_refunded("a part given back", 6, 4, Event(COMPLETED), Event(REFUNDED, 4, "1")),
    refunded("given back in two parts", 4, Event(COMPLETED), Event(REFUNDED, 3, "1"), Event(REFUNDED, 7, "2")),
    refunded("given back at once", 4, Event(COMPLETED), Event(REFUNDED, ALL, "1", after_s=AT_ONCE_S)),
    refunding("being given back", 3, Event(COMPLETED), Event(REFUND_PENDING, 5, "1")),
    paid(
        "a refund that fails",
        3,
        Event(COMPLETED),
        Event(REFUND_PENDING, 5, "1"),
        Event(REFUND_FAILED, 5, "1", after_s=AT_ONCE_S),
    ),
    paid("disputed", 3, Event(COMPLETED), Event(DISPUTED)),
    failed("taken back", 2, Event(COMPLETED), Event(REVERSED)),
    partially_paid("paid too little", 2, 8, Event(COMPLETED, 8)),
    in_other_currency(Event(COMPLETED)),
    at_other_account(Event(COMPLETED)),
)
