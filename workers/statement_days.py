"""Fetches the statement of each day from gateways that give it out, and reconciles it as `tillkeeper reconcile` does.

    a day is complete ─> its row ─> claim ─> ask, fetch, check ─> take in and match ─> the row names the statement
                                      └───── no answer, not ready, refused: again later; a day late: a case

The policy says of which accounts (`[books] fetch`).  Any number of sweepers may: a row is leased, one at a time
reconciles an account, and a file that was taken in already changes nothing.
"""

import hashlib
from collections.abc import Callable, Mapping
from datetime import date, datetime
from functools import partial
from io import BytesIO
from typing import Final
from uuid import uuid4

import asyncpg
import msgspec
import structlog

from tillkeeper.accounts import KnownAccounts
from tillkeeper.api_client.account_client import QueryFailed
from tillkeeper.api_client.client import ApiClient
from tillkeeper.domain.backoff import Jitter
from tillkeeper.domain.books.calendar import StatementCalendar, after_failure, days_to_ask_for
from tillkeeper.domain.books.statement import Statement, StatementRefused
from tillkeeper.domain.guard import RULES, Rules
from tillkeeper.domain.policy import Policy
from tillkeeper.gateways.errors import CannotQuery
from tillkeeper.gateways.mapped_statement import StatementMapping
from tillkeeper.gateways.statement_offer import EmptyDay, NotReady
from tillkeeper.gateways.statement_reading import read_statement
from tillkeeper.store.books.exclusive import AnotherReconciles
from tillkeeper.store.books.taking import StatementFile
from tillkeeper.store.jobs.statement_days import ClaimedDay, add_days, claim_day, finish_day, last_days, put_off_day
from tillkeeper.store.postgres.lease import LeaseLost
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.workers.database_retry import DatabaseRetry, Stopped
from tillkeeper.workers.reconcile import AccountPaused, MostlyForeign, Reconciled, Reconciler

log = structlog.get_logger()

OTHER_DAY: Final = "it is not of {} alone, which was asked for"
BY: Final = "tillkeeper"  # who takes such statements in


class StatementMissing(Exception):
    """There is no statement of the day yet; the text says why, in words for people."""


class StatementDays:
    """Fetches one day at a time."""

    def __init__(
        self,
        *,
        pool: asyncpg.Pool,
        retry: DatabaseRetry,
        policy: Callable[[], Policy],
        now: Callable[[], datetime],
        api_client: ApiClient,
        accounts: KnownAccounts,
        jitter: Jitter,
        guard: Rules = RULES,
        mappings: Mapping[str, StatementMapping] | None = None,
    ) -> None:
        self._pool = pool
        self._retry = retry
        self._policy = policy
        self._now = now
        self._api_client = api_client
        self._accounts = accounts
        self._jitter = jitter
        self._guard = guard
        self._mappings = mappings or {}

    async def run_once(self) -> int:
        """Fetches the day that is due first; returns how many there were, one or none."""
        calendars = self._calendars()
        if not calendars:
            return 0
        try:
            await self._retry.transact(self._pool, partial(self._add_days, calendars=calendars))
            claim = partial(claim_day, accounts=sorted(calendars), now=self._now())
            claimed = await self._retry.transact(self._pool, claim)
            if claimed is None:
                return 0
            await self._handle(claimed, calendars[claimed.account])
        except Stopped:
            return 0
        except LeaseLost:  # another has the day, which is the same to it
            pass
        return 1

    def _calendars(self) -> dict[str, StatementCalendar]:
        """Returns those of the accounts whose statements the policy has fetched, and can be."""
        books = self._policy().books
        return {
            name: gateway.statement_calendar
            for name, gateway in self._accounts.gateways.items()
            if gateway.statement_calendar is not None
            and books.of(name).fetch
            and self._api_client.can_fetch_statements(name)
        }

    async def _add_days(self, conn: Conn, calendars: Mapping[str, StatementCalendar]) -> None:
        now, known = self._now(), await last_days(conn, sorted(calendars))
        days = {name: days_to_ask_for(calendar, known.get(name), now) for name, calendar in calendars.items()}
        if any(days.values()):
            await add_days(conn, days, now=now)

    async def _handle(self, claimed: ClaimedDay, calendar: StatementCalendar) -> None:
        try:
            file, is_empty = await self._file(claimed.account, claimed.day, calendar)
            done = await self._reconcile(claimed.account, file)
        except StatementMissing as missing:
            await self._put_off(claimed, calendar, str(missing))
            return
        [taken] = done.taken
        if (taken.begins, taken.ends) != calendar.span(claimed.day):  # a file that is known is not read again
            await self._put_off(claimed, calendar, OTHER_DAY.format(claimed.day))
            return
        finish = partial(finish_day, claimed=claimed, statement_id=taken.id, is_empty=is_empty, now=self._now())
        await self._retry.transact(self._pool, finish)
        log.info(
            "statement_fetched",
            account=claimed.account,
            day=claimed.day.isoformat(),
            lines=taken.lines,
            applied=done.outcomes.total(),
            left=done.left,
        )

    async def _put_off(self, claimed: ClaimedDay, calendar: StatementCalendar, reason: str) -> None:
        now, attempts = self._now(), claimed.attempts + 1
        then = after_failure(calendar, claimed.day, attempts, now=now, jitter=self._jitter)
        put_off = partial(put_off_day, claimed=claimed, then=then, reason=reason, policy=self._policy().cases, now=now)
        await self._retry.transact(self._pool, put_off)
        fields = {"account": claimed.account, "day": claimed.day.isoformat(), "reason": reason}
        again_at = None if then.due_at is None else then.due_at.isoformat()
        log.warning("statement_not_fetched", **fields, late=then.is_late, again_at=again_at)

    # --- one day ------------------------------------------------------------------------------------------------------

    async def _file(self, account: str, day: date, calendar: StatementCalendar) -> tuple[StatementFile, bool]:
        """Returns the day's statement, to be read, and whether nothing moved.  Raises StatementMissing."""
        try:
            found = await self._api_client.statement(account, day)
            if isinstance(found, NotReady):
                raise StatementMissing("the gateway has not made it yet")
            if isinstance(found, EmptyDay):
                return _empty(account, day, calendar, found), True
            return self._opened(account, day, calendar, found), False
        except (QueryFailed, CannotQuery, StatementRefused) as error:
            raise StatementMissing(str(error)) from None

    def _opened(self, account: str, day: date, calendar: StatementCalendar, content: bytes) -> StatementFile:
        gateway, settings = self._accounts.gateways[account], self._accounts.settings_of(account)
        mapping = self._mappings.get(account)
        reading = read_statement(gateway.statement_forms, account, settings, BytesIO(content), mapping)

        def statement() -> Statement:
            said = reading.statement()
            if (said.begins, said.ends) != calendar.span(day):
                raise StatementRefused(OTHER_DAY.format(day))
            return said

        return StatementFile(
            name=f"{account} {day}",
            digest=hashlib.sha256(content).digest(),
            form=reading.form.name,
            lines=reading.lines(),
            statement=statement,
        )

    async def _reconcile(self, account: str, file: StatementFile) -> Reconciled:
        reconciler = Reconciler(
            self._pool, account, policy=self._policy(), run=uuid4(), by=BY, now=self._now, guard=self._guard
        )
        try:
            return await reconciler.reconcile([file])
        except StatementRefused as refused:
            raise StatementMissing(f"it cannot be taken in: {refused}") from None
        except MostlyForeign as foreign:
            raise StatementMissing(f"{foreign}: say with order_prefixes whose lines are yours") from None
        except AccountPaused:
            raise StatementMissing("the guard has paused the account; it goes on once somebody has decided") from None
        except AnotherReconciles:
            raise StatementMissing("somebody else reconciles the account at present") from None


def _empty(account: str, day: date, calendar: StatementCalendar, empty: EmptyDay) -> StatementFile:
    """Returns a statement without lines, which says that what it covers did not happen on the day."""
    begins, ends = calendar.span(day)
    said = Statement(
        account=account,
        form=empty.form,
        begins=begins,
        ends=ends,
        zone=calendar.zone,
        covers=empty.covers,
        lines=0,
    )
    digest = hashlib.sha256(b"nothing moved " + msgspec.json.encode([account, empty.form, day])).digest()
    return StatementFile(
        name=f"{account} {day}, empty", digest=digest, form=empty.form, lines=iter(()), statement=lambda: said
    )
