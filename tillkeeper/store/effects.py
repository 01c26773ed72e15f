"""What follows from a movement of an order's money: a new spell, who is told, whether a closed order opens again."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from tillkeeper.domain.concerns import REFUND_FAILED, STANDS, Concern, concerns
from tillkeeper.domain.facts import Step, failure_of
from tillkeeper.domain.order import STATUS_ZH, Status, charged_back
from tillkeeper.domain.policy import Policy
from tillkeeper.store.acts import Act
from tillkeeper.store.ledger import OpenOrder
from tillkeeper.store.telling import Audience, Notice

STATUS_CHANGED: Final = "order.status_changed"
AMOUNTS_CHANGED: Final = "order.amounts_changed"
REOPENED: Final = "order.reopened"
CLOSED: Final = "order.closed"

# What a payer is told at once.  Processing and failed are told by their ladders: the one may be over in a minute, the
# other may turn into a success within its grace.
PAYER_TOPICS: Final = {
    Status.PAID: "payer.paid",
    Status.PARTIALLY_PAID: "payer.partially_paid",
    Status.REFUNDING: "payer.refunding",
    Status.REFUNDED: "payer.refunded",
    Status.PARTIALLY_REFUNDED: "payer.partially_refunded",
}
RETURNS: Final = frozenset({Status.REFUNDING, Status.REFUNDED, Status.PARTIALLY_REFUNDED})


class Effects(msgspec.Struct, kw_only=True):
    """What is to be written beside the facts."""

    notices: list[Notice] = msgspec.field(default_factory=list)
    acts: list[Act] = msgspec.field(default_factory=list)
    opening: list[tuple[int | None, Concern]] = msgspec.field(default_factory=list)
    holding: list[Concern] = msgspec.field(default_factory=list)  # of orders that changed: what cases are about


def effects_of(changed: Sequence[OpenOrder], policy: Policy, *, now: datetime) -> Effects:
    """Begins the spells of orders that moved, and says what else is to be written for them."""
    effects = Effects()
    for it in changed:
        found = it.concerns()
        if it.moved:
            found += _after_closing(it, policy, effects, now)
            it.begin_spell(policy, now=now)
            effects.notices += _notices(it)
        elif charged_back(it.order, it.facts) != charged_back(it.order, it.known):
            effects.notices.append(merchant_notice(it, AMOUNTS_CHANGED))
        it.ask_for_implied(now=now)
        effects.notices += _of_failed_refunds(it, found)
        effects.opening += [(it.id, concern) for concern in found]
        effects.holding += found + _still_after_closing(it)
    return effects


def holding_of(it: OpenOrder) -> list[Concern]:
    """What cases of an order are still about, as its facts show."""
    return it.concerns() + _still_after_closing(it)


def _after_closing(it: OpenOrder, policy: Policy, effects: Effects, now: datetime) -> list[Concern]:
    """Money that came in although the order was closed: the policy reopens it, or a person decides."""
    captured = it.judge().captured
    if it.closed_at is None or captured <= it.before.captured:
        return []
    if policy.after_close == "case":
        return _still_after_closing(it)
    it.closed_at = None
    effects.acts.append(
        Act(order_id=it.id, what="reopen", by="policy", note="a payment came in after it was closed", at=now)
    )
    effects.notices.append(merchant_notice(it, REOPENED))
    return []


def _still_after_closing(it: OpenOrder) -> list[Concern]:
    if it.closed_at is None:
        return []
    summary = it.judge()
    if summary.captured <= summary.refunded:
        return []
    details: dict[str, object] = {
        "captured": summary.captured,
        "proposed_refund": summary.captured - summary.refunded,
        "currency": it.order.currency,
    }
    subject = f"order:{it.order.order_ref}"
    return [Concern(kind="paid_after_closing", subject=subject, state=STANDS, details=details)]


def _notices(it: OpenOrder) -> list[Notice]:
    status = it.judge().status
    told = [merchant_notice(it, STATUS_CHANGED if status != it.before.status else AMOUNTS_CHANGED)]
    if it.has_mail and (topic := _payer_topic(it)) is not None:
        told.append(payer_notice(it, topic))
    return told


def _payer_topic(it: OpenOrder) -> str | None:
    """What its payer is told at once.  Of a closed order: that money goes back, or that it came too late.

    Nothing where a gateway took a payment back: they are asked to pay once their gateway was asked, and failed said so.
    """
    summary, before = it.judge(), it.before
    if summary.captured < before.captured:
        return None
    if it.closed_at is None:
        if summary.status is Status.PARTIALLY_PAID and not it.remaining:
            return None  # the merchant captures the rest: there is nothing to ask for
        return PAYER_TOPICS.get(summary.status)
    returned = (summary.refunding, summary.refunded) != (before.refunding, before.refunded)
    if summary.captured > before.captured and not returned:
        return "payer.paid_after_closing"
    return PAYER_TOPICS[summary.status] if summary.status in RETURNS else None


def _of_failed_refunds(it: OpenOrder, found: Sequence[Concern]) -> list[Notice]:
    """The last that the payer may have heard is that these are on their way."""
    failed = [concern for concern in found if concern.kind == REFUND_FAILED]
    if not failed or not it.has_mail:
        return []
    known = {(concern.kind, concern.subject) for concern in concerns(it.order, it.known)}
    return [
        payer_notice(it, "payer.refund_failed", occasion=concern.subject, refund_amount=concern.details["amount"])
        for concern in failed
        if (concern.kind, concern.subject) not in known
    ]


def merchant_notice(it: OpenOrder, topic: str) -> Notice:
    """What the merchant's systems are told: the order as it is once the transaction is committed."""
    summary, version = it.judge(), it.version + 1
    return Notice(
        key=f"order/{it.id}/{version}/{topic}",
        audience=Audience.MERCHANT,
        topic=topic,
        order_id=it.id,
        version=version,
        payload={
            "order_ref": it.order.order_ref,
            "version": version,
            "status": summary.status,
            "status_zh": STATUS_ZH[summary.status],
            "previous_status": it.before.status,
            "amount": it.order.amount,
            "currency": it.order.currency,
            "paid": summary.captured,
            "refunding": summary.refunding,
            "refunded": summary.refunded,
            "discount": summary.discount,
            "charged_back": charged_back(it.order, it.facts),
            "closed": it.closed_at is not None,
        },
    )


def payer_notice(it: OpenOrder, topic: str, *, occasion: str = "", **more: object) -> Notice:
    """What the payer is told.  The same topic about the same sums is the same fact, told once; `occasion` tells apart
    what may be said again, such as a second reminder."""
    summary = it.judge()
    return Notice(
        key=f"payer/{it.id}/{topic}/{summary.captured}/{summary.refunding}/{summary.refunded}/{occasion}".rstrip("/"),
        audience=Audience.PAYER,
        topic=topic,
        order_id=it.id,
        version=it.version + 1,
        payload={
            "order_ref": it.order.order_ref,
            "status": summary.status,
            "amount": it.order.amount,
            "currency": it.order.currency,
            "paid": summary.captured,
            "refunding": summary.refunding,
            "refunded": summary.refunded,
            "discount": summary.discount,
            "remaining": it.remaining,
            "failure": failure_told(it),
            "pay_url": it.pay_url,
            "expires_at": it.expires_at,
            **more,
        },
    )


def failure_told(it: OpenOrder) -> str | None:
    """Why the payment that failed last did so, where one stands failed."""
    failed = [
        (payment.standing, payment)
        for (account, _), payment in it.facts.payments.items()
        if account in it.order.accounts and payment.step in (Step.FAILED, Step.CANCELLED) and payment.standing
    ]
    return failure_of(max(failed, key=lambda known: known[0])[1]) if failed else None
