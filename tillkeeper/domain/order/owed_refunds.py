"""Finds failed refunds that no later refund replaced, so that their payers still wait for them.

A failed refund is replaced by refunds of the same payment that succeeded and that began after the failure: by one of
its amount, else by several together.  A refund replaces one failed refund only.  When a refund began and when it failed
are registers of the earliest event, so that repetitions change nothing.  Nothing is owed of a payment that was refunded
whole, whenever one of its refunds failed.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime

import msgspec

from tillkeeper.domain.order.facts import WITHDRAWN, ObjectKey, ObjectStatus, OrderFacts, ReturnFacts
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.sums import (
    PaymentKey,
    captured_of,
    payment_ref_of,
    refund_counts,
    refunded_of,
    refunds_of_money,
)


class _Failed(msgspec.Struct, frozen=True, kw_only=True):
    """A failed refund; `minor` is None where its amount is not known."""

    at: datetime
    key: ObjectKey
    minor: int | None
    refund: ReturnFacts


class _Given(msgspec.Struct, kw_only=True):
    """A refund that succeeded, and how much of it has replaced nothing so far."""

    began_at: datetime
    left: int


def owed_refunds(order: Order, facts: OrderFacts) -> Iterator[tuple[ObjectKey, ReturnFacts]]:
    """Yields the refunds that failed and are not made good.  Those that are mismatched have a case as such."""
    failed, given = defaultdict[PaymentKey, list[_Failed]](list), defaultdict[PaymentKey, list[_Given]](list)
    for key, refund in refunds_of_money(facts).items():
        if not refund_counts(order, key[0], refund):
            continue
        payment_key = (key[0], payment_ref_of(facts, key[0], refund))
        minor = refund.amount.minor if refund.amount else None
        if refund.latest.status is ObjectStatus.FAILED and refund.latest.failure_code != WITHDRAWN:
            at = refund.first_failed_at
            failed[payment_key].append(_Failed(at=at, key=key, minor=minor, refund=refund))
        elif refund.latest.status is ObjectStatus.SUCCEEDED and minor:
            given[payment_key].append(_Given(began_at=refund.began_at or refund.latest.at, left=minor))
    for payment_key, of_payment in failed.items():
        if not _is_back(order, facts, payment_key):
            yield from _not_made_good(of_payment, given[payment_key])


def _is_back(order: Order, facts: OrderFacts, key: PaymentKey) -> bool:
    """Returns True if all that the payment brought in went back."""
    account, payment_ref = key
    payment = facts.payments.get((account, payment_ref)) if payment_ref else None
    return payment is not None and refunded_of(order, facts, key) >= captured_of(order, account, payment) > 0


def _not_made_good(failed: Iterable[_Failed], given: list[_Given]) -> Iterator[tuple[ObjectKey, ReturnFacts]]:
    """Yields the failed refunds that none of the given ones makes good; what failed first is made good first."""
    given.sort(key=lambda refund: (refund.began_at, refund.left))
    oldest_first = sorted(failed, key=lambda refund: (refund.at, refund.key))
    for refund in [refund for refund in oldest_first if not _by_one(refund, given)]:
        if not _by_several(refund, given):
            yield refund.key, refund.refund


def _by_one(failed: _Failed, given: Iterable[_Given]) -> bool:
    """Takes the first later refund of the same amount."""
    for refund in given:
        if refund.began_at > failed.at and refund.left == failed.minor:
            refund.left = 0
            return True
    return False


def _by_several(failed: _Failed, given: Iterable[_Given]) -> bool:
    """Takes from the later refunds together, if they suffice."""
    since = [refund for refund in given if refund.began_at > failed.at]
    if failed.minor is None or sum(refund.left for refund in since) < failed.minor:
        return False
    missing = failed.minor
    for refund in since:
        taken = min(refund.left, missing)
        refund.left -= taken
        missing -= taken
    return True
