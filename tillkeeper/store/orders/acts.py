"""Carries out what people do to orders, under the order's lock; domain/order/acts.py decides."""

from collections.abc import Sequence
from datetime import datetime
from itertools import chain, islice
from typing import Any, Final

import msgspec

from tillkeeper.domain.delivery import unpack
from tillkeeper.domain.order.acts import ActRefused, Refusal, WantedAct, What, decide
from tillkeeper.domain.order.case_kinds import CaseKind
from tillkeeper.domain.order.changes import Changes
from tillkeeper.domain.order.doubts import Doubt
from tillkeeper.domain.order.effects import Effects, effects_of
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.order.state import OrderState
from tillkeeper.domain.policy import CasePolicy
from tillkeeper.domain.similar_references import WaitingMoney, parked_nearby, waiting_nearby
from tillkeeper.store.cases.writing import write_entries
from tillkeeper.store.orders.loading import lock_whole_orders, read_whole_orders
from tillkeeper.store.orders.writing import write_changes
from tillkeeper.store.postgres.pool import Conn


class NoSuchOrder(Exception):
    """No order of this reference is registered."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What a person knew of an order when they decided: its version, and the last act on it."""

    version: int
    act: int


class OrderMovedOn(Exception):
    """Something happened to the order after the person looked at it; `entry` is the act that did, None for money."""

    def __init__(self, entry: dict[str, Any] | None) -> None:
        super().__init__("the order is another than the one that was looked at")
        self.entry = entry


class ActPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What an act would do just now, or why it would be refused."""

    order: OrderState
    seen: Seen
    effects: Effects | None = None
    refused: ActRefused | None = None


_CASES: Final = CasePolicy()
ORDER_BY_REF = "SELECT id FROM orders WHERE order_ref = $1"


async def id_of(conn: Conn, order_ref: str) -> int:
    """Returns the number of an order.  Raises NoSuchOrder."""
    order_id: int | None = await conn.fetchval(ORDER_BY_REF, order_ref)
    if order_id is None:
        raise NoSuchOrder
    return order_id


async def plan(conn: Conn, order_ref: str, wanted: WantedAct, *, by: str, now: datetime) -> ActPlan:
    """Decides an act as it would be decided now, and changes nothing.  Raises NoSuchOrder."""
    order_id = await id_of(conn, order_ref)
    order = (await read_whole_orders(conn, [order_id]))[order_id]
    seen = await _seen(conn, order)
    try:
        changes = await _decide(conn, order, wanted, by=by, note="", now=now)
    except ActRefused as refused:
        return ActPlan(order=order, seen=seen, refused=refused)
    return ActPlan(order=order, seen=seen, effects=effects_of(changes))


async def carry_out(
    conn: Conn,
    order_ref: str,
    wanted: WantedAct,
    *,
    by: str,
    note: str,
    now: datetime,
    seen: Seen | None = None,
    policy: CasePolicy = _CASES,
) -> None:
    """Carries out an act; `policy` says when a case that it opens is followed up.

    Raises NoSuchOrder, ActRefused, or OrderMovedOn where something happened that the person had not `seen`.
    """
    order_id = await id_of(conn, order_ref)
    order = (await lock_whole_orders(conn, [order_id]))[order_id]
    if seen is not None:
        await _refuse_unseen(conn, order, wanted, seen)
    changes = await _decide(conn, order, wanted, by=by, note=note, now=now)
    await write_changes(conn, [changes], policy=policy, now=now)
    if wanted.what is What.CLAIM:
        await _note_claim(conn, changes, by=by, note=note, now=now)


async def _decide(conn: Conn, order: OrderState, wanted: WantedAct, *, by: str, note: str, now: datetime) -> Changes:
    has_doubts = wanted.what is What.CLOSE and not wanted.force
    nearby = await nearby_money(conn, order.order) if has_doubts else []
    changes = decide(order, wanted, nearby=nearby, by=by, note=note, now=now)
    if wanted.what is What.REMIND:
        await _refuse_reminded(conn, changes)
    return changes


REMINDED_AT = "SELECT min(created_at) FROM outbox WHERE key = ANY($1::text[])"


async def _refuse_reminded(conn: Conn, changes: Changes) -> None:
    at = await conn.fetchval(REMINDED_AT, [notice.key for notice in changes.notices])
    if at is not None:
        raise ActRefused(f"its payer was reminded by hand at {at:%H:%M:%S}Z already", why=Refusal.REMINDED, at=at)


LAST_ACT = "SELECT id, what, by, at FROM acts WHERE order_id = $1 ORDER BY id DESC LIMIT 1"
# What is decided by where its money is; a hold or a query is as good whatever came in meanwhile.
DECIDED_BY_MONEY: Final = frozenset({What.CLOSE, What.REMIND, What.CLAIM})


async def _seen(conn: Conn, order: OrderState) -> Seen:
    last = await conn.fetchrow(LAST_ACT, order.id)
    return Seen(version=order.version, act=0 if last is None else last["id"])


async def _refuse_unseen(conn: Conn, order: OrderState, wanted: WantedAct, seen: Seen) -> None:
    last = await conn.fetchrow(LAST_ACT, order.id)
    if last is not None and last["id"] != seen.act:
        raise OrderMovedOn(dict(last))
    if wanted.what in DECIDED_BY_MONEY and order.version != seen.version:
        raise OrderMovedOn(None)


CLAIMED_CASE = "SELECT id FROM cases WHERE kind = $1 AND subject = $2"


async def _note_claim(conn: Conn, changes: Changes, *, by: str, note: str, now: datetime) -> None:
    """Adds who said so, and what the customer told, to the case's history."""
    case_id = await conn.fetchval(CLAIMED_CASE, CaseKind.CLAIMED_PAID, f"order:{changes.after.order.order_ref}")
    await write_entries(conn, [(case_id, "noted", by, note)], now=now)


async def hold(conn: Conn, order_ref: str, *, until: datetime, by: str, note: str, now: datetime) -> None:
    """Puts the order on hold until then: the sweep skips it, but events are applied.

    Raises NoSuchOrder or ActRefused.
    """
    await carry_out(conn, order_ref, WantedAct(what=What.HOLD, until=until), by=by, note=note, now=now)


async def release(conn: Conn, order_ref: str, *, by: str, note: str, now: datetime) -> None:
    """Ends the hold of an order.  Raises NoSuchOrder or ActRefused."""
    await carry_out(conn, order_ref, WantedAct(what=What.RELEASE), by=by, note=note, now=now)


async def ask_gateway(conn: Conn, order_ref: str, *, by: str, note: str, now: datetime) -> None:
    """Requests a query from the sweep, whatever the ladder says; also for a closed order, which may have been paid.

    Raises NoSuchOrder or ActRefused.
    """
    await carry_out(conn, order_ref, WantedAct(what=What.ASK), by=by, note=note, now=now)


async def remind(conn: Conn, order_ref: str, *, by: str, note: str, now: datetime) -> None:
    """Has the payer reminded that money is missing.  Raises NoSuchOrder or ActRefused."""
    await carry_out(conn, order_ref, WantedAct(what=What.REMIND), by=by, note=note, now=now)


async def claim(conn: Conn, order_ref: str, *, by: str, note: str, now: datetime, policy: CasePolicy) -> None:
    """Opens the case that the customer says they paid.  Raises NoSuchOrder or ActRefused."""
    await carry_out(conn, order_ref, WantedAct(what=What.CLAIM), by=by, note=note, now=now, policy=policy)


async def close(conn: Conn, order_ref: str, *, force: bool, by: str, note: str, now: datetime) -> None:
    """Closes the order: no payment is expected any more.

    Refused while money is captured, may be on its way, or waits under a reference much like the order's, unless a
    person forces it.  Raises NoSuchOrder or ActRefused.
    """
    await carry_out(conn, order_ref, WantedAct(what=What.CLOSE, force=force), by=by, note=note, now=now)


# Payments, captured or on their way, that wait for an order that is not registered: also at accounts where this one is
# not expected, for who mistypes a reference may have paid by another way, too.
WAITING_MONEY = """
SELECT account, order_ref, payment_ref, amount_minor AS amount, currency FROM inbox
WHERE outcome = 'waiting' AND order_ref IS NOT NULL
  AND kind IN ('payment.succeeded', 'payment.authorized', 'payment.pending')
ORDER BY recorded_at DESC LIMIT $1
"""
PARKED_MONEY = """
SELECT id, body FROM parked WHERE outcome IS NULL AND readable ORDER BY id DESC LIMIT $1
"""
WAITING_MAX: Final = 10_000  # the latest ones: a person waits for the answer
PARKED_MAX: Final = 500
NEARBY_SHOWN: Final = 5


async def nearby_money(conn: Conn, order: Order) -> Sequence[Doubt]:
    """Finds money that may be meant for this order: it waits under a similar reference, or is parked."""
    waiting = [WaitingMoney(**dict(row)) for row in await conn.fetch(WAITING_MONEY, WAITING_MAX)]
    rows = await conn.fetch(PARKED_MONEY, PARKED_MAX)
    parked = ((row["id"], unpack(row["body"]).deliveries[0].events) for row in rows)
    return [*islice(chain(waiting_nearby(order, waiting), parked_nearby(order, parked)), NEARBY_SHOWN)]
