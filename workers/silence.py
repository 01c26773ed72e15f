"""Watches for accounts without webhooks and gateways that do not answer, together with the other sweepers."""

from collections.abc import Callable, Collection
from datetime import datetime

import asyncpg
import structlog

from tillkeeper.domain.account_notices import BEGINS
from tillkeeper.domain.policy import Policy
from tillkeeper.domain.silence import Answers
from tillkeeper.store.accounts.health import AccountAbilities, HealthChange, note_answers, open_silences, watch
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.telemetry import ASKED_SOONER, SILENCE
from tillkeeper.workers.database_retry import DatabaseRetry, Stopped
from tillkeeper.workers.watched_api_client import WatchedApiClient

log = structlog.get_logger()


class Silence:
    """Checks each account at intervals, which all sweepers share."""

    def __init__(
        self,
        *,
        pool: asyncpg.Pool,
        watched: WatchedApiClient,
        accounts: Collection[str],
        retry: DatabaseRetry,
        policy: Callable[[], Policy],
        now: Callable[[], datetime],
        calls_per_s: float,
    ) -> None:
        self._pool = pool
        self._watched = watched
        self._accounts = accounts
        self._retry = retry
        self._policy = policy
        self._now = now
        self._calls_per_s = calls_per_s

    async def run_once(self) -> int:
        """Checks the accounts that are due; returns the number of changes."""
        seen = self._watched.take_seen()
        try:
            turns, quiet = await self._retry.transact(self._pool, lambda conn: self._look(conn, seen))
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

    async def _look(self, conn: Conn, seen: dict[str, Answers]) -> tuple[list[HealthChange], set[tuple[str, str]]]:
        now, names = self._now(), sorted(self._accounts)  # accounts are added and removed
        can = {
            name: AccountAbilities(ask=self._watched.can_query(name), list=self._watched.can_list_events(name))
            for name in names
        }
        await note_answers(conn, {account: seen[account] for account in seen if account in can}, now=now)
        turns = await watch(conn, can, policy=self._policy().silence, calls_per_s=self._calls_per_s, now=now)
        return turns, await open_silences(conn, names)


def _say(turn: HealthChange) -> None:
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
