"""Sends what the outbox holds: mail to payers, webhooks and messages to the merchant's systems, alarms to ops.

    claim (a lease) ── for each channel that is not done yet: send, mark ── settle: done, or due again later

Nothing is sent inside a transaction.  The merchant's systems and ops get each notice at least once: a sender that dies
between sending and marking sends again, under the same key.  A payer gets each mail at most once: it is marked as sent
before its DATA command, and a row found so is settled as uncertain.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, assert_never

import asyncpg
import msgspec
import structlog

from tillkeeper.domain.order.mail_timing import PresentOrder, SendLater, SendNow, may_tell_payer
from tillkeeper.domain.order.notice_outcomes import (
    NO_CHANNEL,
    PENDING,
    SHADOW,
    ChannelEntry,
    ChannelState,
    Dead,
    Dropped,
    Failed,
    RowState,
    SendOutcome,
    Uncertain,
    entry_of,
    gone_receivers,
    state_of,
    undeliverable,
)
from tillkeeper.domain.order.notices import Audience
from tillkeeper.domain.policy import CasePolicy
from tillkeeper.domain.topics import Topic
from tillkeeper.notices.addresses import is_mail_address
from tillkeeper.notices.channels import Channels
from tillkeeper.notices.cooldown import Channel
from tillkeeper.notices.envelope import as_bytes
from tillkeeper.notices.mail import BadNotice, Facts, language_for, read, render
from tillkeeper.notices.outgoing import Outgoing
from tillkeeper.notices.settings import NotifySettings
from tillkeeper.store.cases.writing import open_cases
from tillkeeper.store.outbox.sending import MAIL, Claimed, SettledNotice, claim, lock_order, mark, settle
from tillkeeper.store.outbox.writing import write_notices
from tillkeeper.store.postgres.lease import LeaseLost
from tillkeeper.store.postgres.sqlstates import DATABASE_ERRORS
from tillkeeper.telemetry import NOTICE_LAG_SECONDS, NOTICES
from tillkeeper.tracing import spans
from tillkeeper.workers.database_retry import DatabaseRetry
from tillkeeper.workers.job_pool import JobPool

log = structlog.get_logger()

ROWS_CLAIMED: Final = 20  # at once
ROWS_IN_FLIGHT: Final = 200  # while a receiver hangs, until its channel cools down
MAILS_IN_FLIGHT: Final = 20  # all go to one server; more would only wait under lease
SENDS_PER_CHANNEL: Final = 5  # the notices that wait at once for a receiver that hangs
# More than a notice takes unless a server hangs; then the number of the claim keeps two senders apart.  The rows of a
# killed sender wait this long.
LEASE: Final = timedelta(minutes=3)
ALL: Final = tuple(Audience)

_entries_in = msgspec.json.Decoder(dict[str, ChannelEntry]).decode
_payload_in = msgspec.json.Decoder(dict[str, Any]).decode


class NotAllowedNow(Exception):
    """The last check before DATA says not to send: ever, with that `outcome`, or before `until`."""

    def __init__(self, *, outcome: SendOutcome | None = None, until: datetime | None = None) -> None:
        self.outcome = outcome
        self.until = until


class NotifyLoop:
    """Sends due notices to some audiences, a limited number at a time.  Any number of loops may share the outbox."""

    def __init__(
        self,
        *,
        pool: asyncpg.Pool,
        channels: Channels,
        settings: NotifySettings,
        retry: DatabaseRetry,
        now: Callable[[], datetime],
        audiences: Collection[Audience] = ALL,
        cases: Callable[[], CasePolicy] = CasePolicy,
        shadow: bool = False,
    ) -> None:
        """`shadow` drops every notice: nobody is told anything."""
        self._shadow = shadow
        self._pool = pool
        self._channels = channels
        self._settings = settings
        self._mail_limits: Final = settings.mail_limits
        self._retry = retry
        self._now = now
        self._audiences = audiences
        self._cases = cases
        self._give_up_after: Final = {
            Audience.PAYER: timedelta(hours=settings.mail_hours),
            Audience.MERCHANT: timedelta(hours=settings.webhook_hours),
            Audience.OPS: timedelta(hours=settings.ops_hours),
        }
        self._sending: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(SENDS_PER_CHANNEL))
        self._jobs = JobPool[Claimed, None](
            self._take,
            self._handle,
            name="notify",
            limit=MAILS_IN_FLIGHT if set(audiences) == {Audience.PAYER} else ROWS_IN_FLIGHT,
        )

    async def run_once(self) -> int:
        """Sends some of the due notices, and waits for them; returns their number."""
        return await self._jobs.run_once()

    async def keep_running(self, stop: asyncio.Event, *, idle_s: float) -> None:
        """Sends due notices until `stop` is set; a receiver that hangs holds back no other."""
        await self._jobs.keep_filled(stop, idle_s=idle_s)

    async def _take(self, room: int, _full: frozenset[str]) -> tuple[int, list[Claimed]]:
        """Claims due notices; settles those that are told nobody, or have no channel."""
        claimed = await self._retry.until_available(lambda: self._claim(min(room, ROWS_CLAIMED)))
        self._measure_lag(claimed)
        dropped = [(row, why) for row in claimed if (why := self._why_not(row)) is not None]
        await self._settle([(row, {why: self._entry(row, Dropped(why=why), None)}) for row, why in dropped])
        without = [row for row, _ in dropped]
        return len(claimed), [row for row in claimed if row not in without]

    def _why_not(self, row: Claimed) -> str | None:
        """Returns why a notice is not sent at all, or None.

        An order that was registered in shadow mode stays with whoever handled it then, also once that mode is over.
        """
        if self._shadow or (row.is_shadow and row.audience is not Audience.OPS):
            return SHADOW
        return None if self._has_channel(row) else NO_CHANNEL

    async def _claim(self, limit: int) -> list[Claimed]:
        now = self._now()
        async with self._pool.acquire() as conn:
            return await claim(conn, audiences=self._audiences, limit=limit, leased_until=now + LEASE, now=now)

    def _has_channel(self, row: Claimed) -> bool:
        match row.audience:
            case Audience.PAYER:
                return self._channels.mail is not None and row.recipient is not None and row.recipient.email is not None
            case Audience.MERCHANT | Audience.OPS:
                return bool(self._channels_for(row))
        assert_never(row.audience)

    def _channels_for(self, row: Claimed) -> tuple[Channel, ...]:
        if row.audience is Audience.MERCHANT:
            return self._channels.merchant
        return self._channels.for_ops(_payload(row).get("level"))

    async def _handle(self, row: Claimed) -> None:
        told = {"tillkeeper.audience": str(row.audience), "tillkeeper.notice": row.topic}
        with spans.begin(f"notify {row.audience}", attributes=told, parent=row.trace):
            await self._send_and_settle(row)

    async def _send_and_settle(self, row: Claimed) -> None:
        entries = _entries_in(row.channels)
        try:
            if row.audience is Audience.PAYER:
                await self._settle([(row, entries)], put_off=await self._to_payer(row, entries))
            else:
                await self._to_channels(row, entries)
                await self._settle([(row, entries)])
        except LeaseLost:
            log.warning("notice_lease_expired", key=row.key, topic=row.topic)

    # --- payers: at most once -----------------------------------------------------------------------------------------

    async def _to_payer(self, row: Claimed, entries: dict[str, ChannelEntry]) -> datetime | None:
        """Sends a mail and adds what came of it to `entries`; returns until when it is postponed, if it is."""
        before = entries.get(MAIL)
        if before is not None and before.is_final:  # its sender died before settling it
            self._log(row, MAIL, before)
            return None
        try:
            outcome = await self._unless_unforeseen(row, MAIL, self._mail(row))
        except NotAllowedNow as held:
            if held.outcome is None:
                return held.until
            outcome = held.outcome
        entries[MAIL] = self._entry(row, outcome, before)
        self._log(row, MAIL, entries[MAIL])
        return None

    async def _mail(self, row: Claimed) -> SendOutcome:
        """Writes and sends the mail, up to the server's answer.  Raises NotAllowedNow, or LeaseLost."""
        channel, sender, recipient, order = self._channels.mail, self._settings.from_address, row.recipient, row.order
        assert channel is not None
        assert sender is not None
        assert recipient is not None
        assert recipient.email is not None
        assert order is not None
        if not is_mail_address(recipient.email):
            return Dead(why="the order's payer.email is no mail address")
        try:
            topic, facts = Topic(row.topic), msgspec.structs.replace(read(row.payload), under_way=order.under_way)
            mail = render(topic, facts, language_for(recipient.locale, self._settings), self._settings)
        except (BadNotice, ValueError) as error:
            return Dead(why=f"it cannot be written: {error}")
        self._check_may_tell(topic, facts, order)
        message = as_bytes(mail, key=row.key, to=recipient.email, settings=self._settings, now=self._now())
        try:
            return await channel.send(
                message, sender=sender, to=recipient.email, before_data=lambda: self._mark_mail(row, topic, facts)
            )
        except DATABASE_ERRORS as error:  # from the mark; those of the mail server are outcomes
            return Failed(why=f"the database was out of reach just before DATA: {type(error).__name__}")

    async def _mark_mail(self, row: Claimed, topic: Topic, facts: Facts) -> None:
        """Marks the mail as sent, unless it must not be sent any more."""
        entry = self._entry(row, Uncertain(why="handed to the mail server, whose answer is not known"), None)
        async with self._pool.acquire() as conn, conn.transaction():
            self._check_may_tell(topic, facts, await lock_order(conn, row, now=self._now()))
            if not await mark(conn, row, {MAIL: entry}):
                raise LeaseLost

    def _check_may_tell(self, topic: Topic, facts: Facts, order: PresentOrder) -> None:
        """Raises NotAllowedNow where the mail must not be sent now."""
        verdict = may_tell_payer(
            topic,
            order,
            said=facts.summary,
            warned=facts.under_way,
            expires_at=facts.expires_at,
            limits=self._mail_limits,
            now=self._now(),
        )
        match verdict:
            case SendNow():
                return
            case SendLater(until=until):
                raise NotAllowedNow(until=until)
            case Dropped():
                raise NotAllowedNow(outcome=verdict)
        assert_never(verdict)

    # --- the merchant's systems and ops: at least once ----------------------------------------------------------------

    async def _to_channels(self, row: Claimed, entries: dict[str, ChannelEntry]) -> None:
        """Sends to each channel that is due, and adds what came of it to `entries`."""
        now = self._now()
        channels = self._channels_for(row)
        known = {channel.name for channel in channels}
        for name, entry in entries.items():
            if name not in known and not entry.is_final:
                entries[name] = self._entry(row, Dropped(why="not configured any more"), None)
        due = [channel for channel in channels if channel.name not in entries or _is_due(entries[channel.name], now)]
        notice = Outgoing(
            key=row.key,
            topic=row.topic,
            payload=_payload(row),
            version=row.version,
            created_at=row.created_at,
            sent_at=now,
        )

        async def send(channel: Channel) -> None:
            outcome = await self._unless_unforeseen(row, channel.name, self._send(channel, notice))
            entry = entries[channel.name] = self._entry(row, outcome, entries.get(channel.name))
            if not (isinstance(outcome, Failed) and not outcome.tried):
                self._log(row, channel.name, entry)
            if len(due) > 1:  # should we die while a slow channel sends, this one must not send again
                await self._retry.until_available(
                    lambda: self._mark(row, {channel.name: entry}), contended_attempts=None
                )

        for failure in await asyncio.gather(*map(send, due), return_exceptions=True):
            if failure is not None:
                raise failure

    async def _send(self, channel: Channel, notice: Outgoing) -> SendOutcome:
        async with self._sending[channel.name]:
            return await channel.send(msgspec.structs.replace(notice, sent_at=self._now()))

    async def _mark(self, row: Claimed, entries: Mapping[str, ChannelEntry]) -> None:
        async with self._pool.acquire() as conn:
            if not await mark(conn, row, entries):
                raise LeaseLost

    # --- what became of it --------------------------------------------------------------------------------------------

    async def _unless_unforeseen(self, row: Claimed, channel: str, sending: Awaitable[SendOutcome]) -> SendOutcome:
        """Turns an unexpected error into a failure that is retried: a bug in one notice must not stop the others."""
        try:
            return await sending
        except (NotAllowedNow, LeaseLost):
            raise
        except Exception as error:
            log.exception("notice_failed_unexpectedly", key=row.key, topic=row.topic, channel=channel)
            return Failed(why=f"a fault of ours: {type(error).__name__}")

    def _entry(self, row: Claimed, outcome: SendOutcome, before: ChannelEntry | None) -> ChannelEntry:
        return entry_of(outcome, before, give_up_after=self._give_up_after[row.audience], now=self._now())

    async def _settle(
        self, rows: Sequence[tuple[Claimed, dict[str, ChannelEntry]]], *, put_off: datetime | None = None
    ) -> None:
        """Settles rows; who could not be reached becomes a case, in the same transaction."""
        if rows:
            now = self._now()
            settled = {row.key: _settled(row, entries, put_off, now) for row, entries in rows}
            await self._retry.until_available(lambda: self._write(rows, settled, now), contended_attempts=None)

    async def _write(
        self,
        rows: Sequence[tuple[Claimed, dict[str, ChannelEntry]]],
        settled: Mapping[str, SettledNotice],
        now: datetime,
    ) -> None:
        async with self._pool.acquire() as conn, conn.transaction():
            held = await settle(conn, list(settled.values()))
            ours = [(row, entries) for row, entries in rows if row.key in held]
            reasons = [
                (row.order_id, reason)
                for row, entries in ours
                for reason in undeliverable(entries, key=row.key, audience=row.audience, topic=row.topic, now=now)
            ]
            await open_cases(conn, reasons, policy=self._cases(), now=now)
            await write_notices(
                conn, [notice for _, entries in ours for notice in gone_receivers(entries, now=now)], now=now
            )
        for row, _ in rows:
            if row.key not in held:
                log.warning("notice_lease_expired", key=row.key, topic=row.topic)

    def _log(self, row: Claimed, channel: str, entry: ChannelEntry) -> None:
        NOTICES.labels(row.audience, channel, entry.outcome).inc()
        fields = {"key": row.key, "topic": row.topic, "channel": channel, "why": entry.why}
        if entry.outcome is ChannelState.DEAD:
            log.error("notice_dead", **fields)
        elif entry.outcome is ChannelState.FAILING:
            log.warning("notice_failing", **fields, failures=entry.failures, next_at=entry.next_at)
        else:
            log.info("notice_sent", **fields, outcome=entry.outcome)

    def _measure_lag(self, claimed: Sequence[Claimed]) -> None:
        now = self._now()
        for audience in self._audiences:
            due = [row.due_at for row in (*claimed, *self._jobs.jobs) if row.audience is audience]
            NOTICE_LAG_SECONDS.labels(audience).set((now - min(due)).total_seconds() if due else 0)


def _payload(row: Claimed) -> dict[str, Any]:
    try:
        return _payload_in(row.payload)
    except msgspec.MsgspecError:  # not readable; the notice is sent all the same
        return {}


def _is_due(entry: ChannelEntry, now: datetime) -> bool:
    return not entry.is_final and (entry.next_at is None or entry.next_at <= now)


def _settled(
    row: Claimed, entries: Mapping[str, ChannelEntry], put_off: datetime | None, now: datetime
) -> SettledNotice:
    state = state_of(entries) if put_off is None else RowState(state=PENDING, due_at=put_off, last_error=None)
    return SettledNotice(
        key=row.key,
        claim=row.claim,
        channels=entries,
        state=state.state,
        due_at=state.due_at,
        last_error=state.last_error,
        finished_at=now if state.due_at is None else None,
    )
