"""Lists what can happen to a payment at gateways that sign by Standard Webhooks, and what each event type means."""

from typing import Final

from tillkeeper.sandbox.templates import (
    ALL,
    AT_ONCE_S,
    Event,
    at_other_account,
    failed,
    paid,
    partially_paid,
    partially_refunded,
    processing,
    refunded,
    refunding,
)

TEMPLATES: Final = (
    paid("paid", 40, Event("payment.viewed"), Event("payment.started"), Event("payment.paid", after_s=AT_ONCE_S)),
    processing("on its way", 6, Event("payment.started")),
    failed("declined", 8, Event("payment.started"), Event("payment.declined", after_s=AT_ONCE_S)),
    partially_refunded(
        "a part given back",
        10,
        3,
        Event("payment.paid"),
        Event("refund.started", 3, "1"),
        Event("refund.done", 3, "1", after_s=AT_ONCE_S),
    ),
    refunding("being given back", 4, Event("payment.paid"), Event("refund.started", 4, "1")),
    refunded("given back", 8, Event("payment.paid"), Event("refund.done", ALL, "1")),
    paid(
        "a refund that is refused",
        4,
        Event("payment.paid"),
        Event("refund.started", 5, "1"),
        Event("refund.refused", 5, "1"),
    ),
    paid("disputed", 3, Event("payment.paid"), Event("dispute.opened")),
    partially_paid("paid too little", 3, 8, Event("payment.paid", 8)),
    at_other_account(Event("payment.paid")),
)
