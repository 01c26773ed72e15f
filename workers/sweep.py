"""The sweep: looks at orders whose time has come, asks their gateways, and hands them the time.

    take (one transaction) ─> ask the gateways ─> apply what they answered ─> settle (one transaction) ─> take again
                              └─ of an order whose gateway hangs: when it ends; others are taken meanwhile

Any number of sweepers may run, without a leader: claims skip what another holds, and a step's row is written once.
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
from tillkeeper.store.jobs.sweeping import accounts_key, due_now, set_aside, settle, take_due, take_one
from tillkeeper.store.postgres.lease import lease_over
from tillkeeper.store.postgres.sqlstates import DATABASE_ERRORS, is_contention, is_outage
from tillkeeper.store.postgres.transactions import repeat_when_raced
from tillkeeper.telemetry import SWEPT_ORDERS
from tillkeeper.workers.found import all_or_each
from tillkeeper.workers.job_pool import JobPool
from tillkeeper.workers.outage import Outage
from tillkeeper.workers.queries import Queries

log = structlog.get_logger()

ASIDE: Final = timedelta(hours=1)  # for an order that the sweep cannot advance: a fault of ours, which the log tells
NO_WAY_TO_ASK: Final = "cannot_ask"  # a reason for no answer: it stays so until somebody changes the account
BATCHES_IN_FLIGHT: Final = 4  # of orders that wait for answers; of the same accounts, under two


class Responses(msgspec.Struct, kw_only=True):
    """What the gateways said about one order."""

    events: list[PaymentEvent] = msgspec.field(default_factory=list)
    then: list[tuple[str, Sequence[Call]]] = msgspec.field(default_factory=list)  # once the events are committed
    found: int = 0
    no_answer: list[str] = msgspec.field(default_factory=list)
    answered: set[str] = msgspec.field(default_factory=set)  # accounts, of these two as well
    missed: set[str] = msgspec.field(default_factory=set)  # that did not know of something
    unaskable: set[str] = msgspec.field(default_factory=set)  # that have no way to be asked something
    unapplied: list[PaymentEvent] = msgspec.field(default_factory=list)

    def outcome(self, query: DueQuery) -> QueryOutcome:
        """As a step's result, in words for people."""
        if self.unapplied:
            kinds = tuple(dict.fromkeys(event.kind for event in self.unapplied))
            result = f"cannot be applied: {', '.join(kinds)}"
            return QueryOutcome(query=query, result=result, answered=False, unapplied=kinds)
        if self.no_answer:
            return QueryOutcome(
                query=query, result=f"no answer: {', '.join(sorted(set(self.no_answer)))}", answered=False
            )
        # Who answered something has no way to be asked the rest: there is no more to be had of them.
        if dumb := self.unaskable - self.answered:
            return QueryOutcome(query=query, result=CANNOT_ASK, answered=False, unaskable=frozenset(dumb))
        told = ", ".join(dict.fromkeys(event.kind for event in self.events))
        result = told or ("nothing new" if self.found else "not found")
        return QueryOutcome(query=query, result=result, answered=True)


class Sweep:
    """Orders that are due, for each set of accounts so many at a time."""

    def __init__(
        self,
        *,
        pool: asyncpg.Pool,
        api_client: Queries,
        outage: Outage,
        policy: Callable[[], Policy],
        now: Callable[[], datetime],
        settings: SweepSettings,
    ) -> None:
        self._pool = pool
        self._api_client = api_client
        self._outage = outage
        self._policy = policy
        self._now = now
        self._settings = settings
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
        """Hands some of what is due the time, until all of that is settled; returns how many orders that were."""
        due = await self._jobs.run_once()
        await self._finish_calls()
        return due

    async def keep_running(self, stop: asyncio.Event, *, idle_s: float) -> None:
        """Hands what is due the time until `stop` is set: an account that hangs holds back no other."""
        await self._jobs.keep_filled(stop, idle_s=idle_s)
        await self._finish_calls()

    async def _take_counted(self, room: int, busy: frozenset[str]) -> tuple[int, list[DueQuery]]:
        count, queries = await self.take(room, besides=busy)
        SWEPT_ORDERS.labels("looked_at").inc(count)
        return count, queries

    async def _follow_up(self, answered: Sequence[tuple[DueQuery, Responses]]) -> None:
        """Settles together what was answered by the same moment."""
        await self.apply([responses for _, responses in answered])
        await self.settle(answered)

    async def take(self, limit: int | None = None, *, besides: Collection[str] = ()) -> tuple[int, list[DueQuery]]:
        """How many orders were due, and the steps for which gateways must be asked now."""
        limit = limit or self._settings.orders_at_once
        return await self._outage.wait_out(lambda: self._take(limit, besides))

    async def _take(self, limit: int, besides: Collection[str]) -> tuple[int, list[DueQuery]]:
        """All that is due at once; if that fails for what one of them is, one by one, and that one is set aside."""
        due = partial(take_due, policy=self._policy(), limit=limit, besides=besides, lease=self._lease, now=self._now())
        try:
            return await repeat_when_raced(self._pool, due)
        except Exception as error:
            if is_outage(error):
                raise
            some = partial(due_now, limit=limit, besides=besides, now=self._now())
            ids = await repeat_when_raced(self._pool, some)
            queries = [query for order_id in ids for query in await self._take_one(order_id)]
            return len(ids), queries

    async def _take_one(self, order_id: int) -> list[DueQuery]:
        take = partial(take_one, order_id=order_id, policy=self._policy(), lease=self._lease, now=self._now())
        try:
            return await repeat_when_raced(self._pool, take)
        except Exception as error:
            if is_outage(error):
                raise
            if is_contention(error):  # somebody holds it: it stays due
                return []
            log.exception("order_set_aside", order_id=order_id)
            SWEPT_ORDERS.labels("set_aside").inc()
        await repeat_when_raced(self._pool, partial(set_aside, order_id=order_id, until=self._now() + ASIDE))
        return []

    async def ask(self, due: DueQuery) -> Responses:
        """All questions about one order.  Whatever is not known in time is no answer."""
        responses, order, now = Responses(), due.order, self._now()
        within = asyncio.get_running_loop().time() + self._settings.ask_within_s
        try:
            first = queries_for(order, abilities=self._abilities, now=now)
            await self._put_all(first, responses, within)
            then = queries_then(order, responses.events, missed=responses.missed, abilities=self._abilities, now=now)
            await self._put_all([each for each in then if each not in first], responses, within)
        except Exception:  # one order that we cannot ask about must not keep the others
            log.exception("query_failed_unexpectedly", order_id=order.id)
            responses.no_answer.append("fault")
        return responses

    async def _put_all(self, questions: Sequence[AccountQuery], responses: Responses, within: float) -> None:
        await asyncio.gather(*(self._put(account, query, responses, within) for account, query in questions))

    async def _put(self, account: str, query: Query, responses: Responses, within: float) -> None:
        try:
            async with asyncio.timeout_at(within):
                answer = await self._api_client.query(account, query)
        except QueryFailed as error:
            responses.events += error.events
            if error.reason == NO_WAY_TO_ASK:
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
        """Applies what was answered; what cannot be is noted there."""
        await self._outage.wait_out(lambda: self._apply(responses), contended_attempts=1)

    async def settle(self, answered: Sequence[tuple[DueQuery, Responses]]) -> None:
        """Writes down what came of asking, once the answers are applied, and then makes the calls they want made."""
        settled = [responses.outcome(query) for query, responses in answered]
        closed = await self._outage.wait_out(lambda: self._settle_together(settled), contended_attempts=1)
        self._count(settled, closed)
        for account, calls in [then for _, responses in answered if not responses.unapplied for then in responses.then]:
            task = start(self._make(account, calls), name=f"calls to {account}")  # it may hang, and nobody waits for it
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)

    async def _make(self, account: str, calls: Sequence[Call]) -> None:
        await self._api_client.make(account, calls)

    async def _finish_calls(self) -> None:
        if self._calls:
            await asyncio.wait(self._calls)

    async def _apply(self, responses: Sequence[Responses]) -> None:
        if events := [event for response in responses for event in response.events]:
            failed = await all_or_each(self._apply_together, events)
            for response in responses:
                response.unapplied = [event for event in response.events if event in failed]

    async def _apply_together(self, events: Sequence[PaymentEvent]) -> None:
        tally = await repeat_when_raced(
            self._pool, lambda conn: apply_found(conn, events, policy=self._policy(), now=self._now())
        )
        for outcome, count in tally.outcomes.items():
            SWEPT_ORDERS.labels(f"answer_{outcome}").inc(count)
        for kind in tally.cases:
            log.info("case_opened", kind=kind)

    async def _settle_together(self, settled: Sequence[QueryOutcome]) -> int:
        """All at once, or, where somebody holds one of the orders, each by itself: that one's lease runs out."""
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
        return await repeat_when_raced(
            self._pool, lambda conn: settle(conn, settled, policy=self._policy(), now=self._now())
        )

    def _count(self, settled: Sequence[QueryOutcome], closed: int) -> None:
        SWEPT_ORDERS.labels("asked").inc(len(settled))
        SWEPT_ORDERS.labels("unanswered").inc(sum(not outcome.answered for outcome in settled))
        SWEPT_ORDERS.labels("closed").inc(closed)
