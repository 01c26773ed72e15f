"""What can happen to a payment at Adyen, and what each event type means."""

from typing import Final

from sandbox.templates import ALL, AT_ONCE_S, Event, Template
from tillkeeper.domain.statuses import Status

PAID: Final = Event("AUTHORISATION")

TEMPLATES: Final = (
    Template(name="paid", weight=35, events=(PAID,), status=Status.PAID, paid=ALL),
    Template(
        name="by bank, which takes its time",
        weight=10,
        events=(Event("PENDING"), PAID),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="declined",
        weight=8,
        events=(Event("AUTHORISATION false"),),
        status=Status.FAILED,
    ),
    Template(name="on its way", weight=5, events=(Event("PENDING"),), status=Status.PROCESSING),
    Template(
        name="offered, and never paid", weight=4, events=(Event("PENDING"), Event("OFFER_CLOSED")), status=Status.FAILED
    ),
    Template(
        name="paid, and the capture told along",
        weight=6,
        events=(PAID, Event("CAPTURE", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="paid, and never captured",
        weight=2,
        events=(PAID, Event("CAPTURE_FAILED")),
        status=Status.FAILED,
    ),
    Template(
        name="paid, never captured, and captured again",
        weight=1,
        events=(PAID, Event("CAPTURE_FAILED"), Event("CAPTURE")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="cancelled before it was captured",
        weight=3,
        events=(PAID, Event("CANCELLATION")),
        status=Status.FAILED,
    ),
    Template(
        name="reversed, one way or the other",
        weight=3,
        events=(PAID, Event("CANCEL_OR_REFUND")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="a part given back",
        weight=6,
        events=(PAID, Event("REFUND", 4, "1")),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=4,
    ),
    Template(
        name="given back in two parts",
        weight=4,
        events=(PAID, Event("REFUND", 3, "1"), Event("REFUND", 7, "2", after_s=AT_ONCE_S)),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="a refund that is refused",
        weight=3,
        events=(PAID, Event("REFUND false", 5, "1")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a refund that fails after it succeeded",
        weight=3,
        events=(PAID, Event("REFUND", 6, "1"), Event("REFUND_FAILED", 6, "1", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a refund that the payer's bank sends back",
        weight=2,
        events=(PAID, Event("REFUND", 2, "1"), Event("REFUND", 3, "2"), Event("REFUNDED_REVERSED", 2, "1")),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=3,
    ),
    Template(
        name="disputed",
        weight=3,
        events=(PAID, Event("NOTIFICATION_OF_CHARGEBACK"), Event("CHARGEBACK")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="disputed and defended",
        weight=2,
        events=(PAID, Event("CHARGEBACK"), Event("CHARGEBACK_REVERSED", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a report that is of no interest",
        weight=2,
        events=(PAID, Event("REPORT_AVAILABLE")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="paid too little", weight=2, events=(Event("AUTHORISATION", 8),), status=Status.PARTIALLY_PAID, paid=8
    ),
    Template(name="paid in another currency", weight=2, events=(PAID,), status=Status.UNPAID, in_other_currency=True),
    Template(
        name="paid where nobody expects it", weight=2, events=(PAID,), status=Status.UNPAID, at_other_account=True
    ),
)
