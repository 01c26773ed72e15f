"""Queries gateways where a delivery said only that something changed, and applies the answers.

    take (one transaction) ─> query ─> one transaction for each: apply what was answered, finish the row
                                  ─> then the calls that an answer asks for, such as an acknowledgement

A row is finished in the transaction that commits its events.  A worker that dies before that leaves the row due, and
another queries again; an answer that is applied twice changes nothing.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Final

import asyncpg
import msgspec
import structlog

from tillkeeper.api_client.client import QueryFailed
from tillkeeper.domain.events import PaymentEvent
from tillkeeper.domain.fetching import Finished, Found, GivenUp, Later, Step, next_step
from tillkeeper.domain.guard import RULES, Rules
from tillkeeper.domain.policy import Policy
from tillkeeper.gateways.fetching import query_of
from tillkeeper.gateways.messages import Answer
from tillkeeper.store.apply.batch import Tally, apply_found
from tillkeeper.store.guard.checking import AccountsPaused
from tillkeeper.store.postgres.lease import lease_over
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.postgres.sqlstates import is_contention, is_outage
from tillkeeper.store.queries.fetches import ClaimedFetch, claim_fetches, settle_fetch
from tillkeeper.telemetry import FETCH_LAG_SECONDS, FETCHES
from tillkeeper.tracing import spans
from tillkeeper.workers.apply_all_or_each import apply_all_or_each
from tillkeeper.workers.database_retry import DatabaseRetry, Stopped
from tillkeeper.workers.job_pool import JobPool
from tillkeeper.workers.pause import ACCOUNT_PAUSED, pause_for_answers
from tillkeeper.workers.watched_api_client import WatchedApiClient

log = structlog.get_logger()

FETCHES_IN_FLIGHT: Final = 80
FETCHES_PER_ACCOUNT: Final = 20  # four call an account at once; the others apply answers, or wait


class _Reply(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a query, or why there is none."""

    outcome: Found | None
    answer: Answer
    result: str
    reason: str | None = None


class FetchLoop:
    """Puts the due queries, a limited number for each account at a time.  Any number of processes may share them."""

    def __init__(
        self,
        *,
        pool: asyncpg.Pool,
        api_client: WatchedApiClient,
        retry: DatabaseRetry,
        policy: Callable[[], Policy],
        now: Callable[[], datetime],
        jitter: Callable[[float, float], float],
        ask_within_s: float,
        guard: Rules = RULES,
    ) -> None:
        self._pool = pool
        self._api_client = api_client
        self._retry = retry
        self._policy = policy
        self._now = now
        self._jitter = jitter
        self._ask_within_s = ask_within_s
        self._guard = guard
        self._lease = lease_over(ask_within_s)
        self._jobs = JobPool[ClaimedFetch, None](
            self._take,
            self._fetch,
            name="fetch",
            limit=FETCHES_IN_FLIGHT,
            per_key=FETCHES_PER_ACCOUNT,
            key_of=lambda taken: taken.account,
        )

    async def run_once(self) -> int:
        """Puts some of the due queries, and waits for them; returns their number."""
        return await self._jobs.run_once()

    async def keep_running(self, stop: asyncio.Event, *, idle_s: float) -> None:
        """Puts due queries until `stop` is set; an account that hangs holds back no other."""
        await self._jobs.keep_filled(stop, idle_s=idle_s)

    async def _take(self, room: int, busy: frozenset[str]) -> tuple[int, list[ClaimedFetch]]:
        now = self._now()
        taken = await self._retry.transact(
            self._pool, partial(claim_fetches, limit=room, lease=self._lease, now=now, besides=busy)
        )
        due = [fetch.due_at for fetch in (*taken, *self._jobs.jobs)]
        FETCH_LAG_SECONDS.set((now - min(due)).total_seconds() if due else 0)
        return len(taken), taken

    async def _fetch(self, taken: ClaimedFetch) -> None:
        told = {"tillkeeper.account": taken.account}
        with spans.begin(f"fetch {taken.fetch.about}", attributes=told):
            await self._fetch_and_write(taken)

    async def _fetch_and_write(self, taken: ClaimedFetch) -> None:
        reply = await self._ask(taken)
        now = self._now()
        step = next_step(taken.progress, reply.outcome or "no_answer", now=now, jitter=self._jitter)
        try:
            is_ours = await self._retry.transact(self._pool, lambda conn: self._write(conn, taken, reply, step, now))
        except AccountsPaused as paused:
            await pause_for_answers(self._pool, self._retry, paused, policy=self._policy(), now=now)
            reply = _no_answer(ACCOUNT_PAUSED, "the guard has its account paused")
            step = next_step(taken.progress, "no_answer", now=now, jitter=self._jitter)
            is_ours = await self._retry.transact(self._pool, lambda conn: self._write(conn, taken, reply, step, now))
        except Exception as error:
            if is_outage(error) or isinstance(error, Stopped):
                raise
            if is_contention(error):  # the lease expires, and it is queried again
                log.warning(
                    "fetch_lock_contended", account=taken.account, about=taken.fetch.about, error=type(error).__name__
                )
                return
            reply, step, is_ours = await self._write_apart(taken, reply, now)
        if not is_ours:
            log.warning("fetch_lease_expired", account=taken.account, about=taken.fetch.about)
        self._log(taken, reply, step)
        if reply.answer.then:
            await self._api_client.make(taken.account, reply.answer.then)

    async def _ask(self, taken: ClaimedFetch) -> _Reply:
        """Queries the gateway; returns the answer, or why there is none."""
        try:
            async with asyncio.timeout(self._ask_within_s):
                answer = await self._api_client.query(taken.account, query_of(taken.fetch))
        except QueryFailed as error:
            return _no_answer(error.reason, str(error), error.events)
        except TimeoutError:
            return _no_answer("busy", "busy: no answer in the time that a query has")
        except Exception as error:  # a bug in one query must not stop the others, nor repeat for ever
            log.exception("fetch_failed_unexpectedly", account=taken.account, about=taken.fetch.about)
            return _no_answer("fault", f"a fault of ours: {type(error).__name__}")
        told = ", ".join(dict.fromkeys(event.kind for event in answer.events))
        result = told or ("nothing new" if answer.found else "not found")
        return _Reply(outcome="found" if answer.found else "not_found", answer=answer, result=result)

    async def _write(self, conn: Conn, taken: ClaimedFetch, reply: _Reply, step: Step, now: datetime) -> bool:
        """Writes the answer's events and finishes the row, in one transaction."""
        if reply.answer.events:
            told = reply.answer.events
            _log_cases(await apply_found(conn, told, policy=self._policy(), guard=self._guard, now=now))
        return await settle_fetch(
            conn, taken, step, result=reply.result, reason=reply.reason, policy=self._policy().cases, now=now
        )

    async def _write_apart(self, taken: ClaimedFetch, reply: _Reply, now: datetime) -> tuple[_Reply, Step, bool]:
        """Applies the events one by one, for one of them cannot be; the query stays open for that one."""
        failed = await apply_all_or_each(self._apply, reply.answer.events)
        if failed:
            reply = msgspec.structs.replace(reply, outcome=None, result=f"{len(failed)} events could not be applied")
        step = next_step(taken.progress, reply.outcome or "no_answer", now=now, jitter=self._jitter)
        rest = msgspec.structs.replace(reply, answer=Answer(found=reply.answer.found))
        is_ours = await self._retry.transact(self._pool, lambda conn: self._write(conn, taken, rest, step, now))
        return reply, step, is_ours

    async def _apply(self, events: Sequence[PaymentEvent]) -> None:
        now = self._now()
        _log_cases(
            await self._retry.transact(
                self._pool, lambda conn: apply_found(conn, events, policy=self._policy(), guard=self._guard, now=now)
            )
        )

    def _log(self, taken: ClaimedFetch, reply: _Reply, step: Step) -> None:
        fields = {"account": taken.account, "about": taken.fetch.about, "result": reply.result}
        match step:
            case Finished(outcome="found"):
                FETCHES.labels(taken.account, "found").inc()
            case Finished():
                FETCHES.labels(taken.account, "not_found").inc()
                log.info("fetch_not_found", **fields, proven=taken.fetch.proven)
            case Later(at=at):
                FETCHES.labels(taken.account, "again").inc()
                log.info("fetch_put_off", **fields, again_at=at)
            case GivenUp():
                FETCHES.labels(taken.account, "given_up").inc()
                log.error("fetch_given_up", **fields, since=taken.progress.requested_at)


def _no_answer(reason: str, result: str, events: tuple[PaymentEvent, ...] = ()) -> _Reply:
    answer = Answer(found=False, events=events)  # what was answered before a further query failed
    return _Reply(outcome=None, answer=answer, result=f"no answer: {result}", reason=reason)


def _log_cases(tally: Tally) -> None:
    for kind in tally.cases:
        log.info("case_opened", kind=kind)
