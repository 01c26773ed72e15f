"""Reconciles an account: takes statements in, matches them with the orders, and applies what a gateway alone has.

    one transaction        take every file ─ match each ─ write what differs
    a batch in each        events of what the gateway alone has ─ the same apply, as webhooks' events
    one transaction        match once more what differs still
    a batch in each        a case for each difference that is left

Whoever dies in between loses nothing: the same files, given again, are known by their digests, and the rest is done.
One at a time reconciles an account.
"""

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from datetime import datetime
from functools import partial
from typing import Final, TypeVar
from uuid import UUID

import asyncpg
import msgspec
import structlog

from tillkeeper.domain.books.statement import StatementLine
from tillkeeper.domain.events import PaymentEvent
from tillkeeper.domain.guard import RULES, Rules
from tillkeeper.domain.policy import Policy
from tillkeeper.domain.statement_terms import BooksTerms
from tillkeeper.store.apply.batch import apply_found
from tillkeeper.store.books.comparing import Scope
from tillkeeper.store.books.differences import mark_told, open_their_cases, read_without_case
from tillkeeper.store.books.exclusive import alone_at
from tillkeeper.store.books.listing import count_differences, finish_statements
from tillkeeper.store.books.matching import MatchTally, Missing, match, missing_here
from tillkeeper.store.books.taking import StatementFile, TakenStatement, name_lines, take
from tillkeeper.store.guard.checking import AccountsPaused
from tillkeeper.store.guard.pausing import pause
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.workers.apply_all_or_each import apply_all_or_each
from tillkeeper.workers.pause import log_paused

log = structlog.get_logger()

EVENTS_AT_ONCE: Final = 200
FOREIGN_MIN: Final = 100  # of an order that was lost in a small shop's day, its events may wait
TELL_EVERY: Final = 1_000  # lines or objects

Result = TypeVar("Result")


class AccountPaused(Exception):
    """The guard has paused the account: its events are not applied before a person decides."""


class MostlyForeign(Exception):
    """Most of a statement is of orders that are not registered, and nothing says that they are ours.

    Its events would all wait for orders; another shop's, or another account's, would do so for ever.
    """

    def __init__(self, foreign: int, compared: int) -> None:
        super().__init__(f"{foreign} of {compared} payments and refunds are of orders that are not registered here")


class Reconciled(msgspec.Struct, kw_only=True):
    """What came of reconciling an account with some files."""

    taken: list[TakenStatement] = msgspec.field(default_factory=list)
    tallies: dict[int, MatchTally] = msgspec.field(default_factory=dict)  # by statement
    outcomes: Counter[str] = msgspec.field(default_factory=Counter)  # of the events applied
    failed: int = 0  # events that could not be applied
    settled: int = 0  # differences that agree by now
    left: int = 0  # that differ still, and that nobody accepted
    cases: Counter[str] = msgspec.field(default_factory=Counter)  # opened


class ReconcileProgress(msgspec.Struct, frozen=True, kw_only=True):
    """What is under way: the file, and how many lines or objects were done."""

    doing: str
    done: int


class Reconciler:
    """Reconciles one account."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        account: str,
        *,
        policy: Policy,
        run: UUID,
        by: str,
        now: Callable[[], datetime],
        guard: Rules = RULES,
        heard: Callable[[ReconcileProgress], object] = lambda _: None,
    ) -> None:
        self._pool = pool
        self._account = account
        self._policy = policy
        self._terms: BooksTerms = policy.books.of(account)
        self._run = run
        self._by = by
        self._now = now
        self._guard = guard
        self._heard = heard

    async def reconcile(self, files: Sequence[StatementFile], *, dry_run: bool = False) -> Reconciled:
        """Takes the files in and matches them.

        Raises what reading them raises, AnotherReconciles, MostlyForeign, AccountPaused, or what the database raises.
        """
        done = Reconciled()
        async with alone_at(self._pool, self._account):
            async with self._pool.acquire() as conn:
                await self._take_and_match(conn, files, done, keep=not dry_run)
            if dry_run:
                return done
            for form in sorted({each.form for each in done.taken}):
                await self._settle(form, done)
            done.left = await self._transact(lambda conn: count_differences(conn, self._account))
            await self._transact(
                lambda conn: finish_statements(conn, [each.id for each in done.taken], now=self._now())
            )
        return done

    async def _take_and_match(
        self, conn: Conn, files: Sequence[StatementFile], done: Reconciled, *, keep: bool
    ) -> None:
        """Takes all files in and matches them, in one transaction; a dry run's is rolled back."""
        transaction = conn.transaction()
        await transaction.start()
        try:
            for file in files:
                counted = msgspec.structs.replace(file, lines=self._counted(file))
                taken = await take(conn, counted, self._account, run=self._run, by=self._by, now=self._now())
                done.taken.append(taken)
            for taken in done.taken:
                if taken.superseded_by is None and taken.id not in done.tallies:
                    await self._match(conn, taken, done, keep=keep)
        except BaseException:
            await transaction.rollback()
            raise
        await (transaction.commit() if keep else transaction.rollback())

    async def _match(self, conn: Conn, taken: TakenStatement, done: Reconciled, *, keep: bool) -> None:
        scope = Scope(
            account=self._account, form=taken.form, statement_id=taken.id, begins=taken.begins, ends=taken.ends
        )
        taken.unnamed = await name_lines(conn, taken.id, self._account)
        heard = self._hearing(f"matching {taken.form}")
        tally = done.tallies[taken.id] = await match(conn, scope, self._terms, now=self._now(), heard=heard)
        done.settled += tally.settled
        if (
            keep
            and not self._terms.order_prefixes
            and tally.foreign >= FOREIGN_MIN
            and tally.foreign * 2 > tally.compared
        ):
            raise MostlyForeign(tally.foreign, tally.compared)

    def _counted(self, file: StatementFile) -> Iterator[StatementLine]:
        for done, line in enumerate(file.lines, start=1):
            if done % TELL_EVERY == 0:
                self._heard(ReconcileProgress(doing=f"reading {file.name}", done=done))
            yield line

    def _hearing(self, doing: str) -> Callable[[int], None]:
        def heard(done: int) -> None:
            if done % TELL_EVERY == 0:
                self._heard(ReconcileProgress(doing=doing, done=done))

        return heard

    # --- what is left ------------------------------------------------------------------------------------------------

    async def _settle(self, form: str, done: Reconciled) -> None:
        scope = Scope(account=self._account, form=form)
        await self._apply_missing(scope, done)
        tally = await self._transact(lambda conn: match(conn, scope, self._terms, now=self._now()))
        done.settled += tally.settled
        await self._open_cases(form, done)

    async def _apply_missing(self, scope: Scope, done: Reconciled) -> None:
        """Applies the events of what the gateway alone has, some at once."""
        batch: list[Missing] = []
        async with aclosing(self._missing(scope)) as found:
            async for missing in found:
                batch.append(missing)
                if sum(len(each.events) for each in batch) >= EVENTS_AT_ONCE:
                    await self._apply(scope, batch, done)
                    batch = []
        if batch:
            await self._apply(scope, batch, done)

    async def _missing(self, scope: Scope) -> AsyncGenerator[Missing]:
        async with self._pool.acquire() as conn, conn.transaction(readonly=True):
            async for missing in missing_here(conn, scope, self._terms):
                yield missing

    async def _apply(self, scope: Scope, batch: Sequence[Missing], done: Reconciled) -> None:
        async def apply(events: Sequence[PaymentEvent]) -> None:
            tally = await self._transact(
                lambda conn: apply_found(conn, events, policy=self._policy, guard=self._guard, now=self._now())
            )
            done.outcomes += tally.outcomes
            done.cases.update(tally.cases)

        try:
            failed = await apply_all_or_each(apply, [event for each in batch for event in each.events])
        except AccountsPaused as paused:
            await self._pause(paused)
            raise AccountPaused from None
        done.failed += len(failed)
        told = [(each.object, each.ref) for each in batch]
        await self._transact(lambda conn: mark_told(conn, scope.account, scope.form, told, now=self._now()))

    async def _pause(self, paused: AccountsPaused) -> None:
        findings, cases = paused.findings, self._policy.cases
        _, new = await self._transact(lambda conn: pause(conn, findings, policy=cases, now=self._now()))
        log_paused(new)

    async def _open_cases(self, form: str, done: Reconciled) -> None:
        after = ("", "")
        async with self._pool.acquire() as reading:
            while found := await read_without_case(reading, self._account, form, after):
                after = (found[-1].object, found[-1].ref)
                now, policy = self._now(), self._policy.cases
                opened = await self._transact(partial(open_their_cases, found=found, policy=policy, now=now))
                done.cases.update(opened)

    def _transact(self, work: Callable[[Conn], Awaitable[Result]]) -> Awaitable[Result]:
        return repeat_on_conflict(self._pool, work)
