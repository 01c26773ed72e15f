"""What a person does to an order: hold it, release it, close it, have its gateway asked.

Each is an act in the order's history, written under the order's lock in the caller's transaction.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

import asyncpg

from tillkeeper.domain.delivery import unpack
from tillkeeper.domain.money import format_minor
from tillkeeper.domain.nearness import is_alike, is_near
from tillkeeper.domain.order import ON_ITS_WAY, held_of
from tillkeeper.store.acts import Act, write_acts
from tillkeeper.store.ledger import OpenOrder
from tillkeeper.store.pool import Conn
from tillkeeper.store.settling import close_orders
from tillkeeper.store.sweeping import open_with_parked


class NoSuchOrder(Exception):
    """No order of this reference is registered."""


class Refused(Exception):
    """The order is not in a state for this act; the text says why."""


ORDER_BY_REF = "SELECT id FROM orders WHERE order_ref = $1"


async def _open(conn: Conn, order_ref: str, *, closed_too: bool = False) -> OpenOrder:
    """Locks the order; one that is closed only where that is no hindrance."""
    order_id = await conn.fetchval(ORDER_BY_REF, order_ref)
    if order_id is None:
        raise NoSuchOrder
    it = (await open_with_parked(conn, [order_id]))[order_id]
    if it.closed_at is not None and not closed_too:
        raise Refused(f"it is closed since {it.closed_at:%Y-%m-%d %H:%M:%S}Z")
    return it


HOLD = "UPDATE orders SET held_until = $2, due_at = $2 WHERE id = $1"


async def hold(conn: Conn, order_ref: str, *, until: datetime, by: str, note: str, now: datetime) -> None:
    """Has the sweep leave the order alone until then; events are applied all the same.

    Raises NoSuchOrder or Refused.
    """
    it = await _open(conn, order_ref)
    await conn.execute(HOLD, it.id, until)
    told = f"until {until:%Y-%m-%d %H:%M:%S}Z: {note}"
    await write_acts(conn, [Act(order_id=it.id, what="hold", by=by, note=told, at=now)])


# Due at once: the sweep finds out for itself what the ladder has next.
RELEASE = "UPDATE orders SET held_until = NULL, due_at = $2 WHERE id = $1"


async def release(conn: Conn, order_ref: str, *, by: str, note: str, now: datetime) -> None:
    """Has the sweep go on with a held order.  Raises NoSuchOrder or Refused."""
    it = await _open(conn, order_ref)
    if it.held_until is None or it.held_until <= now:
        raise Refused("it is not held")
    await conn.execute(RELEASE, it.id, now)
    await write_acts(conn, [Act(order_id=it.id, what="release", by=by, note=note, at=now)])


ASK = "UPDATE orders SET ask_at = $2, due_at = $2 WHERE id = $1"


async def ask_gateway(conn: Conn, order_ref: str, *, by: str, note: str, now: datetime) -> None:
    """Has the sweep ask the order's gateways next, whatever the ladder says; a closed order may have been paid.

    Raises NoSuchOrder or Refused.
    """
    it = await _open(conn, order_ref, closed_too=True)
    if it.held_until is not None and it.held_until > now:
        raise Refused(f"it is held until {it.held_until:%Y-%m-%d %H:%M:%S}Z; release it first")
    await conn.execute(ASK, it.id, now)
    await write_acts(conn, [Act(order_id=it.id, what="ask", by=by, note=note, at=now)])


async def close(conn: Conn, order_ref: str, *, force: bool, by: str, note: str, now: datetime) -> None:
    """Expects no payment for the order any more.

    Refused while money is there, may be on its way, or waits under a reference much like the order's, unless a person
    forces it.  Raises NoSuchOrder or Refused.
    """
    it = await _open(conn, order_ref)
    if not force and (doubts := [*_doubts(it), *await _nearby(conn, it)]):
        raise Refused("; ".join(doubts))
    await close_orders(conn, [it], by=by, note=note, now=now)


# What came in, or is on its way, at the order's accounts, and waits for an order that nobody registered.
WAITING_MONEY = """
SELECT account, order_ref, payment_ref, amount_minor, currency FROM inbox
WHERE outcome = 'waiting' AND account = ANY($1::text[]) AND order_ref IS NOT NULL
  AND kind IN ('payment.succeeded', 'payment.authorized', 'payment.pending')
ORDER BY recorded_at DESC LIMIT $2
"""
PARKED_MONEY = """
SELECT id, body FROM parked WHERE outcome IS NULL AND readable AND account = ANY($1::text[]) ORDER BY id DESC LIMIT $2
"""
WAITING_MAX: Final = 10_000  # the latest of them: a person who waits for the answer closes one order
PARKED_MAX: Final = 500
NEARBY_SHOWN: Final = 5


async def _nearby(conn: Conn, it: OpenOrder) -> list[str]:
    """Money that may be meant for this order: it waits under a reference much like the order's, or is parked."""
    ref, accounts = it.order.order_ref, sorted(it.order.accounts)

    def is_due(row: asyncpg.Record) -> bool:
        return (row["amount_minor"], row["currency"]) == (it.order.amount, it.order.currency)

    rows = await conn.fetch(WAITING_MONEY, accounts, WAITING_MAX)
    found = [
        f"payment {row['payment_ref']} at {row['account']} waits for an order {row['order_ref']!r}: is that this one?"
        for row in rows
        if is_near(ref, row["order_ref"]) or (is_due(row) and is_alike(ref, row["order_ref"]))
    ]
    for row in await conn.fetch(PARKED_MONEY, accounts, PARKED_MAX):
        events = unpack(row["body"]).deliveries[0].events
        if any(event.order_ref not in {None, ref} and is_near(ref, event.order_ref or "") for event in events):
            found.append(f"an event is parked that may be of this order: tillkeeper parked show {row['id']}")
    return found[:NEARBY_SHOWN]


def _doubts(it: OpenOrder) -> Iterator[str]:
    """Why closing it now could leave somebody's money behind."""
    for (account, payment_ref), payment in sorted(it.facts.payments.items()):
        if payment.step in ON_ITS_WAY:
            yield f"payment {payment_ref} at {account} is {payment.step}: its money may be on its way"
        if held := held_of(it.order, account, payment):
            told = format_minor(held, it.order.currency)
            yield f"payment {payment_ref} at {account} still holds {told}, which can be captured"
    for kind in sorted(it.case_kinds & {"unexpected_account", "wrong_currency", "reference_conflict"}):
        yield f"a case is open, {kind}: somebody's money counts for nothing until a person looks at it"
    if it.has_parked:
        yield "an event of it is parked: replay or discard it first (tillkeeper parked list)"
    summary = it.judge()
    if summary.captured > summary.refunded:
        left = format_minor(summary.captured - summary.refunded, it.order.currency)
        yield f"{left} was paid and is not given back"
    elif summary.refunding:
        yield "a refund is under way"
