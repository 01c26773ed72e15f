"""What can happen to a payment at Mercado Pago, and what each event type means."""

from typing import Final

from sandbox.ledger.payments import PaymentState, RefundState
from sandbox.templates import ALL, AT_ONCE_S, Event, Template
from tillkeeper.domain.statuses import Status

EVENT_TYPES: Final[dict[str, PaymentState | RefundState | None]] = {
    "pending": PaymentState.PENDING,
    "authorized": PaymentState.AUTHORIZED,
    "approved": PaymentState.SUCCEEDED,
    "rejected": PaymentState.FAILED,
    "cancelled": PaymentState.CANCELLED,
    "refund in_process": RefundState.PENDING,
    "refund approved": RefundState.SUCCEEDED,
    "refund rejected": RefundState.FAILED,
    "charged_back": None,
    "chargeback reimbursed": None,
    "merchant_order": None,  # another topic, of which nothing is asked
}

TEMPLATES: Final = (
    Template(name="paid", weight=36, events=(Event("approved"),), status=Status.PAID, paid=ALL),
    Template(
        name="paid in cash",
        weight=10,
        events=(Event("pending"), Event("approved", after_s=AT_ONCE_S), Event("merchant_order", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="authorized, then captured",
        weight=5,
        events=(Event("authorized"), Event("approved")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="on its way", weight=4, events=(Event("pending"),), status=Status.PROCESSING),
    Template(name="declined", weight=7, events=(Event("rejected"),), status=Status.FAILED),
    Template(name="never paid", weight=5, events=(Event("pending"), Event("cancelled")), status=Status.FAILED),
    Template(
        name="a part given back",
        weight=6,
        events=(Event("approved"), Event("refund in_process", 4, "1"), Event("refund approved", 4, "1")),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=4,
    ),
    Template(
        name="given back in two parts",
        weight=5,
        events=(Event("approved"), Event("refund approved", 3, "1"), Event("refund approved", 7, "2")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="being given back",
        weight=3,
        events=(Event("approved"), Event("refund in_process", 4, "1")),
        status=Status.REFUNDING,
        paid=ALL,
    ),
    Template(
        name="a refund that fails",
        weight=3,
        events=(Event("approved"), Event("refund in_process", ALL, "1"), Event("refund rejected", ALL, "1")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="charged back", weight=3, events=(Event("approved"), Event("charged_back")), status=Status.PAID, paid=ALL
    ),
    Template(
        name="a chargeback that was reimbursed",
        weight=2,
        events=(Event("approved"), Event("charged_back"), Event("chargeback reimbursed")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="paid too little", weight=2, events=(Event("approved", 8),), status=Status.PARTIALLY_PAID, paid=8),
    Template(
        name="paid where nobody expects it",
        weight=2,
        events=(Event("approved"),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)
