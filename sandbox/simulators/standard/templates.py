"""What can happen to a payment at gateways that sign by Standard Webhooks, and what each event type means."""

from typing import Final

from sandbox.templates import ALL, AT_ONCE_S, Event, Template
from tillkeeper.domain.statuses import Status

TEMPLATES: Final = (
    Template(
        name="paid",
        weight=40,
        events=(Event("payment.viewed"), Event("payment.started"), Event("payment.paid", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="on its way", weight=6, events=(Event("payment.started"),), status=Status.PROCESSING),
    Template(
        name="declined",
        weight=8,
        events=(Event("payment.started"), Event("payment.declined", after_s=AT_ONCE_S)),
        status=Status.FAILED,
    ),
    Template(
        name="a part given back",
        weight=10,
        events=(
            Event("payment.paid"),
            Event("refund.started", 3, "1"),
            Event("refund.done", 3, "1", after_s=AT_ONCE_S),
        ),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=3,
    ),
    Template(
        name="being given back",
        weight=4,
        events=(Event("payment.paid"), Event("refund.started", 4, "1")),
        status=Status.REFUNDING,
        paid=ALL,
    ),
    Template(
        name="given back",
        weight=8,
        events=(Event("payment.paid"), Event("refund.done", ALL, "1")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="a refund that is refused",
        weight=4,
        events=(Event("payment.paid"), Event("refund.started", 5, "1"), Event("refund.refused", 5, "1")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(
        name="disputed", weight=3, events=(Event("payment.paid"), Event("dispute.opened")), status=Status.PAID, paid=ALL
    ),
    Template(
        name="paid too little", weight=3, events=(Event("payment.paid", 8),), status=Status.PARTIALLY_PAID, paid=8
    ),
    Template(
        name="paid where nobody expects it",
        weight=2,
        events=(Event("payment.paid"),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)
