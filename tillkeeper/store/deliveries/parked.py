"""Stores events that could not be applied, a row for each, for people to see, replay or discard."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from tillkeeper.domain.delivery import Delivery, Envelope, EnvelopeKeys, pack, unpack, unproven
from tillkeeper.domain.events import PaymentEvent
from tillkeeper.store.due_orders import set_due_by
from tillkeeper.store.postgres.pool import Conn

NOT_AUTHENTIC: Final = "not_authentic"  # the reason for a message that no known receiver signed
FETCHES: Final = "to be fetched"  # in an event id's place
ERROR_CHARS_MAX: Final = 500  # enough to see what went wrong


class ParkedNotOpen(Exception):
    """There is no open parked row of this number: it was replayed, discarded or superseded, or never existed."""


class UnreadableMessage(Exception):
    """The parked message is no envelope: it can be shown and discarded, but not replayed."""


PARK = """
INSERT INTO parked (run, number, account, event_id, body, readable, reason, error, parked_at, order_ref, payment_ref)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (run, number, event_id) DO NOTHING
RETURNING 1
"""


async def park_event(
    conn: Conn, delivery: Delivery, event: PaymentEvent, *, reason: str, error: str, now: datetime
) -> bool:
    """Parks an event with its delivery.  Returns False, and changes nothing, if it is parked already."""
    alone = msgspec.structs.replace(delivery, events=(event,), fetches=())
    return await _park(conn, alone, event.event_id, reason=reason, error=error, now=now)


async def park_fetches(conn: Conn, delivery: Delivery, *, reason: str, error: str, now: datetime) -> None:
    """Parks the queries of a delivery that cannot be stored: one row, beside those of its events."""
    if delivery.fetches:
        alone = msgspec.structs.replace(delivery, events=())
        await _park(conn, alone, FETCHES, reason=reason, error=error, now=now)


async def _park(conn: Conn, delivery: Delivery, event_id: str, *, reason: str, error: str, now: datetime) -> bool:
    body = pack(Envelope(run=delivery.run, deliveries=(delivery,)))
    parked = await conn.fetchval(
        PARK,
        delivery.run,
        delivery.number,
        printable(delivery.account),
        printable(event_id),
        body,
        True,
        reason,
        printable(error),
        now,
        *_named(delivery.events),
    )
    return parked is not None


def _named(events: Sequence[PaymentEvent]) -> tuple[str | None, str | None]:
    """Returns the order's and the payment's reference of the parked event."""
    order_ref, payment_ref = next(((event.order_ref, event.payment_ref) for event in events), (None, None))
    return order_ref and printable(order_ref), payment_ref and printable(payment_ref)


async def park_unreadable(conn: Conn, body: bytes, *, reason: str, error: str, now: datetime) -> None:
    """Parks a whole message that is no envelope, or that no known receiver signed."""
    await conn.execute(PARK, None, None, None, None, body, False, reason, printable(error), now, None, None)


def printable(text: str) -> str:
    """Makes a text fit for PostgreSQL, and no longer than a person reads."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")[:ERROR_CHARS_MAX]


PARKED_OF = """
SELECT o.id FROM orders o JOIN parked k USING (order_ref) WHERE k.outcome IS NULL AND o.id = ANY($1::bigint[])
UNION
SELECT p.order_id FROM payments p JOIN parked k USING (account, payment_ref)
WHERE k.outcome IS NULL AND p.order_id = ANY($1::bigint[])
"""


async def parked_of(conn: Conn, ids: Collection[int]) -> frozenset[int]:
    """Returns those of the orders that have a parked event, by their reference or by a payment's."""
    return frozenset(row["id"] for row in await conn.fetch(PARKED_OF, list(ids)))


# A redelivery of a message that could not even be stored has put its event into the inbox itself.
SUPERSEDE = """
UPDATE parked AS k
SET outcome = CASE WHEN k.reason = 'cannot_be_kept' AND EXISTS (
        SELECT FROM inbox x
        WHERE x.account = k.account AND x.event_id = k.event_id AND x.run = k.run AND x.number = k.number
    ) THEN 'replayed' ELSE 'superseded' END,
    closed_at = $2, closed_by = 'redelivery'
WHERE id = ANY($1::bigint[]) AND outcome IS NULL
"""


async def supersede(conn: Conn, ids: Sequence[int], *, now: datetime) -> None:
    """Closes the parked rows of these events, because a redelivery was applied."""
    if ids:
        await conn.execute(SUPERSEDE, sorted(ids), now)


LIST_PARKED = """
SELECT id, account, event_id, readable, reason, error, parked_at, outcome, closed_at, closed_by, note, order_ref,
       payment_ref
FROM parked
WHERE (outcome IS NULL OR $1) AND id > $2 AND ($3::text IS NULL OR account = $3) AND ($4::text IS NULL OR reason = $4)
ORDER BY id LIMIT $5
"""


async def list_parked(
    conn: Conn,
    *,
    closed_too: bool,
    limit: int,
    after: int = 0,
    account: str | None = None,
    reason: str | None = None,
) -> list[dict[str, Any]]:
    """Reads the oldest parked rows after that number; closed ones only on request."""
    return [dict(row) for row in await conn.fetch(LIST_PARKED, closed_too, after, account, reason, limit)]


COUNT_PARKED = """
SELECT reason, count(*) AS count, min(parked_at) AS oldest, count(*) FILTER (WHERE parked_at > $1) AS new
FROM parked WHERE outcome IS NULL GROUP BY reason ORDER BY count(*) DESC, reason
"""


async def count_parked(conn: Conn, *, since: datetime) -> list[dict[str, Any]]:
    """Counts open rows by their reason, with the oldest of each, and how many came since then."""
    return [dict(row) for row in await conn.fetch(COUNT_PARKED, since)]


PARKED_NAMED = """
SELECT id, account, event_id, readable, reason, error, parked_at, outcome, closed_at, closed_by, note, order_ref,
       payment_ref
FROM parked WHERE id = ANY($1::bigint[]) ORDER BY id
"""


async def parked_named(conn: Conn, ids: Sequence[int]) -> list[dict[str, Any]]:
    """Reads those of these rows that exist, open or closed."""
    return [dict(row) for row in await conn.fetch(PARKED_NAMED, ids)]


SHOW_PARKED = """
SELECT id, account, event_id, readable, reason, error, parked_at, outcome, closed_at, closed_by, note, order_ref,
       payment_ref, body
FROM parked WHERE id = $1
"""


async def show_parked(conn: Conn, parked_id: int) -> dict[str, Any] | None:
    """Reads a parked row, with its delivery where that is readable."""
    row = await conn.fetchrow(SHOW_PARKED, parked_id)
    if row is None:
        return None
    shown = dict(row)
    body: bytes = shown.pop("body")
    shown["delivery"] = _shown_delivery(body)
    shown["message_bytes"] = len(body)
    return shown


def _shown_delivery(body: bytes) -> object:
    """Returns the first delivery of a message, whoever sent it."""
    try:
        deliveries = unproven(body).deliveries
    except msgspec.MsgspecError:
        return None
    return msgspec.to_builtins(deliveries[0]) if deliveries else None


TAKE_PARKED = "SELECT body, readable FROM parked WHERE id = $1 AND outcome IS NULL FOR UPDATE"


async def take_parked(conn: Conn, parked_id: int) -> Delivery:
    """Locks an open parked row and returns its delivery of one event.  Raises NotOpen, or UnreadableMessage."""
    row = await conn.fetchrow(TAKE_PARKED, parked_id)
    if row is None:
        raise ParkedNotOpen
    if not row["readable"]:
        raise UnreadableMessage
    return unpack(row["body"]).deliveries[0]


TAKE_MESSAGE = "SELECT body FROM parked WHERE id = $1 AND outcome IS NULL AND NOT readable AND reason = $2 FOR UPDATE"


async def take_message(conn: Conn, parked_id: int, keys: EnvelopeKeys) -> Envelope:
    """Locks an open row of a message that was not authentic, and returns the envelope that `keys` verify now.

    Raises UnreadableMessage for other rows, or NotAuthentic still.
    """
    body = await conn.fetchval(TAKE_MESSAGE, parked_id, NOT_AUTHENTIC)
    if body is None:
        raise UnreadableMessage
    return keys.open(body)


COUNT_SIBLINGS = """
UPDATE deliveries SET events = events + (
    SELECT count(*) FROM parked
    WHERE run = $1 AND number = $2 AND id <> $3 AND event_id <> $4 AND outcome IS DISTINCT FROM 'replayed'
)
WHERE run = $1 AND number = $2
"""


async def count_siblings(conn: Conn, delivery: Delivery, parked_id: int) -> None:
    """Counts the other events of a delivery that is stored only now, which are parked beside this one."""
    await conn.execute(COUNT_SIBLINGS, delivery.run, delivery.number, parked_id, FETCHES)


# What the parked event held back may be due now.
LOCK_ITS_ORDERS = """
SELECT id, greatest($2::timestamptz, held_until) AS look_at FROM orders
WHERE closed_at IS NULL AND id IN (
    SELECT o.id FROM parked k JOIN orders o USING (order_ref) WHERE k.id = $1
    UNION ALL
    SELECT p.order_id FROM parked k JOIN payments p USING (account, payment_ref) WHERE k.id = $1
)
ORDER BY id FOR NO KEY UPDATE
"""

CLOSE_PARKED = """
UPDATE parked SET outcome = $2, closed_at = $3, closed_by = $4, note = $5 WHERE id = $1 AND outcome IS NULL RETURNING 1
"""


async def close_parked(
    conn: Conn,
    parked_id: int,
    outcome: Literal["replayed", "superseded", "discarded"],
    *,
    by: str,
    note: str,
    now: datetime,
) -> None:
    """Closes a parked row with its outcome, who closed it, and why.  Raises NotOpen."""
    orders = await conn.fetch(LOCK_ITS_ORDERS, parked_id, now)  # orders are locked first, as everywhere
    await set_due_by(conn, {order["id"]: order["look_at"] for order in orders})
    if await conn.fetchval(CLOSE_PARKED, parked_id, outcome, now, by, note) is None:
        raise ParkedNotOpen
