"""What can happen to a payment at PayPal, and what each event type means."""

from typing import Final

from sandbox.templates import ALL, AT_ONCE_S, Event, Template
from tillkeeper.domain.statuses import Status

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
    Template(name="paid", weight=30, events=(Event(COMPLETED),), status=Status.PAID, paid=ALL),
    Template(
        name="approved, then paid",
        weight=15,
        events=(Event(APPROVED), Event(COMPLETED, after_s=AT_ONCE_S), Event(ORDER_COMPLETED, after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="authorized, then captured",
        weight=5,
        events=(Event(AUTHORIZED), Event(COMPLETED)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="by eCheck, which takes its time",
        weight=6,
        events=(Event(PENDING), Event(COMPLETED, after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="approved, not captured", weight=4, events=(Event(APPROVED),), status=Status.PROCESSING),
    Template(name="on its way", weight=4, events=(Event(PENDING),), status=Status.PROCESSING),
    Template(name="an eCheck that is denied", weight=4, events=(Event(PENDING), Event(DENIED)), status=Status.FAILED),
    Template(name="declined", weight=6, events=(Event(DECLINED),), status=Status.FAILED),
    Template(name="approved, and let go", weight=4, events=(Event(APPROVED), Event(LET_GO)), status=Status.FAILED),
    Template(name="authorized, and voided", weight=3, events=(Event(AUTHORIZED), Event(VOIDED)), status=Status.FAILED),
    Template(
        name="a part given back",
        weight=6,
        events=(Event(COMPLETED), Event(REFUNDED, 4, "1")),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=4,
    ),
    Template(
        name="given back in two parts",
        weight=4,
        events=(Event(COMPLETED), Event(REFUNDED, 3, "1"), Event(REFUNDED, 7, "2")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="given back at once",
        weight=4,
        events=(Event(COMPLETED), Event(REFUNDED, ALL, "1", after_s=AT_ONCE_S)),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="being given back",
        weight=3,
        events=(Event(COMPLETED), Event(REFUND_PENDING, 5, "1")),
        status=Status.REFUNDING,
        paid=ALL,
    ),
    Template(
        name="a refund that fails",
        weight=3,
        events=(Event(COMPLETED), Event(REFUND_PENDING, 5, "1"), Event(REFUND_FAILED, 5, "1", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="disputed", weight=3, events=(Event(COMPLETED), Event(DISPUTED)), status=Status.PAID, paid=ALL),
    Template(name="taken back", weight=2, events=(Event(COMPLETED), Event(REVERSED)), status=Status.FAILED),
    Template(name="paid too little", weight=2, events=(Event(COMPLETED, 8),), status=Status.PARTIALLY_PAID, paid=8),
    Template(
        name="paid in another currency",
        weight=2,
        events=(Event(COMPLETED),),
        status=Status.UNPAID,
        in_other_currency=True,
    ),
    Template(
        name="paid where nobody expects it",
        weight=2,
        events=(Event(COMPLETED),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)
