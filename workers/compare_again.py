"""Compares once more what statements and orders said differently, so that it settles as soon as an event settles it."""

from collections.abc import Callable
from datetime import datetime
from functools import partial

import asyncpg
import structlog

from tillkeeper.domain.policy import Policy
from tillkeeper.store.books.comparing import Scope
from tillkeeper.store.books.differences import open_all_cases
from tillkeeper.store.books.exclusive import try_lock
from tillkeeper.store.books.listing import list_differing_forms
from tillkeeper.store.books.matching import match
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.workers.database_retry import DatabaseRetry, Stopped

log = structlog.get_logger()


class CompareAgain:
    """Any number of sweepers may: an account is compared by one of them, and not while somebody reconciles it."""

    def __init__(
        self, *, pool: asyncpg.Pool, retry: DatabaseRetry, policy: Callable[[], Policy], now: Callable[[], datetime]
    ) -> None:
        self._pool = pool
        self._retry = retry
        self._policy = policy
        self._now = now

    async def run_once(self) -> int:
        """Compares everything that differs, once.  It has nothing to go straight on with."""
        try:
            for account, form in await self._retry.transact(self._pool, list_differing_forms):
                settled = await self._retry.transact(self._pool, partial(self._compare, account=account, form=form))
                if settled:
                    log.info("differences_settled", account=account, form=form, settled=settled)
        except Stopped:
            pass
        return 0

    async def _compare(self, conn: Conn, account: str, form: str) -> int:
        """Compares one form of an account, and opens the cases of what differs in another way by now."""
        if not await try_lock(conn, account):
            return 0
        policy, now = self._policy(), self._now()
        tally = await match(conn, Scope(account=account, form=form), policy.books.of(account), now=now)
        if tally.changed:
            await open_all_cases(conn, account, form, policy=policy.cases, now=now)
        return tally.settled
