"""Decides whether an order may be closed, and closes it: no payment is expected any more.

The sweep closes expired orders, once their gateways know of no payment under way; a person may close sooner
(acts.py).  An order is not closed in doubt.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

from tillkeeper.domain.order.advancing import stuck
from tillkeeper.domain.order.case_kinds import CaseKind
from tillkeeper.domain.order.case_reasons import STANDS, CaseReason
from tillkeeper.domain.order.changes import Act, ActKind, Changes
from tillkeeper.domain.order.doubts import Doubt, DoubtKind
from tillkeeper.domain.order.notices import merchant_notice, payer_notices
from tillkeeper.domain.order.progress import CANNOT_ASK
from tillkeeper.domain.order.state import OrderState
from tillkeeper.domain.order.status import ON_ITS_WAY
from tillkeeper.domain.order.sums import held_of
from tillkeeper.domain.topics import MerchantTopic, Topic

UNCLEAR: Final = "it is not clear whose its money is"
# While such a case is open, somebody's money counts for nothing, or is said to be there.
COUNTS_FOR_NOTHING: Final = frozenset(
    {CaseKind.CLAIMED_PAID, CaseKind.REFERENCE_CONFLICT, CaseKind.UNEXPECTED_ACCOUNT, CaseKind.WRONG_CURRENCY}
)


def close(changes: Changes, *, by: str, note: str, now: datetime) -> None:
    """Closes the order, and writes the notices about that.

    The order is due at once: the sweep then decides when it queries about late money.
    """
    before = changes.after
    changes.set(closed_at=now, due_at=now, ask_at=None, version=before.version + 1)
    after = changes.after
    changes.acts += (Act(what=ActKind.CLOSE, by=by, note=note, at=now),)
    changes.notices += (
        merchant_notice(before, after, MerchantTopic.CLOSED),
        *payer_notices(before, after, Topic.EXPIRED, occasion=f"phase {after.phase}"),
    )
    still = [*after.case_reasons(), *([stuck(after)] if after.traits.moving else [])]
    changes.cases.close(before.cases, still)


def may_close_by_itself(order: OrderState) -> bool:
    """Returns True if no money is there or on its way, as far as is known."""
    return order.traits.empty and order.closed_at is None


def close_or_doubt(
    changes: Changes, result: str, *, answered: bool, unaskable: Iterable[str] = (), now: datetime
) -> None:
    """Closes an expired order once its gateways know of no payment under way; else opens a case with the reason.

    `result` is that of the queries, and `unaskable` are the accounts that cannot be queried.
    """
    order = changes.after
    if answered and not order.money_is_unclear:
        close(changes, by="policy", note="it expired, and its gateways know of no payment under way", now=now)
    elif result == CANNOT_ASK:
        changes.account_cases = tuple(account_doubt(order, account) for account in sorted(unaskable))
    else:
        changes.open_cases(doubt(order, result, answered=answered))
    if answered:
        changes.askable_accounts = order.order.accounts


def doubt(order: OrderState, result: str, *, answered: bool) -> CaseReason:
    """Makes the case of an expired order that cannot be closed although its gateways were asked."""
    details: dict[str, object] = {
        "status": order.summary.status,
        "expired_at": order.expires_at and order.expires_at.isoformat(),
        "why": result if not answered else "an event of it is parked" if order.has_parked else UNCLEAR,
    }
    return CaseReason(kind=CaseKind.CLOSE_IN_DOUBT, subject=f"order:{order.order.order_ref}", details=details)


def account_subject(account: str) -> str:
    """Names the case of an account that cannot be asked."""
    return f"account:{account}"


def account_doubt(order: OrderState, account: str) -> CaseReason:
    """Makes the case of an account that cannot be asked: one for the account, not one for each of its orders."""
    why: dict[str, object] = {"why": CANNOT_ASK, "first": order.order.order_ref}
    return CaseReason(kind=CaseKind.CLOSE_IN_DOUBT, subject=account_subject(account), account=account, details=why)


def doubts(order: OrderState) -> Iterator[Doubt]:
    """Yields the reasons why closing it now could leave somebody's money behind."""
    currency = order.order.currency
    for (account, ref), payment in sorted(order.facts.payments.items()):
        if payment.status in ON_ITS_WAY:
            yield Doubt(kind=DoubtKind.ON_ITS_WAY, account=account, ref=ref, word=payment.status)
        if held := held_of(order.order, account, payment):
            yield Doubt(kind=DoubtKind.HELD, account=account, ref=ref, amount=held, currency=currency)
    for kind in sorted(order.open_case_kinds & COUNTS_FOR_NOTHING):
        yield Doubt(kind=DoubtKind.CASE, word=kind)
    if order.has_parked:
        yield Doubt(kind=DoubtKind.PARKED)
    if order.is_paused:
        yield Doubt(kind=DoubtKind.PAUSED)
    summary = order.summary
    if summary.captured > summary.refunded:
        yield Doubt(kind=DoubtKind.NOT_GIVEN_BACK, amount=summary.captured - summary.refunded, currency=currency)
    elif summary.refunding:
        yield Doubt(kind=DoubtKind.REFUND_UNDER_WAY)


def kept_after_closing(order: OrderState) -> list[CaseReason]:
    """Returns the reason for a case that a closed order is while it keeps money."""
    if order.closed_at is None:
        return []
    summary = order.summary
    if summary.captured <= summary.refunded:
        return []
    details: dict[str, object] = {
        "captured": summary.captured,
        "proposed_refund": summary.captured - summary.refunded,
        "currency": order.order.currency,
    }
    subject = f"order:{order.order.order_ref}"
    return [CaseReason(kind=CaseKind.PAID_AFTER_CLOSING, subject=subject, state=STANDS, details=details)]
