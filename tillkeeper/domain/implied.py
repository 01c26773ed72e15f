"""Money that an order's facts imply and do not know: what its gateways must be asked about at once.

A refund, a dispute or a running total of refunds can only be of a payment that succeeded.  Where that success was never
heard of, its webhook was lost, and waiting for it is waiting for ever.
"""

from collections.abc import Iterator

import msgspec

from tillkeeper.domain.facts import OrderFacts
from tillkeeper.domain.order import Order, captured_of, refunded_of, unseen_payers


class Implied(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One thing to ask about: a refund, else a payment, else whatever the account has for the order."""

    account: str
    payment_ref: str | None = None
    refund_ref: str | None = None


def implied(order: Order, facts: OrderFacts) -> tuple[Implied, ...]:
    """Everything that must be asked about because the facts imply money that is not known, each once and sorted."""
    if not (facts.refunds or facts.disputes or any(it.given_back for it in facts.payments.values())):
        return ()  # as of nearly every order, and this is asked at every event
    found = {
        it for account, payment_ref in unseen_payers(order, facts) for it in _of_unseen(facts, account, payment_ref)
    }
    found |= {
        Implied(account=account, payment_ref=ref)
        for (account, ref), payment in facts.payments.items()
        if refunded_of(order, facts, (account, ref)) > captured_of(order, account, payment)
    }
    return tuple(sorted(found, key=lambda it: (it.account, it.payment_ref or "", it.refund_ref or "")))


def _of_unseen(facts: OrderFacts, account: str, payment_ref: str | None) -> Iterator[Implied]:
    """The payment itself where it is named; else each refund of it, and the order for a dispute."""
    if payment_ref is not None:
        yield Implied(account=account, payment_ref=payment_ref)
        return
    for (at_account, refund_ref), refund in facts.refunds.items():
        if at_account == account and refund.payment_ref is None:
            yield Implied(account=account, refund_ref=refund_ref)
    if any(it.payment_ref is None for (at_account, _), it in facts.disputes.items() if at_account == account):
        yield Implied(account=account)
