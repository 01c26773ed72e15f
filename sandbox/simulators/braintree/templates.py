"""What can happen to a payment at Braintree, and what each event type means."""

from collections.abc import Mapping
from typing import Final

from sandbox.ledger.payments import PaymentState, RefundState
from sandbox.templates import ALL, AT_ONCE_S, Event, Template
from tillkeeper.domain.statuses import Status

SETTLED: Final = "transaction_settled"

DECLINED: Final = "transaction_settlement_declined"

RETRIED: Final = "transaction_retried"

DISBURSED: Final = "transaction_disbursed"

REFUND_SETTLED: Final = "refund_settled"  # told as transaction_settled, of the refund's own transaction

REFUND_FAILED: Final = "refund_failed"

EVENT_TYPES: Final[Mapping[str, PaymentState | RefundState | None]] = {
    "subscription_charged_successfully": None,
    RETRIED: PaymentState.PENDING,
    SETTLED: PaymentState.SUCCEEDED,
    DISBURSED: PaymentState.SUCCEEDED,
    DECLINED: PaymentState.FAILED,
    "refund_submitted": RefundState.PENDING,
    REFUND_SETTLED: RefundState.SUCCEEDED,
    REFUND_FAILED: RefundState.FAILED,
    "dispute_opened": None,
    "dispute_won": None,
    "dispute_lost": None,
}

TEMPLATES: Final = (
    Template(name="paid", weight=25, events=(Event(SETTLED),), status=Status.PAID, paid=ALL),
    Template(
        name="retried, then paid",
        weight=10,
        events=(Event(RETRIED), Event(SETTLED, after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="paid, as its disbursement shows", weight=6, events=(Event(DISBURSED),), status=Status.PAID, paid=ALL
    ),
    Template(
        name="paid and disbursed", weight=8, events=(Event(SETTLED), Event(DISBURSED)), status=Status.PAID, paid=ALL
    ),
    Template(name="on its way", weight=5, events=(Event(RETRIED),), status=Status.PROCESSING),
    Template(name="declined", weight=5, events=(Event(DECLINED),), status=Status.FAILED),
    Template(
        name="retried, then declined",
        weight=4,
        events=(Event(RETRIED), Event(DECLINED, after_s=AT_ONCE_S)),
        status=Status.FAILED,
    ),
    Template(
        name="only subscribed", weight=2, events=(Event("subscription_charged_successfully"),), status=Status.UNPAID
    ),
    Template(
        name="a part given back",
        weight=8,
        events=(Event(SETTLED), Event(REFUND_SETTLED, 3, "1")),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=3,
    ),
    Template(
        name="given back in two parts",
        weight=5,
        events=(Event(SETTLED), Event(REFUND_SETTLED, 4, "1"), Event(REFUND_SETTLED, 6, "2")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="given back",
        weight=6,
        events=(Event(SETTLED), Event(REFUND_SETTLED, ALL, "1")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="a refund that fails",
        weight=4,
        events=(Event(SETTLED), Event(REFUND_FAILED, 5, "1")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="a refund that fails after it was settled",
        weight=2,
        events=(Event(SETTLED), Event(REFUND_SETTLED, 5, "1"), Event(REFUND_FAILED, 5, "1", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="disputed", weight=3, events=(Event(SETTLED), Event("dispute_opened")), status=Status.PAID, paid=ALL),
    Template(
        name="disputed and won",
        weight=2,
        events=(Event(SETTLED), Event("dispute_opened"), Event("dispute_won")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="disputed and lost",
        weight=2,
        events=(Event(SETTLED), Event("dispute_opened"), Event("dispute_lost")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="paid too little", weight=3, events=(Event(SETTLED, 8),), status=Status.PARTIALLY_PAID, paid=8),
    Template(
        name="paid in another currency",
        weight=2,
        events=(Event(SETTLED),),
        status=Status.UNPAID,
        in_other_currency=True,
    ),
    Template(
        name="paid where nobody expects it",
        weight=2,
        events=(Event(SETTLED),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)
