"""Matches statements with the facts: what agrees is counted, and what differs written down.

The events of what the gateway alone has are for workers/reconcile.py to apply, as any others.
"""

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Final

import msgspec

from tillkeeper.domain.books.difference import CASE_KINDS_OF, StatementDifference, difference_of
from tillkeeper.domain.books.evidence import events_of
from tillkeeper.domain.books.matching import DIFFERENCES, LACKING_HERE, Comparison, MatchedObject, Verdict, verdict_of
from tillkeeper.domain.events import PaymentEvent
from tillkeeper.domain.statement_terms import BooksTerms
from tillkeeper.store.books.comparing import Compared, Scope, compare, read_cover
from tillkeeper.store.books.differences import Over, settle, write_differences
from tillkeeper.store.postgres.pool import Conn

WRITE_AT_ONCE: Final = 1_000

Heard = Callable[[int], object]  # is told how many objects were compared


class VerdictCount(msgspec.Struct, kw_only=True):
    """How many objects came to a verdict in a currency, and what their lines, or else their facts, add up to."""

    verdict: Verdict
    object: MatchedObject
    currency: str
    count: int = 0
    amount: int = 0


class MatchTally(msgspec.Struct, kw_only=True):
    """What came of matching."""

    counts: dict[tuple[Verdict, MatchedObject, str], VerdictCount] = msgspec.field(default_factory=dict)
    compared: int = 0
    settled: int = 0
    foreign: int = 0  # that the gateway alone has, and whose order is not registered
    changed: int = 0  # that differ in another way by now, which another case is about

    def add(self, verdict: Verdict, comparison: Comparison) -> None:
        """Counts one object."""
        known, lines = comparison.known, comparison.lines
        currency = lines[0].currency if lines else (known.currency if known else None) or ""
        key = (verdict, comparison.object, currency)
        counted = self.counts.get(key)
        if counted is None:
            counted = self.counts[key] = VerdictCount(verdict=verdict, object=comparison.object, currency=currency)
        counted.count += 1
        counted.amount += comparison.said if lines else comparison.amount
        self.compared += 1
        self.foreign += verdict in LACKING_HERE and not comparison.has_order

    def of(self, verdict: Verdict) -> int:
        """Returns how many objects came to it."""
        return sum(counted.count for counted in self.counts.values() if counted.verdict is verdict)


class _Pending(msgspec.Struct, kw_only=True):
    """What is to be written."""

    found: list[StatementDifference] = msgspec.field(default_factory=list)
    agreed: list[Over] = msgspec.field(default_factory=list)
    changed: list[Over] = msgspec.field(default_factory=list)

    def __len__(self) -> int:
        return len(self.found) + len(self.agreed)


async def match(
    conn: Conn, scope: Scope, terms: BooksTerms, *, now: datetime, heard: Heard = lambda _: None
) -> MatchTally:
    """Compares everything in the scope, in the caller's transaction, and writes what differs."""
    tally, pending = MatchTally(), _Pending()
    async for each in compare(conn, scope, terms, await read_cover(conn, scope.account, scope.form)):
        _judge(each, scope, tally, pending)
        if len(pending) >= WRITE_AT_ONCE:
            await _write(conn, scope, pending, now=now)
            pending = _Pending()
        heard(tally.compared)
    await _write(conn, scope, pending, now=now)
    return tally


def _judge(each: Compared, scope: Scope, tally: MatchTally, pending: _Pending) -> None:
    comparison, verdict = each.comparison, verdict_of(each.comparison)
    tally.add(verdict, comparison)
    over = (comparison.object, comparison.ref, each.differed) if each.differed else None
    if verdict in DIFFERENCES:
        pending.found.append(
            difference_of(
                comparison,
                verdict,
                account=scope.account,
                form=scope.form,
                order_id=each.order_id,
                statement_id=each.statement_id,
            )
        )
        if over and CASE_KINDS_OF[over[2]] is not CASE_KINDS_OF[verdict]:
            tally.changed += 1
            pending.changed.append(over)
    elif over:
        tally.settled += 1
        pending.agreed.append(over)


async def _write(conn: Conn, scope: Scope, pending: _Pending, *, now: datetime) -> None:
    if pending.found:
        await write_differences(conn, pending.found, now=now)
    await settle(conn, scope.account, scope.form, pending.agreed, pending.changed, now=now)


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """An object that the gateway alone has, with the events that tell it; without events a person must look."""

    object: MatchedObject
    ref: str
    events: list[PaymentEvent]


async def missing_here(conn: Conn, scope: Scope, terms: BooksTerms) -> AsyncIterator[Missing]:
    """Yields the open differences that an event may settle and whose events were not applied yet."""
    async for each in compare(conn, scope, terms, await read_cover(conn, scope.account, scope.form)):
        if each.is_told or each.as_of is None or verdict_of(each.comparison) not in LACKING_HERE:
            continue
        events = events_of(each.comparison, account=scope.account, as_of=each.as_of)
        yield Missing(object=each.comparison.object, ref=each.comparison.ref, events=events)
