"""Counts how far the workers have come, and how many orders have which status."""

import asyncpg
import msgspec

from tillkeeper.domain.statuses import Status


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """The counts at one moment."""

    deliveries: int  # stored by the workers
    waiting: int  # events whose order is not registered yet
    parked: int
    spooled: int  # messages in the PostgreSQL lane
    orders: dict[Status, int]


class OrderStanding(msgspec.Struct, frozen=True, kw_only=True):
    """An order's status and sums, in minor units; `paid` is before refunds."""

    status: Status
    paid: int
    refunded: int


OVERVIEW = """
SELECT (SELECT count(*) FROM deliveries) AS deliveries,
       (SELECT count(*) FROM inbox WHERE outcome = 'waiting') AS waiting,
       (SELECT count(*) FROM parked WHERE outcome IS NULL) AS parked,
       (SELECT count(*) FROM spool) AS spooled
"""
ORDERS_BY_STATUS = "SELECT status, count(*) FROM orders WHERE starts_with(order_ref, $1) GROUP BY status"


async def overview(pool: asyncpg.Pool, *, begins: str) -> Overview:
    """Counts everything, and the orders whose reference begins so."""
    async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        orders = {Status(row["status"]): row["count"] for row in await conn.fetch(ORDERS_BY_STATUS, begins)}
        return Overview(**dict(await conn.fetchrow(OVERVIEW) or {}), orders=orders)


STANDINGS = """
SELECT order_ref, status, captured_minor, refunded_minor FROM orders WHERE starts_with(order_ref, $1)
"""


async def standings(pool: asyncpg.Pool, *, begins: str) -> dict[str, OrderStanding]:
    """Reads every order whose reference begins so."""
    async with pool.acquire() as conn:
        return {
            row["order_ref"]: OrderStanding(
                status=Status(row["status"]), paid=row["captured_minor"], refunded=row["refunded_minor"]
            )
            for row in await conn.fetch(STANDINGS, begins)
        }
