"""What can happen to a payment at Klarna, and what each event type means."""

from typing import Final

from sandbox.ledger.payments import PaymentState, RefundState
from sandbox.templates import ALL, AT_ONCE_S, Event, Template
from tillkeeper.domain.statuses import Status

EVENT_TYPES: Final[dict[str, PaymentState | RefundState | None]] = {
    "purchase": PaymentState.AUTHORIZED,
    "purchase under review": PaymentState.PENDING,
    "FRAUD_RISK_ACCEPTED": PaymentState.AUTHORIZED,
    "FRAUD_RISK_REJECTED": PaymentState.FAILED,
    "FRAUD_RISK_STOPPED": None,  # after the capture, which stands
    "capture": PaymentState.SUCCEEDED,
    "cancellation": PaymentState.CANCELLED,
    "expiry": PaymentState.CANCELLED,
    "refund": RefundState.SUCCEEDED,
}

TEMPLATES: Final = (
    Template(
        name="captured",
        weight=36,
        events=(Event("purchase"), Event("capture", after_s=AT_ONCE_S)),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="captured at once", weight=10, events=(Event("capture"),), status=Status.PAID, paid=ALL),
    Template(
        name="looked at, accepted, and captured",
        weight=6,
        events=(Event("purchase under review"), Event("FRAUD_RISK_ACCEPTED"), Event("capture")),
        status=Status.PAID,
        paid=ALL,
    ),
    Template(name="authorised is not paid", weight=8, events=(Event("purchase"),), status=Status.PROCESSING),
    Template(name="under review", weight=3, events=(Event("purchase under review"),), status=Status.PROCESSING),
    Template(
        name="rejected",
        weight=5,
        events=(Event("purchase under review"), Event("FRAUD_RISK_REJECTED")),
        status=Status.FAILED,
    ),
    Template(name="cancelled", weight=5, events=(Event("purchase"), Event("cancellation")), status=Status.FAILED),
    Template(name="expired", weight=4, events=(Event("purchase"), Event("expiry")), status=Status.FAILED),
    Template(
        name="a part given back",
        weight=6,
        events=(Event("purchase"), Event("capture"), Event("refund", 4, "1")),
        status=Status.PARTIALLY_REFUNDED,
        paid=ALL,
        refunded=4,
    ),
    Template(
        name="given back in two parts",
        weight=5,
        events=(Event("capture"), Event("refund", 3, "1"), Event("refund", 7, "2")),
        status=Status.REFUNDED,
        paid=ALL,
        refunded=ALL,
    ),
    Template(
        name="fraud that was found too late",
        weight=2,
        events=(Event("capture"), Event("FRAUD_RISK_STOPPED")),
        status=Status.PAID,  # and disputed
        paid=ALL,
    ),
    Template(
        name="captured in part",
        weight=3,
        events=(Event("purchase"), Event("capture", 8)),
        status=Status.PARTIALLY_PAID,
        paid=8,
    ),
    Template(
        name="paid where nobody expects it",
        weight=2,
        events=(Event("capture"),),
        status=Status.UNPAID,
        at_other_account=True,
    ),
)
