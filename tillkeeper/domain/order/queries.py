"""Chooses the queries about an order: everything that could change its facts, each object once.

    by reference ──> what the facts imply, payments and refunds that may still move ──┐
    by order ──────> accounts without a known payment ────────────────────────────────┴─> first
    by order ──────> accounts with a known payment, for there may be another ───────────> then, if it still matters

The first queries mostly settle the order, and then the others are not made.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import reduce
from types import MappingProxyType
from typing import Final

from tillkeeper.domain.events import PaymentEvent
from tillkeeper.domain.order.facts import ObjectKey, ObjectStatus, OrderFacts, PaymentFacts, ReturnFacts, apply
from tillkeeper.domain.order.implied_money import implied_money
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.state import OrderState
from tillkeeper.domain.order.status import summarize
from tillkeeper.domain.order.sums import payment_ref_of, refunds_of
from tillkeeper.domain.query import QUERYABLE_ALL, Abilities, Query, Queryable
from tillkeeper.domain.statuses import AWAITED, RETURNED, Status

AccountQuery = tuple[str, Query]

PAYMENTS_ASKED_MAX: Final = 5  # of one account; beyond that the order's reference is queried
REFUNDS_ASKED_MAX: Final = 5  # likewise
QUERIES_MAX: Final = 20  # about one order at once

_OPEN: Final = frozenset(
    {ObjectStatus.CREATED, ObjectStatus.PENDING, ObjectStatus.AUTHORIZED}
)  # a payment in one of these may still bring money
_NOT_PAID: Final = _OPEN | {ObjectStatus.FAILED, ObjectStatus.CANCELLED, ObjectStatus.REVERSED}
_ANY: Final = _NOT_PAID | {ObjectStatus.SUCCEEDED}

# The payments that may still change an order in each status.  A failed one may be retried, and one that is captured in
# part may bring more; a second payment beside a successful one is a double payment.
MAY_CHANGE: Final[Mapping[Status, frozenset[ObjectStatus]]] = MappingProxyType(
    {
        Status.UNPAID: _NOT_PAID,
        Status.FAILED: _NOT_PAID,
        Status.PROCESSING: _NOT_PAID,
        Status.PARTIALLY_PAID: _ANY,
        Status.REFUNDING: _OPEN,
        Status.PAID: _OPEN | {ObjectStatus.SUCCEEDED},
        Status.PARTIALLY_REFUNDED: _OPEN | {ObjectStatus.SUCCEEDED},
        Status.REFUNDED: _OPEN | {ObjectStatus.SUCCEEDED},
    }
)
# While the payer is asked for money (statuses.py), they may have started a payment that is not known: only the order's
# reference finds it.  Likewise while one is pending for longer than payers wait, and soon after one that succeeded.
# Pending payments mostly settle within minutes, and double payments come within hours: at other moments a second query
# would be wasted.
PENDS_LONG: Final = timedelta(minutes=10)
PAID_LATELY: Final = timedelta(days=3)

AllAbilities = Mapping[str, Abilities]
_NONE: Final[AllAbilities] = MappingProxyType({})  # for an unknown account, every query


def queries_for(order: OrderState, *, abilities: AllAbilities, now: datetime) -> list[AccountQuery]:
    """Returns what is asked first about an order that is due."""
    return first_queries(order.order, order.facts, age=now - order.phase_since, abilities=abilities)


def queries_then(
    order: OrderState,
    told: Iterable[PaymentEvent],
    *,
    missed: Collection[str],
    abilities: AllAbilities,
    now: datetime,
) -> list[AccountQuery]:
    """Returns what is asked once the first answers `told` these events; `missed` are accounts that lacked something."""
    ours = (event for event in told if event.order_ref in (None, order.order.order_ref))
    facts = reduce(apply, ours, order.facts)
    moved = summarize(order.order, facts).status is not order.summary.status
    age = now - order.phase_since
    return further_queries(order.order, facts, missed=missed, moved=moved, age=age, abilities=abilities)


def first_queries(
    order: Order, facts: OrderFacts, *, age: timedelta = timedelta(0), abilities: AllAbilities = _NONE
) -> list[AccountQuery]:
    """Returns what is asked first, in a steady order.  `age` is the time since the order's money moved last."""
    status = summarize(order, facts).status
    statuses = MAY_CHANGE[status]
    if ObjectStatus.SUCCEEDED in statuses and age < PAID_LATELY:
        statuses |= {ObjectStatus.FAILED}  # it may have been retried
    found = [*_implied(order, facts, abilities), *_payments(order, facts, statuses)]
    found += _refunds(order, facts, status, abilities)
    if status is Status.PROCESSING or _may_be_tried(status, age):
        unknown = order.accounts - {account for account, _ in facts.payments}
        if (
            status not in AWAITED and status is not Status.PROCESSING
        ):  # then accounts that cannot be queried do not matter
            unknown = frozenset(account for account in unknown if "order" in _queryable(abilities, account))
        found += [(account, _by_order(order)) for account in sorted(unknown)]
    return list(dict.fromkeys(found))[:QUERIES_MAX]


def further_queries(
    order: Order,
    facts: OrderFacts,
    *,
    missed: Collection[str] = (),
    moved: bool = False,
    age: timedelta = timedelta(0),
    abilities: AllAbilities = _NONE,
) -> list[AccountQuery]:
    """Returns what is asked then, of the facts as they are by now: accounts that may know of further payments.

    Where an order reference names one payment at most, a query about a known payment covers it, unless it was `missed`.
    An order that the first answers moved (`moved`) is left to the ladder of its new status.
    """
    status = summarize(order, facts).status
    if not _may_be_tried(status, age) or (moved and status not in AWAITED):
        return []
    return [
        (account, _by_order(order))
        for account in sorted(order.accounts)
        if "order" in _queryable(abilities, account)
        and (account in missed or account not in abilities or not abilities[account].single_payment)
    ]


def _may_be_tried(status: Status, age: timedelta) -> bool:
    """Returns True if there may be an attempt of which no event came."""
    match status:
        case Status.PROCESSING:
            return age >= PENDS_LONG
        case Status.PAID | Status.PARTIALLY_REFUNDED | Status.REFUNDED:
            return age < PAID_LATELY
        case _:
            return status in AWAITED


def _queryable(abilities: AllAbilities, account: str) -> frozenset[Queryable]:
    return abilities[account].queryable if account in abilities else QUERYABLE_ALL


def _by_order(order: Order) -> Query:
    return Query(about="payment", order_ref=order.order_ref, amount_due=order.amount)


def _payment(order: Order, account: str, payment_ref: str) -> AccountQuery:
    due = order.amount
    return account, Query(about="payment", order_ref=order.order_ref, payment_ref=payment_ref, amount_due=due)


def _implied(order: Order, facts: OrderFacts, abilities: AllAbilities) -> Iterator[AccountQuery]:
    for unseen in implied_money(order, facts):
        if unseen.refund_ref is not None:
            yield _refund(order, unseen.account, unseen.refund_ref, unseen.payment_ref, abilities)
            if (
                unseen.payment_ref is None
                and _needs_payment(abilities, unseen.account)
                and "order" in _queryable(abilities, unseen.account)
            ):
                yield unseen.account, _by_order(order)
        elif unseen.payment_ref is not None:
            yield _payment(order, unseen.account, unseen.payment_ref)
        else:
            yield unseen.account, _by_order(order)


def _payments(order: Order, facts: OrderFacts, statuses: frozenset[ObjectStatus]) -> Iterator[AccountQuery]:
    wanted = (
        (key, payment)
        for key, payment in _latest_first(facts.payments.items())
        if key[0] in order.accounts and (payment.status in statuses or _gave_back_unseen(order, facts, key, payment))
    )
    for account, payment_ref in _some_of_each(wanted, PAYMENTS_ASKED_MAX):
        yield _payment(order, account, payment_ref)


def _latest_first(payments: Iterable[tuple[ObjectKey, PaymentFacts]]) -> list[tuple[ObjectKey, PaymentFacts]]:
    return sorted(payments, key=lambda item: (item[1].latest is not None, item[1].latest, item[0]), reverse=True)


def _gave_back_unseen(order: Order, facts: OrderFacts, key: ObjectKey, payment: PaymentFacts) -> bool:
    """Returns True if its total says more than the refunds that are known."""
    if payment.given_back is None or payment.given_back.currency != order.currency:
        return False
    known = sum(refund.amount.minor for refund in refunds_of(order, facts, key) if refund.amount is not None)
    return payment.given_back.minor > known


def _refunds(order: Order, facts: OrderFacts, status: Status, abilities: AllAbilities) -> Iterator[AccountQuery]:
    """Yields the queries about refunds that are pending, and about all others whose status may have changed."""
    wanted = (
        (key, refund)
        for key, refund in sorted(
            facts.refunds.items(), key=lambda item: (item[1].latest.status is not ObjectStatus.PENDING, item[0])
        )
        if key[0] in order.accounts and _may_move(facts, key[0], refund, status)
    )
    for account, refund_ref in _some_of_each(wanted, REFUNDS_ASKED_MAX):
        for payment_ref in _payment_refs(facts, account, facts.refunds[account, refund_ref], abilities):
            yield _refund(order, account, refund_ref, payment_ref, abilities)


def _payment_refs(facts: OrderFacts, account: str, refund: ReturnFacts, abilities: AllAbilities) -> list[str | None]:
    """Returns the payment of a refund; each that may be, where none is named and the gateway finds it by that alone."""
    payment_ref = payment_ref_of(facts, account, refund)
    if payment_ref is not None or not _needs_payment(abilities, account):
        return [payment_ref]
    paid = sorted(
        ref for (at_account, ref), payment in facts.payments.items() if at_account == account and payment.captures
    )
    return [*paid[:PAYMENTS_ASKED_MAX]] or [None]


def _needs_payment(abilities: AllAbilities, account: str) -> bool:
    return account in abilities and abilities[account].refunds_in_payments


def _may_move(facts: OrderFacts, account: str, refund: ReturnFacts, status: Status) -> bool:
    if refund.latest.status is ObjectStatus.PENDING or status in RETURNED:
        return True
    payment = facts.payments.get((account, refund.payment_ref or ""))
    return payment is not None and payment.refunds_told_at is not None and refund.latest.status is ObjectStatus.FAILED


def _refund(
    order: Order, account: str, refund_ref: str, payment_ref: str | None, abilities: AllAbilities
) -> AccountQuery:
    """Asks about the refund itself, or else about its payment, which tells what it gave back in all."""
    if "refund" in _queryable(abilities, account):
        ref = order.order_ref
        return account, Query(about="refund", order_ref=ref, payment_ref=payment_ref, refund_ref=refund_ref)
    due = order.amount
    return account, Query(about="payment", order_ref=order.order_ref, payment_ref=payment_ref, amount_due=due)


def _some_of_each(wanted: Iterable[tuple[ObjectKey, object]], limit: int) -> Iterator[ObjectKey]:
    """Returns the first of each account."""
    counts: dict[str, int] = {}
    for key, _ in wanted:
        counts[key[0]] = counts.get(key[0], 0) + 1
        if counts[key[0]] <= limit:
            yield key
