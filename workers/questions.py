"""What a gateway is asked about an order: everything of it that is not settled there."""

from collections.abc import Iterator
from typing import Final

from tillkeeper.domain.facts import OrderFacts, Step
from tillkeeper.domain.order import Order, Status
from tillkeeper.gateways.base import Question

PAYMENTS_ASKED_MAX: Final = 5  # of one account; a payer who tried more often is asked about by the order's reference

SETTLED: Final = frozenset({Status.PAID, Status.PARTIALLY_REFUNDED, Status.REFUNDED})
# A new attempt may have been made of which nothing is known yet: only the order's reference finds that.
OPEN_TO_ATTEMPTS: Final = frozenset({Status.UNPAID, Status.FAILED, Status.PARTIALLY_PAID})


def questions_of(order: Order, facts: OrderFacts, status: Status) -> list[tuple[str, Question]]:
    """(account, question), in a steady order."""
    if status is Status.REFUNDING:
        return list(_pending_refunds(order, facts))
    if status in SETTLED:
        return list(_payments(order, facts, steps=frozenset({Step.SUCCEEDED})))
    asked = list(_payments(order, facts, steps=frozenset(Step) - {Step.SUCCEEDED}))
    known = {account for account, _ in asked}
    by_order = order.accounts if status in OPEN_TO_ATTEMPTS else order.accounts - known
    if status is Status.UNPAID:
        by_order -= known
    asked += [(account, Question(about="payment", order_ref=order.order_ref)) for account in sorted(by_order)]
    return asked


def _payments(order: Order, facts: OrderFacts, *, steps: frozenset[Step]) -> Iterator[tuple[str, Question]]:
    counts: dict[str, int] = {}
    latest_first = sorted(
        ((account, ref, payment) for (account, ref), payment in facts.payments.items() if account in order.accounts),
        key=lambda it: (it[2].standing is not None, it[2].standing and it[2].standing.at, it[0], it[1]),
        reverse=True,
    )
    for account, payment_ref, payment in latest_first:
        if payment.step in steps and counts.get(account, 0) < PAYMENTS_ASKED_MAX:
            counts[account] = counts.get(account, 0) + 1
            yield account, Question(about="payment", order_ref=order.order_ref, payment_ref=payment_ref)


def _pending_refunds(order: Order, facts: OrderFacts) -> Iterator[tuple[str, Question]]:
    for (account, refund_ref), refund in sorted(facts.refunds.items()):
        if refund.standing.step is Step.PENDING and account in order.accounts:
            yield (
                account,
                Question(
                    about="refund",
                    order_ref=order.order_ref,
                    payment_ref=refund.payment_ref,
                    refund_ref=refund_ref,
                ),
            )
