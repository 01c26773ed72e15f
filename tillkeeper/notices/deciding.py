"""Whether and when a notice is sent: pure rules over the notice, its order, and what was told before."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final, TypeAlias, assert_never
from zoneinfo import ZoneInfo

import msgspec

from tillkeeper.domain.backoff import NOTICE
from tillkeeper.domain.order.summary import Summary
from tillkeeper.domain.order.topics import Topic
from tillkeeper.notices.outcome import ChannelState, Dead, Dropped, Entry, Failed, SendOutcome, Sent, Uncertain
from tillkeeper.notices.settings import NotifySettings, QuietHours
from tillkeeper.store.outbox.sending import OrderNow

WRITTEN_ANEW: Final = timedelta(seconds=5)  # a mail that asks to pay what somebody began to pay just now
UNCLEAR_REST: Final = timedelta(minutes=5)  # until somebody has found out whether it was paid
RETRY_AFTER_MAX: Final = timedelta(hours=6)  # a receiver that asks for more is asked again by then
WHY_CHARS_MAX: Final = 300
NO_CHANNEL: Final = "no channel"
PENDING: Final = "pending"


# Of money that moved a payer is told whatever else holds, each fact once by its key.  The others ask or warn.
OF_MONEY: Final = frozenset(
    {
        Topic.PAID,
        Topic.PARTIALLY_PAID,
        Topic.PAID_AFTER_CLOSING,
        Topic.REFUNDING,
        Topic.REFUNDED,
        Topic.PARTIALLY_REFUNDED,
        Topic.REFUND_FAILED,
    }
)
# Each of these is told once for each sum; all others, reminders of a slow refund among them, end at the cap.
UNCAPPED: Final = OF_MONEY - {Topic.REFUNDING}
# Where paying is right, so that a button leads there.
ASKS_TO_PAY: Final = frozenset({Topic.PARTIALLY_PAID, Topic.FAILED, Topic.REMINDER, Topic.INSTALMENT_DUE})


class SendNow(msgspec.Struct, frozen=True):
    """Send it."""


class SendLater(msgspec.Struct, frozen=True, kw_only=True):
    """Not before then."""

    until: datetime


Verdict: TypeAlias = SendNow | SendLater | Dropped


def may_tell_payer(
    topic: Topic,
    order: OrderNow,
    *,
    said: Summary,
    warned: bool,
    expires_at: datetime | None,
    settings: NotifySettings,
    now: datetime,
) -> Verdict:
    """What to do with a mail now.  `said` is the order as the notice speaks of it; `warned`, that it says not
    to pay while a payment is under way."""
    why = _why_not(topic, order, said, settings.per_order_max)
    if why is None and topic in ASKS_TO_PAY and expires_at is not None and expires_at <= now:
        why = "the order's time to pay is over"
    if why is not None:
        return Dropped(why=why)
    if topic in ASKS_TO_PAY - OF_MONEY and order.unclear:
        return SendLater(until=now + UNCLEAR_REST)
    if topic in ASKS_TO_PAY and order.under_way and not warned:
        return SendLater(until=now + WRITTEN_ANEW)
    if settings.quiet is not None:
        end = quiet_until(settings.quiet, ZoneInfo(settings.time_zone), now)
        if end is not None:
            return SendLater(until=end)
    return SendNow()


def _why_not(topic: Topic, order: OrderNow, said: Summary, per_order_max: int) -> str | None:
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


def quiet_until(quiet: QuietHours, zone: ZoneInfo, now: datetime) -> datetime | None:
    """The end of the quiet hours that `now` falls in, or None outside them."""
    local = now.astimezone(zone)
    at = local.time().replace(tzinfo=None)
    passes_midnight = quiet.end < quiet.start
    inside = (at >= quiet.start or at < quiet.end) if passes_midnight else quiet.start <= at < quiet.end
    if not inside:
        return None
    day = local.date() if at < quiet.end else local.date() + timedelta(days=1)
    end = datetime.combine(day, quiet.end, zone)
    return max(end.astimezone(now.tzinfo), now + timedelta(seconds=1))  # an hour that the clocks skip or repeat


def entry_of(outcome: SendOutcome, before: Entry | None, *, give_up_after: timedelta, now: datetime) -> Entry:
    """How the row remembers an outcome: a failure is tried again on the schedule, until its time has run out."""
    match outcome:
        case Sent():
            return Entry(outcome=ChannelState.SENT, at=now)
        case Uncertain(why=why):
            return Entry(outcome=ChannelState.UNCERTAIN, at=now, why=_short(why))
        case Dropped(why=why):
            return Entry(outcome=ChannelState.DROPPED, at=now, why=_short(why))
        case Dead(why=why):
            return Entry(outcome=ChannelState.DEAD, at=now, why=_short(why))
        case Failed():
            return _failed(outcome, before, give_up_after, now)
    assert_never(outcome)


def _failed(outcome: Failed, before: Entry | None, give_up_after: timedelta, now: datetime) -> Entry:
    was_failing = before is not None and before.outcome is ChannelState.FAILING
    since = before.since if before is not None and was_failing and before.since is not None else now
    failures = (before.failures if before is not None and was_failing else 0) + outcome.tried
    if now - since >= give_up_after:
        why = f"given up after {failures} tries: {outcome.why}"
        return Entry(outcome=ChannelState.DEAD, at=now, why=_short(why), since=since, failures=failures)
    wait = NOTICE.pause(max(failures, 1) if outcome.tried else 1)
    if outcome.wait is not None:
        wait = max(wait, min(outcome.wait, RETRY_AFTER_MAX))
    return Entry(
        outcome=ChannelState.FAILING,
        at=now,
        why=_short(outcome.why),
        since=since,
        failures=failures,
        next_at=min(now + wait, max(since + give_up_after, now + NOTICE.pause(1))),
    )


# Of several channels the one that somebody must know of names the row.
_STATES: Final = (ChannelState.DEAD, ChannelState.UNCERTAIN, ChannelState.SENT, ChannelState.DROPPED)


class RowState(msgspec.Struct, frozen=True, kw_only=True):
    """A row as a whole: pending until every channel is done."""

    state: str
    due_at: datetime | None
    last_error: str | None


def state_of(told: Mapping[str, Entry]) -> RowState:
    """What the channels' entries make of their row."""
    last_error = _last_error(told.values())
    waiting = [entry.next_at for entry in told.values() if entry.next_at is not None and not entry.is_final]
    if waiting:
        return RowState(state=PENDING, due_at=min(waiting), last_error=last_error)
    said = {entry.outcome for entry in told.values()}
    state = next((outcome for outcome in _STATES if outcome in said), ChannelState.DROPPED)
    return RowState(state=state, due_at=None, last_error=last_error)


def _last_error(entries: Iterable[Entry]) -> str | None:
    whys = [(entry.at, entry.why) for entry in entries if entry.why is not None]
    return max(whys)[1] if whys else None


def _short(why: str) -> str:
    text = "".join(char if char.isprintable() else " " for char in why)
    return text.encode("utf-8", "replace").decode()[:WHY_CHARS_MAX]
