"""Derives the status of an order from the sums of its money, by one table and one function.

tillkeeper/domain/statuses.py says what each status means.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from tillkeeper.domain.order.facts import ObjectStatus, OrderFacts
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.sums import Sums, add_up, payment_counts, unseen_payments
from tillkeeper.domain.statuses import Status

ON_ITS_WAY: Final = frozenset({ObjectStatus.PENDING, ObjectStatus.AUTHORIZED})  # neither here nor lost


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """An order's status and sums, in minor units of its currency.  `captured` is before refunds."""

    status: Status
    captured: int
    refunding: int
    refunded: int
    discount: int = 0  # granted by a gateway, so that less is due


class StatusRule(msgspec.Struct, frozen=True):
    """A line of the status table; docs/states.md prints its `when`."""

    status: Status
    when: str
    name: str  # which line it is, for who says it in other words
    holds: Callable[[Sums], bool]


_LOST: Final = frozenset({ObjectStatus.FAILED, ObjectStatus.CANCELLED, ObjectStatus.REVERSED})

# The first line that holds is the status (the table of the design, line by line).
STATUS_TABLE: Final[tuple[StatusRule, ...]] = (
    StatusRule(Status.REFUNDING, "a refund is pending", "refund_pending", lambda sums: sums.refund_pending),
    # A refund without a known capture gives no sum: it is queried.
    StatusRule(
        Status.PROCESSING,
        "something was given back, and nothing is known to have been captured",
        "given_back_unseen",
        lambda sums: sums.refunded > 0 and sums.captured == 0,
    ),
    StatusRule(
        Status.REFUNDED,
        "all that was captured was given back, and no success is missing that must have been",
        "all_given_back",
        lambda sums: sums.refunded > 0 and sums.refunded >= sums.captured and not sums.unseen,
    ),
    StatusRule(
        Status.PARTIALLY_REFUNDED, "something was given back", "part_given_back", lambda sums: sums.refunded > 0
    ),
    StatusRule(Status.PAID, "what was captured covers what is due", "covered", lambda sums: sums.captured >= sums.due),
    StatusRule(Status.PARTIALLY_PAID, "something was captured", "part_captured", lambda sums: sums.captured > 0),
    StatusRule(
        Status.PROCESSING,
        "a payment is pending or authorized, or must have succeeded although its success was never told",
        "under_way",
        lambda sums: sums.unseen or not sums.statuses.isdisjoint(ON_ITS_WAY),
    ),
    StatusRule(
        Status.FAILED,
        "a payment failed, was cancelled or was reversed",
        "lost",
        lambda sums: not sums.statuses.isdisjoint(_LOST),
    ),
    StatusRule(Status.UNPAID, "otherwise", "nothing", lambda _: True),
)


def rule_that_holds(sums: Sums) -> StatusRule:
    """Returns the line of the table that decides."""
    for rule in STATUS_TABLE[:-1]:  # next() of a generator costs twice as much
        if rule.holds(sums):
            return rule
    return STATUS_TABLE[-1]  # it always holds


def summarize(order: Order, facts: OrderFacts) -> Summary:
    """Derives the status; no other function does."""
    sums = add_up(order, facts)
    return Summary(
        status=rule_that_holds(sums).status,
        captured=sums.captured,
        refunding=sums.refunding,
        refunded=sums.refunded,
        discount=sums.discount,
    )


def is_under_way(order: Order, facts: OrderFacts) -> bool:
    """Returns True if a payment that counts is pending or authorized, or must have been made, which a status for what
    came in already may hide."""
    return bool(unseen_payments(order, facts)) or any(
        payment.status in ON_ITS_WAY and payment_counts(order, account, payment)
        for (account, _), payment in facts.payments.items()
    )
