"""Pauses accounts whose gateways' answers cross a line of the guard.

Their answers are not kept: once a person has decided, the gateway is asked again.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

import asyncpg
import structlog

from tillkeeper.domain.policy import Policy
from tillkeeper.store.guard.checking import AccountsPaused
from tillkeeper.store.guard.pausing import pause
from tillkeeper.workers.database_retry import DatabaseRetry

log = structlog.get_logger()

ACCOUNT_PAUSED: Final = "account_paused"  # the reason why an answer about such an account counts for nothing


async def pause_for_answers(
    pool: asyncpg.Pool, retry: DatabaseRetry, paused: AccountsPaused, *, policy: Policy, now: datetime
) -> None:
    """Pauses accounts whose gateways' answers cross a line; the answers are not kept, for they can be asked again."""
    _, new = await retry.transact(pool, lambda conn: pause(conn, paused.findings, policy=policy.cases, now=now))
    log_paused(new)


def log_paused(accounts: Iterable[str]) -> None:
    """Logs which accounts were paused just now."""
    for account in accounts:
        log.error("account_paused", account=account)
