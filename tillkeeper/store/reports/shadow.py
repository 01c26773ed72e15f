"""Reads where orders stand, to compare them with a shop's own states."""

from collections.abc import Sequence
from typing import Any

import asyncpg

from tillkeeper.domain.shadow import OursState
from tillkeeper.domain.statuses import Status

STATES = "SELECT order_ref, status, captured_minor, currency FROM orders WHERE order_ref = ANY($1::text[])"


async def states_of(pool: asyncpg.Pool, order_refs: Sequence[str]) -> dict[str, OursState]:
    """Returns by reference what is known of each of these orders that is registered."""
    async with pool.acquire() as conn:
        rows: list[Any] = await conn.fetch(STATES, order_refs)
    return {
        row["order_ref"]: OursState(status=Status(row["status"]), paid=row["captured_minor"], currency=row["currency"])
        for row in rows
    }
