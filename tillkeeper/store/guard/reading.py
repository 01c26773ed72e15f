"""Reads which accounts are paused."""

from collections.abc import Collection

from tillkeeper.store.postgres.pool import Conn

PAUSED = "SELECT account FROM account_pauses WHERE ended_at IS NULL AND account = ANY($1::text[])"


async def paused_among(conn: Conn, accounts: Collection[str]) -> set[str]:
    """Returns those of the accounts that are paused, or whose held deliveries are not all applied or parked yet."""
    return {row["account"] for row in await conn.fetch(PAUSED, sorted(accounts))}
