"""Claims due notices, marks them as sent, and settles them.

A claim is a lease.  When it expires, any sender may claim the row, so that a killed sender loses nothing; `attempts`
grows with each claim, and a write names the number of its claim, so that one that is too slow changes nothing.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import asyncpg
import msgspec

from tillkeeper.domain.order.cases import MONEY_UNCLEAR
from tillkeeper.domain.order.mail_timing import PresentOrder
from tillkeeper.domain.order.notices import Audience
from tillkeeper.store.postgres.pool import Conn, as_json
from tillkeeper.store.rows import summary_in

MAIL: Final = "mail"  # the payer's only channel, and its name in `channels`


class Recipient(msgspec.Struct, frozen=True):
    """The payer's contact, from the order's terms.  Never logged, and never part of a payload."""

    email: str | None = None
    locale: str | None = None


class _Terms(msgspec.Struct, frozen=True):
    payer: Recipient | None = None


_terms = msgspec.json.Decoder(_Terms).decode


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A leased notice.  `claim` is the number of this claim."""

    key: str
    claim: int
    audience: Audience
    topic: str
    payload: bytes
    created_at: datetime
    due_at: datetime
    channels: bytes  # by channel, as the sender writes it
    order_id: int | None
    version: int | None
    order: PresentOrder | None
    recipient: Recipient | None
    is_shadow: bool = False  # its order was registered in shadow mode
    trace: str = ""  # the traceparent of what caused it, where that is traced


class SettledNotice(msgspec.Struct, frozen=True, kw_only=True):
    """The new state of a claimed row."""

    key: str
    claim: int
    channels: Mapping[str, Any]
    state: str
    due_at: datetime | None
    last_error: str | None
    finished_at: datetime | None


# key = ANY (ARRAY (...)): the LIMIT is evaluated once, and the primary key finds the rows, as in store/jobs/spool.py.
CLAIM = """
WITH taken AS (
    UPDATE outbox SET leased_until = $2, attempts = attempts + 1
    WHERE key = ANY (ARRAY (
        SELECT key FROM outbox
        WHERE due_at <= $1 AND leased_until <= $1 AND audience = ANY($3::text[])
        ORDER BY due_at
        LIMIT $4
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING key, attempts, audience, topic, payload, created_at, due_at, channels, order_id, version, trace
)
SELECT t.key, t.attempts, t.audience, t.topic, t.payload, t.created_at, t.due_at, t.channels, t.order_id, t.version,
       t.trace, o.terms, o.status, o.captured_minor, o.refunding_minor, o.refunded_minor,
       o.discount_minor, o.closed_at IS NOT NULL AS closed,
       coalesce(o.held_until > $1, false) AS held,
       coalesce((SELECT s.terms ? 'shadow' FROM orders AS s WHERE s.id = t.order_id), false) AS is_shadow
FROM taken AS t LEFT JOIN orders AS o ON o.id = t.order_id AND t.audience = 'payer'
ORDER BY t.due_at, t.key
"""


async def claim(
    conn: Conn, *, audiences: Collection[Audience], limit: int, leased_until: datetime, now: datetime
) -> list[Claimed]:
    """Leases due notices to these audiences until `leased_until`, the longest due first."""
    rows = await conn.fetch(CLAIM, now, leased_until, [str(audience) for audience in audiences], limit)
    doubts = await _doubts(conn, {row["order_id"] for row in rows if row["status"] is not None})
    return [
        Claimed(
            key=row["key"],
            claim=row["attempts"],
            audience=Audience(row["audience"]),
            topic=row["topic"],
            payload=row["payload"].encode(),
            created_at=row["created_at"],
            due_at=row["due_at"],
            channels=row["channels"].encode(),
            order_id=row["order_id"],
            version=row["version"],
            order=None if row["status"] is None else _order_now(row, doubts[row["order_id"]], mails=0),
            recipient=None if row["terms"] is None else _recipient_in(row["terms"]),
            is_shadow=row["is_shadow"],
            trace=row["trace"] or "",
        )
        for row in rows
    ]


# `under_way` and `unclear` of domain/order/mail_timing.py.
DOUBTS = """
SELECT o.id,
       (SELECT bool_or(p.status IN ('pending', 'authorized'))
               OR sum(p.held_minor) >= greatest(1, o.amount_minor - o.discount_minor - o.captured_minor)
        FROM payments AS p WHERE p.order_id = o.id) IS TRUE AS under_way,
       EXISTS (SELECT FROM cases AS c WHERE c.order_id = o.id AND c.closed_at IS NULL AND c.kind = ANY($2::text[]))
           OR EXISTS (SELECT FROM parked AS k WHERE k.outcome IS NULL AND k.order_ref = o.order_ref)
           OR EXISTS (SELECT FROM parked AS k JOIN payments AS p USING (account, payment_ref)
                      WHERE k.outcome IS NULL AND p.order_id = o.id) AS unclear,
       EXISTS (SELECT FROM account_pauses AS q WHERE q.ended_at IS NULL AND q.account = ANY (o.accounts)) AS paused
FROM orders AS o WHERE o.id = ANY($1::bigint[])
"""


async def _doubts(conn: Conn, order_ids: Collection[int]) -> dict[int, asyncpg.Record]:
    """Returns for each order whether money of it may be on its way, or may be there and not count."""
    if not order_ids:
        return {}
    return {row["id"]: row for row in await conn.fetch(DOUBTS, sorted(order_ids), sorted(MONEY_UNCLEAR))}


def _order_now(row: asyncpg.Record, doubts: asyncpg.Record, *, mails: int) -> PresentOrder:
    return PresentOrder(
        summary=summary_in(row),
        closed=row["closed"],
        held=row["held"],
        under_way=doubts["under_way"],
        unclear=doubts["unclear"],
        paused=doubts["paused"],
        mails=mails,
    )


def _recipient_in(terms: str) -> Recipient:
    """Returns the payer's contact; an empty one where the terms are unreadable, so that one order cannot stop all."""
    try:
        return _terms(terms).payer or Recipient()
    except msgspec.MsgspecError:
        return Recipient()


LOCK_ORDER = """
SELECT status, captured_minor, refunding_minor, refunded_minor, discount_minor, closed_at IS NOT NULL AS closed,
       coalesce(held_until > $2, false) AS held
FROM orders WHERE id = $1 FOR NO KEY UPDATE
"""

# Counted only once the order is locked, so that two notices about it cannot both be the last allowed one.
COUNT_MAILS = """
SELECT count(*) FROM outbox
WHERE order_id = $1 AND audience = 'payer' AND key <> $2 AND channels -> 'mail' ->> 'outcome' IN ('sent', 'uncertain')
"""


async def lock_order(conn: Conn, claimed: Claimed, *, now: datetime) -> PresentOrder:
    """Locks and returns the order of a payer's notice, so that it does not change before the transaction ends."""
    assert claimed.order_id is not None, "a payer's notice has an order"
    row = await conn.fetchrow(LOCK_ORDER, claimed.order_id, now)
    assert row is not None, "orders are never removed"
    mails = await conn.fetchval(COUNT_MAILS, claimed.order_id, claimed.key)
    return _order_now(row, (await _doubts(conn, [claimed.order_id]))[claimed.order_id], mails=mails)


MARK = """
UPDATE outbox SET channels = channels || $3::jsonb WHERE key = $1 AND attempts = $2 AND due_at IS NOT NULL RETURNING 1
"""


async def mark(conn: Conn, claimed: Claimed, channels: Mapping[str, Any]) -> bool:
    """Adds channels to the row; returns False when another has claimed it meanwhile."""
    return await conn.fetchval(MARK, claimed.key, claimed.claim, msgspec.json.encode(channels).decode()) is not None


SETTLE = """
UPDATE outbox AS o
SET channels = w.channels, state = w.state, due_at = w.due_at, last_error = w.last_error, finished_at = w.finished_at,
    leased_until = '-infinity'
FROM json_populate_recordset(NULL::outbox, $1::json) AS w
WHERE o.key = w.key AND o.attempts = w.attempts AND o.due_at IS NOT NULL
RETURNING o.key
"""


async def settle(conn: Conn, settled: Sequence[SettledNotice]) -> set[str]:
    """Writes the new states of claimed rows and ends their leases; returns the keys of those that were still leased."""
    if not settled:
        return set()
    rows = [
        {
            "key": notice.key,
            "attempts": notice.claim,
            "channels": notice.channels,
            "state": notice.state,
            "due_at": notice.due_at,
        }
        | {"last_error": notice.last_error, "finished_at": notice.finished_at}
        for notice in sorted(settled, key=lambda notice: notice.key)
    ]
    return {row["key"] for row in await conn.fetch(SETTLE, as_json(rows))}
