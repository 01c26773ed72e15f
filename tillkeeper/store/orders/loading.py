"""Loads orders in sets: locks them, and reads everything that decisions about them need."""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

import asyncpg
import msgspec

from tillkeeper.domain.ladder import Action, Step
from tillkeeper.domain.order.cases import CaseKey, KnownCase
from tillkeeper.domain.order.facts import ObjectKey, OrderFacts, PaymentFacts, ReturnFacts
from tillkeeper.domain.order.progress import NEVER, Progress, Retry
from tillkeeper.domain.order.registration import Instalment
from tillkeeper.domain.order.state import OrderState
from tillkeeper.domain.order.status import Summary
from tillkeeper.store.deliveries.parked import parked_of
from tillkeeper.store.guard.reading import paused_among
from tillkeeper.store.orders.many_payments import MANY, Payments, many_payments
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.rows import order_in, shown_summary_in, summary_in

# NO KEY UPDATE: foreign keys of others may still point at the row.
LOCK_ORDERS = """
SELECT id, order_ref, amount_minor, currency, accounts, version, status, captured_minor, refunding_minor,
       refunded_minor, discount_minor, expires_at, instalments, phase, phase_since, ask_at, held_until,
       closed_at, terms -> 'payer' ->> 'email' IS NOT NULL AS has_mail, terms ->> 'pay_url' AS pay_url,
       terms ? 'erased' AS is_erased, xmin
FROM orders WHERE id = ANY($1::bigint[]) ORDER BY id FOR NO KEY UPDATE
"""

FACTS = """
SELECT 'payment' AS object, order_id, account, payment_ref AS ref, facts
FROM payments WHERE order_id = ANY($2::bigint[])
UNION ALL
SELECT 'refund', order_id, account, refund_ref, facts FROM refunds WHERE order_id = ANY($1::bigint[])
UNION ALL
SELECT 'dispute', order_id, account, dispute_ref, facts FROM disputes WHERE order_id = ANY($1::bigint[])
UNION ALL
SELECT 'case', order_id, kind, subject,
       jsonb_build_object('state', state, 'level', level, 'closed_by', closed_by, 'captured', details -> 'captured',
                          'refunded', details -> 'refunded')
FROM cases WHERE order_id = ANY($1::bigint[])
UNION ALL
SELECT 'due', order_id, '', '', to_jsonb(due_at) FROM due_orders
WHERE order_id = ANY($1::bigint[]) AND due_at IS NOT NULL
"""


class _Case(msgspec.Struct, frozen=True):
    """The columns of a case, besides its key."""

    state: str | None
    level: int
    closed_by: str | None
    captured: int | None
    refunded: int | None


_NONE: Final[Mapping[int, Payments]] = MappingProxyType({})
_payment_facts = msgspec.json.Decoder(PaymentFacts).decode
_return_facts = msgspec.json.Decoder(ReturnFacts).decode
_case = msgspec.json.Decoder(_Case).decode
_moment = msgspec.json.Decoder(datetime).decode
_instalments = msgspec.json.Decoder(tuple[Instalment, ...]).decode


async def lock_orders(conn: Conn, ids: Collection[int]) -> dict[int, OrderState]:
    """Locks the orders in the order of their ids, then reads what is known of them."""
    if not ids:
        return {}
    rows = await conn.fetch(LOCK_ORDERS, sorted(ids))
    many = many_payments(conn)
    known = await _read(conn, ids, many.among(rows) if many else _NONE)
    if many is not None:
        for row in rows:
            payments = known.facts[row["id"]].payments
            if len(payments) >= MANY:
                many.remember(row["id"], (row["xmin"], row["version"]), payments)
    return {row["id"]: _state(row, known, summary_in(row)) for row in rows}


READ_ORDERS = """
SELECT id, order_ref, amount_minor, currency, accounts, version, status, captured_minor, refunding_minor,
       refunded_minor, discount_minor, expires_at, instalments, phase, phase_since, ask_at, held_until,
       closed_at, terms -> 'payer' ->> 'email' IS NOT NULL AS has_mail, terms ->> 'pay_url' AS pay_url,
       terms ? 'erased' AS is_erased
FROM orders WHERE id = ANY($1::bigint[]) ORDER BY id
"""


async def read_orders(conn: Conn, ids: Collection[int]) -> dict[int, OrderState]:
    """Reads orders with the steps taken, to be shown and not written: nothing is locked."""
    rows = await conn.fetch(READ_ORDERS, sorted(ids))
    known = await _read(conn, ids)
    return await _with_progress(conn, [_state(row, known, shown_summary_in(row)) for row in rows])


async def lock_whole_orders(conn: Conn, ids: Collection[int]) -> dict[int, OrderState]:
    """Locks orders as `lock_orders` does, and adds the steps taken in their phases.

    It also adds which have a parked event, and which an account that is paused.
    """
    return await _with_parked(conn, await _with_progress(conn, (await lock_orders(conn, ids)).values()))


async def read_whole_orders(conn: Conn, ids: Collection[int]) -> dict[int, OrderState]:
    """Reads orders as `lock_whole_orders` does, to be shown and not written: nothing is locked."""
    return await _with_parked(conn, await read_orders(conn, ids))


async def _with_parked(conn: Conn, orders: dict[int, OrderState]) -> dict[int, OrderState]:
    for order_id in await parked_of(conn, orders):
        orders[order_id] = msgspec.structs.replace(orders[order_id], has_parked=True)
    accounts = {account for order in orders.values() for account in order.order.accounts}
    paused = await paused_among(conn, accounts)
    for order_id in [order.id for order in orders.values() if not paused.isdisjoint(order.order.accounts)]:
        orders[order_id] = msgspec.structs.replace(orders[order_id], is_paused=True)
    return orders


def _state(row: asyncpg.Record, known: "_Known", stored: Summary) -> OrderState:
    return OrderState(
        id=row["id"],
        order=order_in(row),
        version=row["version"],
        stored=stored,
        facts=known.facts[row["id"]],
        expires_at=row["expires_at"],
        instalments=_instalments(row["instalments"]) if row["instalments"] else (),
        phase=row["phase"],
        phase_since=row["phase_since"],
        due_at=known.due.get(row["id"]),
        ask_at=row["ask_at"],
        held_until=row["held_until"],
        closed_at=row["closed_at"],
        cases=known.cases[row["id"]],
        has_mail=row["has_mail"],
        pay_url=row["pay_url"],
        is_erased=row["is_erased"],
    )


async def facts_of(conn: Conn, ids: Collection[int]) -> dict[int, OrderFacts]:
    """Reads the facts of each of these orders."""
    return (await _read(conn, ids)).facts


class _Known(msgspec.Struct, kw_only=True):
    """What is read of several orders, by their ids."""

    facts: dict[int, OrderFacts]
    cases: dict[int, dict[CaseKey, KnownCase]]
    due: dict[int, datetime]


async def _read(conn: Conn, ids: Collection[int], remembered: Mapping[int, Payments] = _NONE) -> _Known:
    """Reads the orders' facts, cases and due times, but not the payments that are `remembered`."""
    cases: dict[int, dict[CaseKey, KnownCase]] = {order_id: {} for order_id in ids}
    payments: dict[int, dict[ObjectKey, PaymentFacts]] = {order_id: {} for order_id in ids}
    refunds: dict[int, dict[ObjectKey, ReturnFacts]] = {order_id: {} for order_id in ids}
    disputes: dict[int, dict[ObjectKey, ReturnFacts]] = {order_id: {} for order_id in ids}
    due: dict[int, datetime] = {}
    paid = [order_id for order_id in ids if order_id not in remembered] if remembered else list(ids)
    for what, order_id, account, ref, facts in await conn.fetch(FACTS, list(ids), paid):
        if what == "payment":
            payments[order_id][account, ref] = _payment_facts(facts)
        elif what == "case":  # whose kind stands where others have their account
            cases[order_id][account, ref] = _known_case(order_id, account, ref, _case(facts))
        elif what == "due":
            due[order_id] = _moment(facts).astimezone(UTC)  # the session may have another zone
        else:
            (refunds if what == "refund" else disputes)[order_id][account, ref] = _return_facts(facts)
    known = {
        order_id: OrderFacts(
            payments=remembered.get(order_id, payments[order_id]),
            refunds=refunds[order_id],
            disputes=disputes[order_id],
        )
        for order_id in ids
    }
    return _Known(facts=known, cases=cases, due=due)


def _known_case(order_id: int, kind: str, subject: str, case: _Case) -> KnownCase:
    return KnownCase(
        kind=kind,
        subject=subject,
        order_id=order_id,
        state=case.state,
        level=case.level,
        captured=case.captured,
        refunded=case.refunded,
        closed_by=case.closed_by,
    )


# A query is repeated only while it is the last of its kind.
PROGRESS = """
SELECT r.order_id, r.action, max(r.at) AS at, max(r.tries) FILTER (WHERE r.retry_at IS NOT NULL) AS tries,
       max(r.at) FILTER (WHERE r.retry_at IS NOT NULL) AS unanswered_at, max(r.retry_at) AS retry_at,
       max(r.taken_at) FILTER (WHERE r.action IN ('query', 'close') AND r.retry_at IS NULL
                               AND r.result <> 'cannot be asked') AS answered_at,
       max(r.taken_at) FILTER (WHERE r.result = 'cannot be asked') AS refused_at,
       bool_or(r.result = 'cannot be asked' AND r.retry_at IS NOT NULL) AS cannot_be_put
FROM unnest($1::bigint[], $2::bigint[]) AS w (order_id, phase)
JOIN steps r ON r.order_id = w.order_id AND r.phase = w.phase
GROUP BY 1, 2
"""


class _Steps(msgspec.Struct, kw_only=True):
    """The steps of one phase."""

    last_steps: dict[Action, datetime] = msgspec.field(default_factory=dict)
    unanswered: dict[Action, Retry] = msgspec.field(default_factory=dict)
    answered_at: datetime = NEVER
    refused_at: datetime = NEVER


async def _with_progress(conn: Conn, orders: Iterable[OrderState]) -> dict[int, OrderState]:
    """Adds to the orders how far each has come in its present phase."""
    orders = list(orders)
    steps: dict[int, _Steps] = {}
    for row in await conn.fetch(PROGRESS, [order.id for order in orders], [order.phase for order in orders]):
        _add(steps.setdefault(row["order_id"], _Steps()), row)
    return {
        order.id: msgspec.structs.replace(order, progress=Progress(**msgspec.structs.asdict(steps[order.id])))
        if order.id in steps
        else order
        for order in orders
    }


def _add(steps: _Steps, row: Any) -> None:
    action = Action(row["action"])
    steps.last_steps[action] = row["at"]
    steps.answered_at = max(steps.answered_at, row["answered_at"] or NEVER)
    steps.refused_at = max(steps.refused_at, row["refused_at"] or NEVER)
    if row["retry_at"] is not None and row["unanswered_at"] == row["at"]:
        steps.unanswered[action] = Retry(
            step=Step(action=action, at=row["at"]),
            tries=row["tries"],
            at=row["retry_at"],
            cannot_be_put=row["cannot_be_put"],
        )
