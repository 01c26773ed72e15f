"""Lists what can happen to a payment at Adyen, and what each event type means."""

from typing import Final

from tillkeeper.sandbox.templates import (
    AT_ONCE_S,
    Event,
    at_other_account,
    failed,
    in_other_currency,
    paid,
    paid_too_little,
    partially_refunded,
    processing,
    refunded,
)

PAID: Final = Event("AUTHORISATION")

TEMPLATES: Final = (
    paid("paid", 35, PAID),
    paid("by bank, which takes its time", 10, Event("PENDING"), PAID),
    failed("declined", 8, Event("AUTHORISATION false")),
    processing("on its way", 5, Event("PENDING")),
    failed("offered, and never paid", 4, Event("PENDING"), Event("OFFER_CLOSED")),
    paid("paid, and the capture told along", 6, PAID, Event("CAPTURE", after_s=AT_ONCE_S)),
    failed("paid, and never captured", 2, PAID, Event("CAPTURE_FAILED")),
    paid("paid, never captured, and captured again", 1, PAID, Event("CAPTURE_FAILED"), Event("CAPTURE")),
    failed("cancelled before it was captured", 3, PAID, Event("CANCELLATION")),
    refunded("reversed, one way or the other", 3, PAID, Event("CANCEL_OR_REFUND")),
    partially_refunded("a part given back", 6, 4, PAID, Event("REFUND", 4, "1")),
    refunded("given back in two parts", 4, PAID, Event("REFUND", 3, "1"), Event("REFUND", 7, "2", after_s=AT_ONCE_S)),
    paid("a refund that is refused", 3, PAID, Event("REFUND false", 5, "1")),
    paid(
        "a refund that fails after it succeeded",
        3,
        PAID,
        Event("REFUND", 6, "1"),
        Event("REFUND_FAILED", 6, "1", after_s=AT_ONCE_S),
    ),
    partially_refunded(
        "a refund that the payer's bank sends back",
        2,
        3,
        PAID,
        Event("REFUND", 2, "1"),
        Event("REFUND", 3, "2"),
        Event("REFUNDED_REVERSED", 2, "1"),
    ),
    paid("disputed", 3, PAID, Event("NOTIFICATION_OF_CHARGEBACK"), Event("CHARGEBACK")),
    paid("disputed and defended", 2, PAID, Event("CHARGEBACK"), Event("CHARGEBACK_REVERSED", after_s=AT_ONCE_S)),
    paid("a report that is of no interest", 2, PAID, Event("REPORT_AVAILABLE")),
    paid_too_little("AUTHORISATION"),
    in_other_currency(PAID),
    at_other_account(PAID),
)
