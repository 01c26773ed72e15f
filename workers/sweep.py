"""The sweep: advances due orders along their ladders, and queries their gateways.

    take (one transaction) ─> query the gateways ─> apply their answers ─> settle (one transaction) ─> take again
                              └─ where a gateway hangs, others are taken meanwhile

Any number of sweepers may run, without a leader: claims skip what another has locked, and a step's row is written once.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import asyncpg
import msgspec
import structlog

from tillkeeper.api_client.client import QueryFailed
from tillkeeper.domain.events import PaymentEvent
from tillkeeper.domain.guard import RULES, Rules
from tillkeeper.domain.order.answers import QueryOutcome
from tillkeeper.domain.order.changes import DueQuery
from tillkeeper.domain.order.progress import CANNOT_ASK
from tillkeeper.domain.order.queries import AccountQuery, queries_for, queries_then
from tillkeeper.domain.policy import Policy
from tillkeeper.domain.query import Query
from tillkeeper.gateways.base import Gateway
from tillkeeper.gateways.messages import Call
from tillkeeper.loops import start
from tillkeeper.settings import SweepSettings
from tillkeeper.store.apply.batch import apply_found
from tillkeeper.store.due_orders import accounts_key
from tillkeeper.store.guard.checking import AccountsPaused
from tillkeeper.store.jobs.sweeping import due_now, postpone, settle, take_due, take_one
from tillkeeper.store.postgres.lease import lease_over
from tillkeeper.store.postgres.sqlstates import DATABASE_ERRORS, is_contention, is_outage
from tillkeeper.store.postgres.transactions import repeat_on_conflict
from tillkeeper.telemetry import SWEPT_ORDERS
from tillkeeper.tracing import spans
from tillkeeper.workers.apply_all_or_each import apply_all_or_each
from tillkeeper.workers.database_retry import DatabaseRetry
from tillkeeper.workers.job_pool import JobPool
from tillkeeper.workers.pause import ACCOUNT_PAUSED, pause_for_answers
from tillkeeper.workers.watched_api_client import WatchedApiClient

log = structlog.get_logger()

POSTPONED_FOR: Final = timedelta(hours=1)  # for an order that the sweep cannot advance for a bug, which is logged
CANNOT_QUERY: Final = "cannot_ask"  # the reason for no answer, until somebody changes the account's settings
BATCHES_IN_FLIGHT: Final = 4  # of orders that wait for answers; fewer than two of the same accounts


class Responses(msgspec.Struct, kw_only=True):
    """The gateways' answers about one order."""

    events: list[PaymentEvent] = msgspec.field(default_factory=list)
    then: list[tuple[str, Sequence[Call]]] = msgspec.field(default_factory=list)  # once the events are committed
    found: int = 0
    no_answer: list[str] = msgspec.field(default_factory=list)
    answered: set[str] = msgspec.field(default_factory=set)  # by account, likewise
    missed: set[str] = msgspec.field(default_factory=set)  # accounts that did not know of something
    unaskable: set[str] = msgspec.field(default_factory=set)  # accounts that cannot be queried about something
    unapplied: list[PaymentEvent] = msgspec.field(default_factory=list)
    trace: str = ""  # the traceparent of the step

    def outcome(self, query: DueQuery) -> QueryOutcome:
        """Returns the outcome as a step's result, in words for people."""
        if self.unapplied:
            kinds = tuple(dict.fromkeys(event.kind for event in self.unapplied))
            result = f"cannot be applied: {', '.join(kinds)}"
            return QueryOutcome(query=query, result=result, answered=False, unapplied=kinds)
        if self.no_answer:
            return QueryOutcome(
                query=query, result=f"no answer: {', '.join(sorted(set(self.no_answer)))}", answered=False
            )
        # An account that answered something and cannot be queried for the rest has no more to say.
        if dumb := self.unaskable - self.answered:
            return QueryOutcome(query=query, result=CANNOT_ASK, answered=False, unaskable=frozenset(dumb))
        told = ", ".join(dict.fromkeys(event.kind for event in self.events))
        result = told or ("nothing new" if self.found else "not found")
        return QueryOutcome(query=query, result=result, answered=True)


class Sweep:
    """Handles due orders, a limited number for each set of accounts at a time."""

    def __init__(
        self,
        *,
        pool: asyncpg.Pool,
        api_client: WatchedApiClient,
        retry: DatabaseRetry,
        policy: Callable[[], Policy],
        now: Callable[[], datetime],
        settings: SweepSettings,
        guard: Rules = RULES,
    ) -> None:
        self._pool = pool
        self._api_client = api_client
        self._retry = retry
        self._policy = policy
        self._now = now
        self._settings = settings
        self._guard = guard
        gateways: Mapping[str, Gateway] = getattr(api_client, "gateways", {})
        self._abilities = {account: gateway.abilities for account, gateway in gateways.items()}
        self._lease = lease_over(settings.ask_within_s)
        self._calls: set[asyncio.Task[None]] = set()
        self._jobs = JobPool[DueQuery, Responses](
            self._take_counted,
            self.ask,
            name="sweep",
            limit=BATCHES_IN_FLIGHT * settings.orders_at_once,
            per_key=settings.orders_at_once,
            key_of=lambda due: accounts_key(due.order.order.accounts),
            settle=self._follow_up,
        )

    async def run_once(self) -> int:
        """Handles some of the due orders until they are settled; returns their number."""
        due = await self._jobs.run_once()
        await self._finish_calls()
        return due

    async def keep_running(self, stop: asyncio.Event, *, idle_s: float) -> None:
        """Handles due orders until `stop` is set; an account that hangs holds back no other."""
        await self._jobs.keep_filled(stop, idle_s=idle_s)
        await self._finish_calls()

    async def _take_counted(self, room: int, busy: frozenset[str]) -> tuple[int, list[DueQuery]]:
        count, queries = await self.take(room, besides=busy)
        SWEPT_ORDERS.labels("looked_at").inc(count)
        return count, queries

    async def _follow_up(self, answered: Sequence[tuple[DueQuery, Responses]]) -> None:
        """Settles together the orders whose answers have come."""
        with spans.batch("settle answers", members=(responses.trace for _, responses in answered)):
            await self.apply([responses for _, responses in answered])
            await self.settle(answered)

    async def take(self, limit: int | None = None, *, besides: Collection[str] = ()) -> tuple[int, list[DueQuery]]:
        """Takes due orders; returns their number, and the steps for which gateways must be queried now."""
        limit = limit or self._settings.orders_at_once
        return await self._retry.until_available(lambda: self._take(limit, besides))

    async def _take(self, limit: int, besides: Collection[str]) -> tuple[int, list[DueQuery]]:
        """Takes due orders at once, or one by one if that fails because of one of them, which is then postponed."""
        due = partial(take_due, policy=self._policy(), limit=limit, besides=besides, lease=self._lease, now=self._now())
        try:
            return await repeat_on_conflict(self._pool, due)
        except Exception as error:
            if is_outage(error):
                raise
            some = partial(due_now, limit=limit, besides=besides, now=self._now())
            ids = await repeat_on_conflict(self._pool, some)
            queries = [query for order_id in ids for query in await self._take_one(order_id)]
            return len(ids), queries

    async def _take_one(self, order_id: int) -> list[DueQuery]:
        take = partial(take_one, order_id=order_id, policy=self._policy(), lease=self._lease, now=self._now())
        try:
            return await repeat_on_conflict(self._pool, take)
        except Exception as error:
            if is_outage(error):
                raise
            if is_contention(error):  # another has locked it: it stays due
                return []
            log.exception("order_postponed", order_id=order_id)
            SWEPT_ORDERS.labels("postponed").inc()
        await repeat_on_conflict(self._pool, partial(postpone, order_id=order_id, until=self._now() + POSTPONED_FOR))
        return []

    async def ask(self, due: DueQuery) -> Responses:
        """Puts all queries about one order.  A query without a timely response has no answer."""
        with spans.begin(f"step {due.step.action}", attributes={"tillkeeper.order_id": due.order.id}) as span:
            responses = Responses(trace=span.traceparent)
            try:
                await self._put_first_and_then(due, responses)
            except Exception as error:  # a bug with one order must not stop the others
                log.exception("query_failed_unexpectedly", order_id=due.order.id)
                span.failed(type(error).__name__)
                responses.no_answer.append("fault")
        return responses

    async def _put_first_and_then(self, due: DueQuery, responses: Responses) -> None:
        order, now = due.order, self._now()
        within = asyncio.get_running_loop().time() + self._settings.ask_within_s
        first = queries_for(order, abilities=self._abilities, now=now)
        await self._put_all(first, responses, within)
        then = queries_then(order, responses.events, missed=responses.missed, abilities=self._abilities, now=now)
        await self._put_all([each for each in then if each not in first], responses, within)

    async def _put_all(self, queries: Sequence[AccountQuery], responses: Responses, within: float) -> None:
        await asyncio.gather(*(self._put(account, query, responses, within) for account, query in queries))

    async def _put(self, account: str, query: Query, responses: Responses, within: float) -> None:
        try:
            async with asyncio.timeout_at(within):
                answer = await self._api_client.query(account, query)
        except QueryFailed as error:
            responses.events += error.events
            if error.reason == CANNOT_QUERY:
                responses.unaskable.add(account)
            else:
                responses.no_answer.append(error.reason)
        except TimeoutError:
            responses.no_answer.append("busy")
        else:
            responses.events += answer.events
            responses.then += [(account, answer.then)] if answer.then else []
            responses.answered.add(account)
            responses.found += answer.found
            responses.missed |= set() if answer.found else {account}

    async def apply(self, responses: Sequence[Responses]) -> None:
        """Applies the answers, and notes in each those that could not be applied."""
        await self._retry.until_available(lambda: self._apply(responses), contended_attempts=1)

    async def settle(self, answered: Sequence[tuple[DueQuery, Responses]]) -> None:
        """Writes the results of the queries, once the answers are applied, and then makes the calls they ask for."""
        settled = [responses.outcome(query) for query, responses in answered]
        closed = await self._retry.until_available(lambda: self._settle_together(settled), contended_attempts=1)
        self._count(settled, closed)
        for account, calls in [then for _, responses in answered if not responses.unapplied for then in responses.then]:
            task = start(self._make(account, calls), name=f"calls to {account}")  # it may hang; nothing waits for it
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)

    async def _make(self, account: str, calls: Sequence[Call]) -> None:
        await self._api_client.make(account, calls)

    async def _finish_calls(self) -> None:
        if self._calls:
            await asyncio.wait(self._calls)

    async def _apply(self, responses: Sequence[Responses]) -> None:
        while events := [event for response in responses for event in response.events]:
            try:
                failed = await apply_all_or_each(self._apply_together, events)
            except AccountsPaused as paused:
                await pause_for_answers(self._pool, self._retry, paused, policy=self._policy(), now=self._now())
                _leave_out(responses, paused)
                continue
            for response in responses:
                response.unapplied = [event for event in response.events if event in failed]
            return

    async def _apply_together(self, events: Sequence[PaymentEvent]) -> None:
        tally = await repeat_on_conflict(
            self._pool,
            lambda conn: apply_found(conn, events, policy=self._policy(), guard=self._guard, now=self._now()),
        )
        for outcome, count in tally.outcomes.items():
            SWEPT_ORDERS.labels(f"answer_{outcome}").inc(count)
        for kind in tally.cases:
            log.info("case_opened", kind=kind)

    async def _settle_together(self, settled: Sequence[QueryOutcome]) -> int:
        """Settles all at once, or each by itself where one is locked by another; that one's lease expires."""
        try:
            return await self._settle(settled)
        except DATABASE_ERRORS as error:
            if not is_contention(error):
                raise
            if len(settled) == 1:
                log.warning("order_locked", order_id=settled[0].query.order.id)
                return 0
        return sum([await self._settle_together([outcome]) for outcome in settled])

    async def _settle(self, settled: Sequence[QueryOutcome]) -> int:
        return await repeat_on_conflict(
            self._pool, lambda conn: settle(conn, settled, policy=self._policy(), now=self._now())
        )

    def _count(self, settled: Sequence[QueryOutcome], closed: int) -> None:
        SWEPT_ORDERS.labels("asked").inc(len(settled))
        SWEPT_ORDERS.labels("unanswered").inc(sum(not outcome.answered for outcome in settled))
        SWEPT_ORDERS.labels("closed").inc(closed)


def _leave_out(responses: Sequence[Responses], paused: AccountsPaused) -> None:
    """Takes the events of paused accounts out of the answers, which then are none."""
    for response in responses:
        kept = [event for event in response.events if event.account not in paused.findings]
        if len(kept) < len(response.events):
            response.events = kept
            response.no_answer.append(ACCOUNT_PAUSED)
