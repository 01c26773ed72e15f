"""Carries out what people do to orders, under the order's lock; domain/order/acts.py decides."""

from datetime import datetime
from itertools import chain, islice
from typing import Final

from tillkeeper.domain.delivery import unpack
from tillkeeper.domain.order import acts
from tillkeeper.domain.order.changes import Changes
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.state import OrderState
from tillkeeper.domain.policy import CasePolicy
from tillkeeper.domain.similar_references import WaitingMoney, parked_nearby, waiting_nearby
from tillkeeper.store.orders.loading import lock_whole_orders
from tillkeeper.store.orders.writing import write_changes
from tillkeeper.store.postgres.pool import Conn


class NoSuchOrder(Exception):
    """No order of this reference is registered."""


ORDER_BY_REF = "SELECT id FROM orders WHERE order_ref = $1"


async def _lock(conn: Conn, order_ref: str) -> OrderState:
    order_id = await conn.fetchval(ORDER_BY_REF, order_ref)
    if order_id is None:
        raise NoSuchOrder
    return (await lock_whole_orders(conn, [order_id]))[order_id]


async def _write(conn: Conn, changes: Changes, now: datetime) -> None:
    await write_changes(conn, [changes], policy=CasePolicy(), now=now)  # no act opens a case


async def hold(conn: Conn, order_ref: str, *, until: datetime, by: str, note: str, now: datetime) -> None:
    """Puts the order on hold until then: the sweep skips it, but events are applied.

    Raises NoSuchOrder or Refused.
    """
    order = await _lock(conn, order_ref)
    await _write(conn, acts.hold(order, until=until, by=by, note=note, now=now), now)


async def release(conn: Conn, order_ref: str, *, by: str, note: str, now: datetime) -> None:
    """Ends the hold of an order.  Raises NoSuchOrder or Refused."""
    await _write(conn, acts.release(await _lock(conn, order_ref), by=by, note=note, now=now), now)


async def ask_gateway(conn: Conn, order_ref: str, *, by: str, note: str, now: datetime) -> None:
    """Requests a query from the sweep, whatever the ladder says; also for a closed order, which may have been paid.

    Raises NoSuchOrder or Refused.
    """
    await _write(conn, acts.ask(await _lock(conn, order_ref), by=by, note=note, now=now), now)


async def close(conn: Conn, order_ref: str, *, force: bool, by: str, note: str, now: datetime) -> None:
    """Closes the order: no payment is expected any more.

    Refused while money is captured, may be on its way, or waits under a reference much like the order's, unless a
    person forces it.  Raises NoSuchOrder or Refused.
    """
    order = await _lock(conn, order_ref)
    nearby = [] if force else await _nearby(conn, order.order)
    await _write(conn, acts.close(order, nearby=nearby, force=force, by=by, note=note, now=now), now)


# Payments at the order's accounts, captured or on their way, that wait for an order that is not registered.
WAITING_MONEY = """
SELECT account, order_ref, payment_ref, amount_minor AS amount, currency FROM inbox
WHERE outcome = 'waiting' AND account = ANY($1::text[]) AND order_ref IS NOT NULL
  AND kind IN ('payment.succeeded', 'payment.authorized', 'payment.pending')
ORDER BY recorded_at DESC LIMIT $2
"""
PARKED_MONEY = """
SELECT id, body FROM parked WHERE outcome IS NULL AND readable AND account = ANY($1::text[]) ORDER BY id DESC LIMIT $2
"""
WAITING_MAX: Final = 10_000  # the latest ones: a person waits for the answer
PARKED_MAX: Final = 500
NEARBY_SHOWN: Final = 5


async def _nearby(conn: Conn, order: Order) -> list[str]:
    """Finds money that may be meant for this order: it waits under a similar reference, or is parked."""
    accounts = sorted(order.accounts)
    waiting = [WaitingMoney(**dict(row)) for row in await conn.fetch(WAITING_MONEY, accounts, WAITING_MAX)]
    rows = await conn.fetch(PARKED_MONEY, accounts, PARKED_MAX)
    parked = ((row["id"], unpack(row["body"]).deliveries[0].events) for row in rows)
    return [*islice(chain(waiting_nearby(order, waiting), parked_nearby(order, parked)), NEARBY_SHOWN)]
