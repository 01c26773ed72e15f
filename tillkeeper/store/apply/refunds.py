"""Registers and withdraws refunds that the merchant requested; domain/order/refund_registration.py decides."""

from datetime import datetime
from typing import Literal

import asyncpg

from tillkeeper.domain.order.refund_registration import (
    AskedRefund,
    EarlierRequest,
    KnownRefund,
    event_id_of,
    is_registered,
    refuse_other_refund,
    request_number,
    requested_event,
    withdrawal_event,
)
from tillkeeper.domain.order.registration import Contradiction
from tillkeeper.domain.policy import Policy
from tillkeeper.store.apply.batch import apply_found
from tillkeeper.store.orders.acts import NoSuchOrder
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.postgres.transactions import repeat_on_conflict, wait_for_standbys


class NoSuchRefund(Exception):
    """The order has no refund of this reference."""


async def register_refund(
    pool: asyncpg.Pool, asked: AskedRefund, *, policy: Policy, now: datetime
) -> Literal["created", "unchanged"]:
    """Makes the order `refunding`, until the gateway says more.

    The same again is "unchanged".  Raises NoSuchOrder, or Contradiction where it differs from what is known.
    """
    return await repeat_on_conflict(pool, lambda conn: _register(conn, asked, policy, now))


ITS_ORDER = "SELECT id, currency, accounts FROM orders WHERE order_ref = $1"


async def _register(conn: Conn, asked: AskedRefund, policy: Policy, now: datetime) -> Literal["created", "unchanged"]:
    order = await conn.fetchrow(ITS_ORDER, asked.order_ref)
    if order is None:
        raise NoSuchOrder
    if asked.account not in order["accounts"]:
        raise Contradiction("account")
    known = await _known(conn, asked)
    number = request_number(known)
    if is_registered(asked, await _earlier_request(conn, asked, number), order["id"]):
        await wait_for_standbys(conn)
        return "unchanged"
    refuse_other_refund(asked, known, order["id"])
    event = requested_event(asked, currency=order["currency"], number=number)
    tally = await apply_found(conn, [event], policy=policy, now=now)
    # Its references may belong to another order.
    is_registered(asked, await _earlier_request(conn, asked, number), order["id"])
    return "created" if tally.outcomes else "unchanged"  # another request registered it just now


KNOWN_REFUND = """
SELECT order_id, account, payment_ref, amount_minor AS amount, currency,
       (facts -> 'standing' ->> 'at')::timestamptz AS told_at, facts -> 'standing' ->> 'failure_code' AS failure_code
FROM refunds WHERE account = $1 AND refund_ref = $2
"""


async def _known(conn: Conn, asked: AskedRefund) -> KnownRefund | None:
    row = await conn.fetchrow(KNOWN_REFUND, asked.account, asked.refund_ref)
    return None if row is None else KnownRefund(**dict(row))


EARLIER_REQUEST = """
SELECT order_id, amount_minor AS amount, payment_ref, outcome FROM inbox WHERE account = $1 AND event_id = $2
"""


async def _earlier_request(conn: Conn, asked: AskedRefund, number: int) -> EarlierRequest | None:
    row = await conn.fetchrow(EARLIER_REQUEST, asked.account, event_id_of(asked, number))
    return None if row is None else EarlierRequest(**dict(row))


REFUND_OF_ORDER = """
SELECT r.order_id, r.account, r.payment_ref, r.amount_minor AS amount, r.currency,
       (r.facts -> 'standing' ->> 'at')::timestamptz AS told_at,
       r.facts -> 'standing' ->> 'failure_code' AS failure_code
FROM refunds r JOIN orders o ON o.id = r.order_id
WHERE o.order_ref = $1 AND r.refund_ref = $2
ORDER BY told_at LIMIT 1
"""


async def withdraw_refund(
    pool: asyncpg.Pool, order_ref: str, refund_ref: str, *, policy: Policy, now: datetime
) -> Literal["withdrawn", "unchanged"]:
    """Withdraws a refund that was never made because the gateway refused it.

    Raises NoSuchRefund, or GatewayKnowsRefund.
    """
    return await repeat_on_conflict(pool, lambda conn: _withdraw(conn, order_ref, refund_ref, policy, now))


async def _withdraw(
    conn: Conn, order_ref: str, refund_ref: str, policy: Policy, now: datetime
) -> Literal["withdrawn", "unchanged"]:
    row = await conn.fetchrow(REFUND_OF_ORDER, order_ref, refund_ref)
    if row is None:
        raise NoSuchRefund
    event = withdrawal_event(order_ref, refund_ref, KnownRefund(**dict(row)))
    if event is None:
        await wait_for_standbys(conn)
        return "unchanged"
    tally = await apply_found(conn, [event], policy=policy, now=now)
    return "withdrawn" if tally.outcomes else "unchanged"
