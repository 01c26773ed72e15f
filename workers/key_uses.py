"""Counts which keys verified the applied deliveries, and writes that to the database every few seconds."""

from collections.abc import Sequence

import asyncpg
import structlog

from tillkeeper.domain.delivery import Delivery
from tillkeeper.store.accounts.keys import KeyUse, note_uses
from tillkeeper.store.postgres.sqlstates import DATABASE_ERRORS

log = structlog.get_logger()


class KeyUses:
    """Counts key uses for all loops of a worker.  Unwritten ones are lost when it dies: only the days matter."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._uses: dict[tuple[str, str], KeyUse] = {}
        self._failed = False  # the last time; it is logged once

    def note(self, deliveries: Sequence[Delivery]) -> None:
        """Counts the keys of applied deliveries."""
        for delivery in deliveries:
            use = self._uses.get((delivery.account, delivery.key))
            if use is None:
                self._uses[delivery.account, delivery.key] = KeyUse(
                    account=delivery.account,
                    key=delivery.key,
                    first_at=delivery.received_at,
                    last_at=delivery.received_at,
                    deliveries=1,
                )
            else:
                use.deliveries += 1
                use.first_at = min(use.first_at, delivery.received_at)
                use.last_at = max(use.last_at, delivery.received_at)

    async def run_once(self) -> int:
        """Writes what was counted; what the database does not take now is written the next time."""
        uses = list(self._uses.values())
        if uses:
            written = [(use, use.deliveries) for use in uses]
            try:
                async with self._pool.acquire() as conn:
                    await note_uses(conn, uses)
            except DATABASE_ERRORS as error:
                if not self._failed:
                    log.info("key_uses_not_stored", error=type(error).__name__)
                self._failed = True
                return 0
            self._failed = False
            for use, count in written:
                use.deliveries -= count
            self._uses = {key: use for key, use in self._uses.items() if use.deliveries}
        return 0
