"""Finds money that an order's facts imply without showing it, so that its gateways must be queried at once.

A refund, a dispute, a reversal or a running total of refunds can only belong to a payment that succeeded.  Where that
success is not known, its webhook was lost, and would be waited for in vain.  Likewise where the gateway says that
something was refunded, and a known refund is still pending.
"""

from collections.abc import Iterator

import msgspec

from tillkeeper.domain.order.facts import ObjectKey, ObjectStatus, OrderFacts, PaymentFacts
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.sums import captured_of, refunded_of, refunds_of, unseen_payments


class ImpliedMoney(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """An object to query: a refund, else a payment, else whatever the account has for the order."""

    account: str
    payment_ref: str | None = None
    refund_ref: str | None = None


def implied_money(order: Order, facts: OrderFacts) -> tuple[ImpliedMoney, ...]:
    """Returns everything that must be asked about because the facts imply money that is not known, once and sorted."""
    if not facts.has_returns:
        return ()
    found = set[ImpliedMoney]()
    for account, payment_ref in unseen_payments(order, facts):
        found |= set(_of_unseen(facts, account, payment_ref))
    for (account, payment_ref), payment in facts.payments.items():
        if account in order.accounts:
            found |= set(_of_payment(order, facts, (account, payment_ref), payment))
    return tuple(sorted(found, key=lambda query: (query.account, query.payment_ref or "", query.refund_ref or "")))


def _of_payment(order: Order, facts: OrderFacts, key: ObjectKey, payment: PaymentFacts) -> Iterator[ImpliedMoney]:
    account, payment_ref = key
    undone_unseen = payment.reversals and (not payment.captures or payment.reversals.keys() - {"", *payment.captures})
    pending = [
        refund.amount.minor
        for refund in refunds_of(order, facts, key)
        if refund.amount and refund.latest.status is ObjectStatus.PENDING
    ]
    if undone_unseen or refunded_of(order, facts, key) + sum(pending) > captured_of(order, account, payment):
        yield ImpliedMoney(account=account, payment_ref=payment_ref)
    if payment.refunds_told_at is None:
        return
    for (at_account, refund_ref), refund in facts.refunds.items():
        is_its = at_account == account and refund.payment_ref in {payment_ref, None}
        if is_its and refund.latest.status is ObjectStatus.PENDING:
            yield ImpliedMoney(account=account, payment_ref=payment_ref, refund_ref=refund_ref)


def _of_unseen(facts: OrderFacts, account: str, payment_ref: str | None) -> Iterator[ImpliedMoney]:
    """Yields the payment itself where it is named; else each refund of it, and the order for a dispute."""
    if payment_ref is not None:
        yield ImpliedMoney(account=account, payment_ref=payment_ref)
        return
    for (at_account, refund_ref), refund in facts.refunds.items():
        if at_account == account and refund.payment_ref is None:
            yield ImpliedMoney(account=account, refund_ref=refund_ref)
    if any(dispute.payment_ref is None for (at_account, _), dispute in facts.disputes.items() if at_account == account):
        yield ImpliedMoney(account=account)
