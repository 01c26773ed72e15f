"""Writes the notices about an order.  `key` identifies each fact, so that it is sent once."""

from datetime import datetime
from enum import StrEnum

import msgspec

from tillkeeper.domain.order.case_kinds import CaseKind
from tillkeeper.domain.order.case_reasons import CaseReason
from tillkeeper.domain.order.facts import ObjectStatus, failure_of
from tillkeeper.domain.order.state import OrderState
from tillkeeper.domain.topics import CaseTopic, MerchantTopic, Topic


class Audience(StrEnum):
    """The recipients of a notice."""

    MERCHANT = "merchant"  # the merchant's systems
    PAYER = "payer"
    OPS = "ops"


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """A notice.  The same `key` is sent once, however often it is written."""

    key: str
    audience: Audience
    topic: str
    payload: dict[str, object]
    order_id: int | None = None
    version: int | None = None


def merchant_notice(before: OrderState, after: OrderState, topic: MerchantTopic) -> Notice:
    """Makes the notice to the merchant's systems: the order as it is once the transaction is committed."""
    version = before.version + 1
    return Notice(
        key=f"order/{after.id}/{version}/{topic}",
        audience=Audience.MERCHANT,
        topic=topic,
        order_id=after.id,
        version=version,
        payload={
            **after.view().fields(),
            "version": version,
            "previous_status": before.stored.status,
            "closed": after.closed_at is not None,
        },
    )


def payer_notices(
    before: OrderState, after: OrderState, topic: Topic | None, *, occasion: str = "", **more: object
) -> list[Notice]:
    """Makes the notice to the payer, if there is something to tell and an address to send it to.

    The same topic about the same sums is the same fact, sent once; `occasion` distinguishes what may be sent again,
    such as a second reminder.
    """
    if topic is None or not after.has_mail:
        return []
    summary = after.summary
    sums = f"{summary.captured}/{summary.refunding}/{summary.refunded}"
    notice = Notice(
        key=f"payer/{after.id}/{topic}/{sums}/{occasion}".rstrip("/"),
        audience=Audience.PAYER,
        topic=topic,
        order_id=after.id,
        version=before.version + 1,
        payload={
            **after.view().fields(),
            "remaining": after.remaining,
            "failure": latest_failure(after),
            "pay_url": after.pay_url,
            "expires_at": after.expires_at,
            **more,
        },
    )
    return [notice]


def latest_failure(state: OrderState) -> str | None:
    """Returns why the payment that failed last did so, where one stands failed."""
    failed = [
        (payment.latest, payment)
        for (account, _), payment in state.facts.payments.items()
        if account in state.order.accounts
        and payment.status in (ObjectStatus.FAILED, ObjectStatus.CANCELLED)
        and payment.latest
    ]
    return failure_of(max(failed, key=lambda known: known[0])[1]) if failed else None


def change_notices(before: OrderState, after: OrderState) -> list[Notice]:
    """Makes the notices that are sent at once when an order's money has moved."""
    has_changed = after.summary.status != before.stored.status
    topic = MerchantTopic.STATUS_CHANGED if has_changed else MerchantTopic.AMOUNTS_CHANGED
    told = [merchant_notice(before, after, topic)]
    return told + payer_notices(before, after, _told_at_once(before, after)) if after.has_mail else told


def _told_at_once(before: OrderState, after: OrderState) -> Topic | None:
    """Returns what its payer is told at once.  Of a closed order: that money goes back, or that it came too late.

    There is none where a gateway reversed a payment: the payer is asked to pay only after a query confirmed that.
    """
    summary, stored = after.summary, before.stored
    if summary.captured < stored.captured:
        return None
    if after.closed_at is None:
        is_held = after.traits.told_at_once is Topic.PARTIALLY_PAID and not after.remaining
        return None if is_held else after.traits.told_at_once  # the merchant captures the rest: the payer owes nothing
    returned = (summary.refunding, summary.refunded) != (stored.refunding, stored.refunded)
    if summary.captured > stored.captured and not returned:
        return Topic.PAID_AFTER_CLOSING
    return after.traits.told_at_once if after.traits.returning else None


def failed_refund_notices(before: OrderState, after: OrderState, reasons: list[CaseReason]) -> list[Notice]:
    """Makes the notices of refunds that failed: the payer may have been told that these are on their way."""
    failed = [reason for reason in reasons if reason.kind == CaseKind.REFUND_FAILED]
    if not failed or not after.has_mail:
        return []
    known = {reason.key for reason in before.case_reasons()}
    return [
        notice
        for reason in failed
        if reason.key not in known
        for notice in payer_notices(
            before, after, Topic.REFUND_FAILED, occasion=reason.subject, refund_amount=reason.details["amount"]
        )
    ]


class CaseRow(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of a case in notices to people on duty."""

    id: int
    kind: str
    subject: str
    order_id: int | None
    account: str | None
    level: int
    details: object


def case_notice(case: CaseRow, topic: CaseTopic, *, now: datetime) -> Notice:
    """Makes the notice to people on duty about a case."""
    return Notice(
        key=f"case/{case.id}/{topic}/{now:%Y%m%dT%H%M%S.%f}",
        audience=Audience.OPS,
        topic=topic,
        order_id=case.order_id,
        payload={
            "case": case.id,
            "kind": case.kind,
            "subject": case.subject,
            "account": case.account,
            "level": case.level,
            "details": case.details,
        },
    )
