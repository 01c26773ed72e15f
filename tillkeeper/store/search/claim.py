"""Reads everything that the answer to "the customer says they paid" rests on, in one snapshot."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg
import msgspec

from tillkeeper.domain.delivery import unpack, unproven
from tillkeeper.domain.events import Kind, PaymentEvent
from tillkeeper.domain.likely_orders import EARLIER, match_of
from tillkeeper.domain.order.state import OrderState
from tillkeeper.domain.payment_claim import (
    AccountTalk,
    ClaimKnowledge,
    HeldEvent,
    OpenFetch,
    ParkedMoney,
    PossibleMoney,
)
from tillkeeper.domain.search.hits import READ_MAX
from tillkeeper.domain.similar_references import WaitingMoney
from tillkeeper.store.orders.loading import read_orders
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.search.find import BY_INDEX, LIMIT_TIME
from tillkeeper.store.search.waiting import ends_of

ORDER = "SELECT id, registered_at FROM orders WHERE order_ref = $1"
SHOWN_MAX: Final = 10  # payments that wait
HELD_LOOKED_AT_MAX: Final = 5_000  # of each paused account: of 2 KB each they take some 8 ms of CPU


async def read_claim(pool: asyncpg.Pool, order_ref: str, *, now: datetime) -> ClaimKnowledge | None:
    """Reads what is known about an order's payment, or None where no such order is registered.

    Which accounts can be asked is no matter of the database: the caller adds it.
    """
    async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        await conn.execute(LIMIT_TIME)
        await conn.execute(BY_INDEX)
        row = await conn.fetchrow(ORDER, order_ref)
        if row is None:
            return None
        order = (await read_orders(conn, [row["id"]]))[row["id"]]
        return ClaimKnowledge(
            order=order,
            possible=await _possible(conn, order, row["registered_at"], now),
            parked=await _parked(conn, order),
            held=await _held(conn, order),
            fetches=await _fetches(conn, order),
            accounts=await _accounts(conn, order),
            now=now,
        )


WAITING_ENDING = """
SELECT i.account, i.order_ref, i.payment_ref, i.amount_minor AS amount, i.currency, i.recorded_at
FROM unnest($1::text[], $2::text[]) AS span (low, high) CROSS JOIN LATERAL (
    SELECT * FROM inbox
    WHERE outcome IN ('waiting', 'mismatched') AND outcome = 'waiting' AND order_ref IS NOT NULL
      AND reverse(lower(order_ref COLLATE "C")) >= span.low AND reverse(lower(order_ref COLLATE "C")) < span.high
      AND kind IN ('payment.succeeded', 'payment.authorized', 'payment.pending')
    LIMIT $3
) AS i
"""
WAITING_OF_AMOUNT = """
SELECT account, coalesce(order_ref, '') AS order_ref, payment_ref, amount_minor AS amount, currency, recorded_at
FROM inbox
WHERE outcome = 'waiting' AND recorded_at >= $1 AND recorded_at <= $2 AND amount_minor = $3 AND currency = $4
  AND kind IN ('payment.succeeded', 'payment.authorized', 'payment.pending')
ORDER BY recorded_at DESC LIMIT $5
"""


async def _possible(conn: Conn, order: OrderState, registered_at: datetime, now: datetime) -> tuple[PossibleMoney, ...]:
    rows = list[Any]()
    rows += await conn.fetch(WAITING_ENDING, *ends_of(order.order.order_ref), READ_MAX)
    span = registered_at - EARLIER, max(now, registered_at) + timedelta(seconds=1)
    rows += await conn.fetch(WAITING_OF_AMOUNT, *span, order.order.amount, order.order.currency, READ_MAX)
    found = {(row["account"], row["payment_ref"]): _money(order, row, registered_at) for row in rows}
    fitting = [each for each in found.values() if each.match.is_possible]
    fitting.sort(key=lambda each: (-each.match.weight, each.seen_at))
    return tuple(fitting[:SHOWN_MAX])


def _money(order: OrderState, row: Any, registered_at: datetime) -> PossibleMoney:
    fields = dict(row)
    seen_at = fields.pop("recorded_at")
    money = WaitingMoney(**fields)
    match = match_of(order.order, money, registered_at=registered_at, seen_at=seen_at)
    return PossibleMoney(money=money, seen_at=seen_at, match=match)


PARKED = """
SELECT id, account, payment_ref, parked_at, readable, body FROM (
    SELECT * FROM parked WHERE order_ref = $1 AND outcome IS NULL
    UNION
    SELECT k.* FROM parked k JOIN unnest($2::text[], $3::text[]) AS w (account, payment_ref)
           ON k.account = w.account AND k.payment_ref = w.payment_ref AND k.outcome IS NULL
) AS found ORDER BY id LIMIT $4
"""


async def _parked(conn: Conn, order: OrderState) -> tuple[ParkedMoney, ...]:
    rows = await conn.fetch(PARKED, order.order.order_ref, *_payments_of(order), SHOWN_MAX)
    return tuple(
        ParkedMoney(
            number=row["id"],
            account=row["account"],
            payment_ref=row["payment_ref"],
            parked_at=row["parked_at"],
            succeeded=row["readable"] and Kind.PAYMENT_SUCCEEDED in _kinds(row["body"]),
        )
        for row in rows
    )


# Bodies hold references as they are.  Of each pause the latest are looked at: that it is paused is said in any case.
HELD = """
SELECT h.body, h.received_at FROM account_pauses p
CROSS JOIN LATERAL (SELECT * FROM held_deliveries WHERE pause_id = p.id ORDER BY position DESC LIMIT $3) AS h
WHERE p.ended_at IS NULL AND p.account = ANY($1::text[])
  AND EXISTS (SELECT FROM unnest($2::bytea[]) AS w (named) WHERE position(w.named IN h.body) > 0)
ORDER BY h.position LIMIT $4
"""


async def _held(conn: Conn, order: OrderState) -> tuple[HeldEvent, ...]:
    """Reads events about payments of the order that the guard holds: also at accounts where it is not expected."""
    payments, known = set(order.facts.payments), order.order
    accounts = sorted({*known.accounts, *(account for account, _ in payments)})
    named = [ref.encode() for ref in sorted({known.order_ref, *(ref for _, ref in payments)})]
    rows = await conn.fetch(HELD, accounts, named, HELD_LOOKED_AT_MAX, SHOWN_MAX)
    return tuple(
        HeldEvent(
            account=event.account,
            payment_ref=event.payment_ref,
            amount=event.amount,
            currency=event.currency,
            received_at=row["received_at"],
            succeeded=event.kind == Kind.PAYMENT_SUCCEEDED,
        )
        for row in rows
        for event in _events(row["body"])
        if event.kind.startswith("payment.")
        and (event.order_ref == known.order_ref or (event.account, event.payment_ref) in payments)
    )


def _events(message: bytes) -> list[PaymentEvent]:
    try:
        return [event for delivery in unproven(message).deliveries for event in delivery.events]
    except msgspec.MsgspecError:  # a message of a later version
        return []


def _kinds(body: bytes) -> Iterable[str]:
    return [event.kind for delivery in unpack(body).deliveries for event in delivery.events]


FETCHES = """
SELECT f.account, f.payment_ref, f.requested_at FROM unnest($1::text[], $2::text[]) AS w (account, payment_ref)
JOIN fetches f ON f.account = w.account AND f.about = 'payment' AND f.payment_ref = w.payment_ref
WHERE f.due_at IS NOT NULL AND f.proven ORDER BY f.requested_at LIMIT $3
"""


async def _fetches(conn: Conn, order: OrderState) -> tuple[OpenFetch, ...]:
    """Reads the open queries that signed deliveries asked for; what proves nothing is no sign of money."""
    return tuple(OpenFetch(**row) for row in await conn.fetch(FETCHES, *_payments_of(order), SHOWN_MAX))


def _payments_of(order: OrderState) -> tuple[list[str], list[str]]:
    keys = sorted(order.facts.payments)
    return [account for account, _ in keys], [ref for _, ref in keys]


ACCOUNTS = """
SELECT w.account, h.failing_since,
       (SELECT paused_at FROM account_pauses p WHERE p.account = w.account AND p.ended_at IS NULL) AS paused_at,
       (SELECT since FROM silences s WHERE s.account = w.account AND s.kind = 'silent' AND s.ended_at IS NULL)
           AS silent_since
FROM unnest($1::text[]) AS w (account) LEFT JOIN account_health h ON h.account = w.account ORDER BY 1
"""


async def _accounts(conn: Conn, order: OrderState) -> tuple[AccountTalk, ...]:
    return tuple(AccountTalk(**row) for row in await conn.fetch(ACCOUNTS, sorted(order.order.accounts)))
