"""Decides what follows from sending a notice: its row's new state, when it is retried, and the cases and alarms.

sent, dropped, uncertain ──> the channel is done
failed ──────────────────> tried again with growing pauses; past its time it is dead
dead ────────────────────> a case: a payer who cannot be reached, or a receiver that takes nothing
gone ────────────────────> a notice to ops that a receiver wants no more
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeAlias

import msgspec

from tillkeeper.domain.backoff import NOTICE
from tillkeeper.domain.order.case_kinds import CaseKind
from tillkeeper.domain.order.case_reasons import CaseReason
from tillkeeper.domain.order.notices import Audience, Notice

RETRY_AFTER_MAX: Final = timedelta(hours=6)  # a receiver that asks for a longer pause is tried again by then
WHY_CHARS_MAX: Final = 300
NO_CHANNEL: Final = "no channel"
SHADOW: Final = "shadow mode"
PENDING: Final = "pending"
GONE: Final = "gone: the receiver answered 410"


class Sent(msgspec.Struct, frozen=True):
    """The channel took it."""


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """The channel did not take it.  It is retried, not before `wait` where the channel says so.

    `tried` is False where the channel was cooling down.
    """

    why: str
    wait: timedelta | None = None
    tried: bool = True


class Uncertain(msgspec.Struct, frozen=True, kw_only=True):
    """The channel may have taken it.  It is never sent again."""

    why: str


class Dropped(msgspec.Struct, frozen=True, kw_only=True):
    """It was not sent, on purpose."""

    why: str


class Dead(msgspec.Struct, frozen=True, kw_only=True):
    """The channel refused it for good."""

    why: str


SendOutcome: TypeAlias = Sent | Failed | Uncertain | Dropped | Dead


class ChannelState(StrEnum):
    """The outcomes of a channel in `outbox.channels`."""

    SENT = "sent"
    UNCERTAIN = "uncertain"
    DROPPED = "dropped"
    DEAD = "dead"
    FAILING = "failing"  # not final: it is tried again at `next_at`


FINAL: Final = frozenset(ChannelState) - {ChannelState.FAILING}


class ChannelEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One channel's entry in `outbox.channels`."""

    outcome: ChannelState
    at: datetime
    why: str | None = None
    since: datetime | None = None  # the first failure since the last success
    failures: int = 0
    next_at: datetime | None = None

    @property
    def is_final(self) -> bool:
        """Returns True where nothing more will be tried."""
        return self.outcome in FINAL


_FINAL_STATES: Final[Mapping[type, ChannelState]] = MappingProxyType(
    {
        Sent: ChannelState.SENT,
        Uncertain: ChannelState.UNCERTAIN,
        Dropped: ChannelState.DROPPED,
        Dead: ChannelState.DEAD,
    }
)


def entry_of(
    outcome: SendOutcome, before: ChannelEntry | None, *, give_up_after: timedelta, now: datetime
) -> ChannelEntry:
    """Returns the row's entry for an outcome: a failure is tried again on the schedule, until its time has run out."""
    if isinstance(outcome, Failed):
        return _failed(outcome, before, give_up_after, now)
    why = None if isinstance(outcome, Sent) else _short(outcome.why)
    return ChannelEntry(outcome=_FINAL_STATES[type(outcome)], at=now, why=why)


def _failed(outcome: Failed, before: ChannelEntry | None, give_up_after: timedelta, now: datetime) -> ChannelEntry:
    was_failing = before is not None and before.outcome is ChannelState.FAILING
    since = before.since if before is not None and was_failing and before.since is not None else now
    failures = (before.failures if before is not None and was_failing else 0) + outcome.tried
    if now - since >= give_up_after:
        why = f"given up after {failures} tries: {outcome.why}"
        return ChannelEntry(outcome=ChannelState.DEAD, at=now, why=_short(why), since=since, failures=failures)
    wait = NOTICE.pause(max(failures, 1) if outcome.tried else 1)
    if outcome.wait is not None:
        wait = max(wait, min(outcome.wait, RETRY_AFTER_MAX))
    return ChannelEntry(
        outcome=ChannelState.FAILING,
        at=now,
        why=_short(outcome.why),
        since=since,
        failures=failures,
        next_at=min(now + wait, max(since + give_up_after, now + NOTICE.pause(1))),
    )


# Of several channels the worst outcome gives the row's state.
_STATES: Final = (ChannelState.DEAD, ChannelState.UNCERTAIN, ChannelState.SENT, ChannelState.DROPPED)


class RowState(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a whole row, which is pending until every channel is done."""

    state: str
    due_at: datetime | None
    last_error: str | None


def state_of(entries: Mapping[str, ChannelEntry]) -> RowState:
    """Returns what the channels' entries make of their row."""
    last_error = _last_error(entries.values())
    waiting = [entry.next_at for entry in entries.values() if entry.next_at is not None and not entry.is_final]
    if waiting:
        return RowState(state=PENDING, due_at=min(waiting), last_error=last_error)
    said = {entry.outcome for entry in entries.values()}
    state = next((outcome for outcome in _STATES if outcome in said), ChannelState.DROPPED)
    return RowState(state=state, due_at=None, last_error=last_error)


def _last_error(entries: Iterable[ChannelEntry]) -> str | None:
    whys = [(entry.at, entry.why) for entry in entries if entry.why is not None]
    return max(whys)[1] if whys else None


def _short(why: str) -> str:
    text = "".join(char if char.isprintable() else " " for char in why)
    return text.encode("utf-8", "replace").decode()[:WHY_CHARS_MAX]


def undeliverable(
    entries: Mapping[str, ChannelEntry], *, key: str, audience: Audience, topic: str, now: datetime
) -> Iterator[CaseReason]:
    """Yields a case for each payer who cannot be told from `now` on, and one a day for a channel that takes nothing."""
    for channel, entry in entries.items():
        if entry.outcome is not ChannelState.DEAD or entry.at < now:
            continue
        subject = f"notice:{key}" if audience is Audience.PAYER else f"{channel} {now:%Y-%m-%d}"
        details: dict[str, object] = {"channel": channel, "topic": topic, "notice": key, "why": entry.why}
        yield CaseReason(kind=CaseKind.NOTICE_UNDELIVERABLE, subject=subject, details=details)


def gone_receivers(entries: Mapping[str, ChannelEntry], *, now: datetime) -> Iterator[Notice]:
    """Yields a notice to ops, once a day, for each receiver that says it is gone."""
    for channel, entry in entries.items():
        if entry.outcome is ChannelState.DROPPED and entry.why == GONE:
            yield Notice(
                key=f"webhook.gone/{channel}/{now:%Y-%m-%d}",
                audience=Audience.OPS,
                topic="webhook.gone",
                payload={"channel": channel, "level": 1, "text": entry.why},
            )
