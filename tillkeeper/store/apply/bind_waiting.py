"""Binds a payment that waits for its order to the order that a person says it is of.

    the payment's claim on the order ─ what waits under it is taken up ─ the same apply as of any event

The binding is a row of its own: whenever an event of the payment names another order, now or later, it decides whose
the payment is (domain/order/ownership.py).  Whether the money counts is decided as ever: in another currency, or at an
account where the order is not expected, it opens a case and pays nothing.
"""

from datetime import datetime

import asyncpg
import msgspec

from tillkeeper.domain.policy import Policy
from tillkeeper.domain.references import Bindings, Reference
from tillkeeper.store.apply.batch import Tally, load, write
from tillkeeper.store.apply.registration import CLAIM_PAYMENTS
from tillkeeper.store.orders.acts import ORDER_BY_REF, NoSuchOrder
from tillkeeper.store.people.approvals import Approval
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.postgres.transactions import repeat_on_conflict


class Binding(msgspec.Struct, frozen=True, kw_only=True):
    """Which payment a person binds to which order, and why; `confirmed_by` is the second person."""

    account: str
    payment_ref: str
    order_ref: str
    by: str
    note: str
    confirmed_by: str | None = None


class BindingRefused(Exception):
    """The payment cannot be bound; the text says why."""


async def bind_waiting(pool: asyncpg.Pool, binding: Binding, *, policy: Policy, now: datetime) -> Tally:
    """Binds a payment that waits to an order, and applies what waits of it, in one transaction.

    Of two that bind one payment at once, the later is refused.  Raises NoSuchOrder or BindingRefused.
    """
    return await repeat_on_conflict(pool, lambda conn: bind_in(conn, binding, policy=policy, now=now))


async def bind_as_approved(
    conn: Conn, approval: Approval, *, confirmed_by: str, policy: Policy, now: datetime
) -> Tally:
    """Binds exactly what one person proposed and another has just confirmed, in the names of both.

    Raises NoSuchOrder or BindingRefused.
    """
    binding = Binding(**approval.content, by=approval.proposed_by, confirmed_by=confirmed_by, note=approval.reason)
    return await bind_in(conn, binding, policy=policy, now=now)


WAITS = """
SELECT order_ref FROM inbox
WHERE account = $1 AND payment_ref = $2 AND outcome = 'waiting' AND kind LIKE 'payment.%' ORDER BY seq LIMIT 1
"""
WHOSE = """
SELECT o.order_ref, b.by FROM payments p JOIN orders o ON o.id = p.order_id
LEFT JOIN bound_payments b ON b.account = p.account AND b.payment_ref = p.payment_ref
WHERE p.account = $1 AND p.payment_ref = $2
"""
BIND = """
INSERT INTO bound_payments (account, payment_ref, order_id, named, by, confirmed_by, note, at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (account, payment_ref) DO NOTHING
RETURNING 1
"""


async def check_waits(conn: Conn, account: str, payment_ref: str) -> None:
    """Tells whether a payment waits to be bound.  Raises BindingRefused, which says why it does not."""
    if await conn.fetchrow(WAITS, account, payment_ref) is None:
        raise BindingRefused(await _why_not(conn, account, payment_ref))


async def bind_in(conn: Conn, binding: Binding, *, policy: Policy, now: datetime) -> Tally:
    """As `bind_waiting`, in the caller's transaction."""
    order_id = await conn.fetchval(ORDER_BY_REF, binding.order_ref)
    if order_id is None:
        raise NoSuchOrder
    waits = await conn.fetchrow(WAITS, binding.account, binding.payment_ref)
    if waits is None:
        raise BindingRefused(await _why_not(conn, binding.account, binding.payment_ref))
    who = (binding.by, binding.confirmed_by, binding.note, now)
    bound = await conn.fetchval(BIND, binding.account, binding.payment_ref, order_id, waits["order_ref"], *who)
    claimed = bound and await conn.fetch(CLAIM_PAYMENTS, [binding.account], [binding.payment_ref], order_id)
    if not claimed:
        raise BindingRefused(await _why_not(conn, binding.account, binding.payment_ref))
    payment: Reference = ("payment", binding.account, binding.payment_ref)
    loaded = await load(conn, [], bindings=Bindings(known={payment: order_id}), appearing=[payment])
    return await write(conn, loaded, policy=policy, now=now)


async def _why_not(conn: Conn, account: str, payment_ref: str) -> str:
    owner = await conn.fetchrow(WHOSE, account, payment_ref)
    if owner is None:
        return "no such payment waits; `tillkeeper waiting list` shows those that do"
    if owner["by"] is not None:
        return f"{owner['by']} bound it to order {owner['order_ref']!r} already"
    return f"it belongs to order {owner['order_ref']!r} by what its events name"
