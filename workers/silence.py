"""Watches how each account talks and answers, and remembers for all sweepers what this one saw of the gateways."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol

import asyncpg
import structlog

from tillkeeper.api_client.client import QueryFailed
from tillkeeper.domain.events import PaymentEvent
from tillkeeper.domain.policy import Policy
from tillkeeper.domain.silence import Answers, together
from tillkeeper.gateways.base import Gateway
from tillkeeper.gateways.messages import Answer, Call, Query
from tillkeeper.store.accounts.health import BEGINS, Abilities, Turn, note_answers, open_silences, watch
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.telemetry import ASKED_SOONER, SILENCE
from tillkeeper.workers.outage import Outage, Stopped

log = structlog.get_logger()

NOT_THE_GATEWAYS: Final = frozenset({"cannot_ask"})  # reasons that say nothing of how it answers


class AsksAndLists(Protocol):
    """What is watched of tillkeeper/api_client."""

    @property
    def gateways(self) -> Mapping[str, Gateway]:
        """Of the accounts that can be asked."""
        ...

    def can_query(self, account: str) -> bool:
        """Whether the account's gateway can be asked at all."""
        ...

    def can_list_events(self, account: str) -> bool:
        """Whether it has a list of what happened."""
        ...

    async def query(self, account: str, query: Query) -> Answer:
        """What the gateway knows.  Raises QueryFailed."""
        ...

    async def make(self, account: str, calls: Sequence[Call]) -> None:
        """Makes calls whose answers go unread."""
        ...

    def events(self, account: str, *, since: datetime, until: datetime) -> AsyncIterator[tuple[PaymentEvent, ...]]:
        """The gateway's own list.  Raises QueryFailed, CannotQuery."""
        ...


class Watched:
    """An api_client that remembers how each account's gateway answered."""

    def __init__(self, api_client: AsksAndLists, *, now: Callable[[], datetime]) -> None:
        self._api_client = api_client
        self._now = now
        self._seen: dict[str, Answers] = {}

    @property
    def gateways(self) -> Mapping[str, Gateway]:
        """Of the accounts that the api_client asks."""
        return self._api_client.gateways

    def can_query(self, account: str) -> bool:
        """As the api_client says."""
        return self._api_client.can_query(account)

    def can_list_events(self, account: str) -> bool:
        """As the api_client says."""
        return self._api_client.can_list_events(account)

    async def query(self, account: str, query: Query) -> Answer:
        """As the api_client answers."""
        try:
            answer = await self._api_client.query(account, query)
        except QueryFailed as error:
            self._failed(account, error)
            raise
        self._answered(account)
        return answer

    async def make(self, account: str, calls: Sequence[Call]) -> None:
        """As the api_client does; these tell nothing of how it answers."""
        await self._api_client.make(account, calls)

    async def events(
        self, account: str, *, since: datetime, until: datetime
    ) -> AsyncIterator[tuple[PaymentEvent, ...]]:
        """As the api_client lists."""
        try:
            async for page in self._api_client.events(account, since=since, until=until):
                self._answered(account)
                yield page
        except QueryFailed as error:
            self._failed(account, error)
            raise

    def take_seen(self) -> dict[str, Answers]:
        """What was seen since the last time."""
        seen, self._seen = self._seen, {}
        return seen

    def give_back(self, seen: dict[str, Answers]) -> None:
        """What could not be told stays to be told."""
        for account, answers in seen.items():
            self._seen[account] = together(answers, self._seen.get(account, Answers()))

    def _answered(self, account: str) -> None:
        self._seen[account] = self._seen.get(account, Answers()).after_answer(self._now())

    def _failed(self, account: str, error: QueryFailed) -> None:
        if error.reason not in NOT_THE_GATEWAYS:
            self._seen[account] = self._seen.get(account, Answers()).after_failure(self._now(), error.reason)


class Silence:
    """Looks at each account once in a while, together with the other sweepers."""

    def __init__(
        self,
        *,
        pool: asyncpg.Pool,
        watched: Watched,
        accounts: Collection[str],
        outage: Outage,
        policy: Callable[[], Policy],
        now: Callable[[], datetime],
        calls_per_s: float,
    ) -> None:
        self._pool = pool
        self._watched = watched
        self._accounts = accounts
        self._outage = outage
        self._policy = policy
        self._now = now
        self._calls_per_s = calls_per_s

    async def run_once(self) -> int:
        """Looks at those that nobody looked at just now; returns how much came of it."""
        seen = self._watched.take_seen()
        try:
            turns, quiet = await self._outage.transact(self._pool, lambda conn: self._look(conn, seen))
        except BaseException as error:
            self._watched.give_back(seen)
            if isinstance(error, Stopped):
                return 0
            raise
        for turn in turns:
            _say(turn)
        for account in sorted(self._accounts):
            for kind in BEGINS:
                SILENCE.labels(account, kind).set((account, kind) in quiet)
        return len(turns)

    async def _look(self, conn: Conn, seen: dict[str, Answers]) -> tuple[list[Turn], set[tuple[str, str]]]:
        now, names = self._now(), sorted(self._accounts)  # they come and go
        can = {it: Abilities(ask=self._watched.can_query(it), list=self._watched.can_list_events(it)) for it in names}
        await note_answers(conn, {it: seen[it] for it in seen if it in can}, now=now)
        turns = await watch(conn, can, policy=self._policy().silence, calls_per_s=self._calls_per_s, now=now)
        return turns, await open_silences(conn, names)


def _say(turn: Turn) -> None:
    match turn.what:
        case "silent":
            log.warning("account_silent", account=turn.account, since=turn.since)
        case "talking":
            log.info("account_talking", account=turn.account, since=turn.since)
        case "unanswering":
            log.warning("account_unanswering", account=turn.account, since=turn.since)
        case "answering":
            log.info("account_answering", account=turn.account, since=turn.since)
        case "outage":
            log.warning("monitoring_gap", account=turn.account, since=turn.since)
        case "asked_sooner":
            ASKED_SOONER.labels(turn.account).inc(turn.orders)
            log.info("asked_sooner", account=turn.account, orders=turn.orders)
