"""Decides whether a mail to a payer may go out now, later or not at all, by its topic, its order and the hour.

    its order has moved since it was written, or is closed or on hold ──> dropped
    its payer had enough mails, or the time to pay is over ────────────> dropped
    an account of its order is paused ─────────────────────────────────> later
    it asks to pay, and the money may be there or on its way ──────────> later
    it is night where the merchant says so ────────────────────────────> later
    else ──────────────────────────────────────────────────────────────> now

Whether there is anything to say, and whether the gateway must be asked before a reminder, is decided when the notice is
written (reminders.py); here it is decided anew at the last moment before it is sent.
"""

from datetime import datetime, time, timedelta
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo

import msgspec

from tillkeeper.domain.order.notice_outcomes import Dropped
from tillkeeper.domain.order.status import Summary
from tillkeeper.domain.topics import ASKS_TO_PAY, OF_MONEY, UNCAPPED, Topic

WRITTEN_ANEW: Final = timedelta(seconds=5)  # a mail that asks to pay while a payment has just begun
UNCLEAR_REST: Final = timedelta(minutes=5)  # until a person has found out whether it was paid


class QuietHours(msgspec.Struct, frozen=True, kw_only=True):
    """The part of the day without mails to payers; it may pass midnight."""

    start: time
    end: time
    zone: ZoneInfo


class MailLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The merchant's limits on mails to payers."""

    per_order_max: int
    quiet: QuietHours | None = None


class PresentOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What of the present order decides about mails to its payer."""

    summary: Summary
    closed: bool
    held: bool
    under_way: bool  # a payment of it is, whatever its status says: a partly paid order's next instalment
    paused: bool = False  # the guard has an account of it paused: nobody is told anything
    unclear: bool = False  # money may be there that does not count: a case says so, or an event of it is parked
    mails: int  # how many its payer got, or may have got, besides this one


class SendNow(msgspec.Struct, frozen=True):
    """The mail may go out."""


class SendLater(msgspec.Struct, frozen=True, kw_only=True):
    """The mail must not go out before then."""

    until: datetime


Verdict: TypeAlias = SendNow | SendLater | Dropped


def may_tell_payer(
    topic: Topic,
    order: PresentOrder,
    *,
    said: Summary,
    warned: bool,
    expires_at: datetime | None,
    limits: MailLimits,
    now: datetime,
) -> Verdict:
    """Decides what to do with a mail now.  `said` is the order as the notice speaks of it; `warned`, that it says not
    to pay while a payment is under way."""
    why = _why_not(topic, order, said, limits.per_order_max)
    if why is None and topic in ASKS_TO_PAY and expires_at is not None and expires_at <= now:
        why = "the order's time to pay is over"
    if why is not None:
        return Dropped(why=why)
    if order.paused or (topic in ASKS_TO_PAY - OF_MONEY and order.unclear):
        return SendLater(until=now + UNCLEAR_REST)
    if topic in ASKS_TO_PAY and order.under_way and not warned:
        return SendLater(until=now + WRITTEN_ANEW)
    if limits.quiet is not None and (end := quiet_until(limits.quiet, now)) is not None:
        return SendLater(until=end)
    return SendNow()


def _why_not(topic: Topic, order: PresentOrder, said: Summary, per_order_max: int) -> str | None:
    if said.status != order.summary.status:
        return f"overtaken: the order is {order.summary.status} by now"
    if said != order.summary:
        return "overtaken: more of the order's money has moved"
    if topic not in UNCAPPED and order.mails >= per_order_max:
        return f"its payer had {order.mails} mails about this order"
    if topic in OF_MONEY:
        return None
    if order.closed and topic is not Topic.EXPIRED:
        return "the order is closed"
    return "the order is on hold" if order.held else None


def quiet_until(quiet: QuietHours, now: datetime) -> datetime | None:
    """Returns the end of the quiet hours that `now` falls in, or None outside them."""
    local = now.astimezone(quiet.zone)
    at = local.time().replace(tzinfo=None)
    passes_midnight = quiet.end < quiet.start
    inside = (at >= quiet.start or at < quiet.end) if passes_midnight else quiet.start <= at < quiet.end
    if not inside:
        return None
    day = local.date() if at < quiet.end else local.date() + timedelta(days=1)
    end = datetime.combine(day, quiet.end, quiet.zone)
    return max(end.astimezone(now.tzinfo), now + timedelta(seconds=1))  # an hour that the clocks skip or repeat
