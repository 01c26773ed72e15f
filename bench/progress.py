"""How far the workers are, asked of the database in ways that cost it little."""

import asyncio
from typing import Final

import asyncpg

from bench.house import Broken

POLL_S: Final = 0.02
WITHIN_S: Final = 300.0  # for what is on the way once nothing more is posted

# No look at any row, so that it may be asked often.  It is ahead of what is committed by the batches in hand.
WRITTEN: Final = "SELECT last_value FROM inbox_seq_seq"
DELIVERED: Final = "SELECT count(*) FROM deliveries"
OUTCOMES: Final = "SELECT outcome, count(*) FROM inbox GROUP BY outcome"


async def events_written(connection: asyncpg.Connection) -> int:
    """Returns how many distinct events are written, the batches in hand included."""
    return int(await connection.fetchval(WRITTEN))


async def until_written(connection: asyncpg.Connection, events: int) -> int:
    """Returns how many distinct events are written once it is so many; of the last, some may be uncommitted."""
    return await _until(connection, WRITTEN, events)


async def until_delivered(connection: asyncpg.Connection, deliveries: int) -> None:
    """Returns when so many deliveries are kept; their events are settled then, for it is the same transaction."""
    await _until(connection, DELIVERED, deliveries)


async def insist_applied(connection: asyncpg.Connection, events: int) -> None:
    """Raises Broken unless so many distinct events were applied, and none came to another end."""
    outcomes = {row["outcome"]: row["count"] for row in await connection.fetch(OUTCOMES)}
    if outcomes != {"applied": events}:
        raise Broken(f"{events} events ended as {outcomes}")


async def _until(connection: asyncpg.Connection, query: str, least: int) -> int:
    async with asyncio.timeout(WITHIN_S):
        while (count := await connection.fetchval(query)) < least:  # noqa: ASYNC110 - others do the counting
            await asyncio.sleep(POLL_S)
    return int(count)
