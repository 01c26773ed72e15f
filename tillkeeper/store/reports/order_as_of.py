"""Reads an order as of any moment: what was known then, recomputed from the inbox (domain/order/as_known.py)."""

from datetime import datetime
from typing import Annotated, Any

import asyncpg
import msgspec
from msgspec import Meta

from tillkeeper.domain.order.as_known import as_known
from tillkeeper.domain.order.registration import ClaimedPayment
from tillkeeper.domain.order.view import OrderView
from tillkeeper.store.deliveries.inbox import readable_event_of
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.reports.shown_order import Moment
from tillkeeper.store.rows import order_in


class NotRegisteredYet(Exception):
    """Nobody had registered the order by then."""

    def __init__(self, registered_at: datetime) -> None:
        super().__init__(f"it was registered at {registered_at.isoformat()}")
        self.registered_at = registered_at


class LatestEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The event that was recorded last."""

    kind: Annotated[str, Meta(description="payment.succeeded and so on.")]
    account: Annotated[str, Meta(description="The account that it came from.")]
    event_id: Annotated[str, Meta(description="Its id there.")]
    recorded_at: Annotated[Moment, Meta(description="When it was recorded, by our clock.")]
    occurred_at: Annotated[Moment, Meta(description="When it happened, by its gateway's.")]


class OrderAsOf(OrderView, frozen=True, kw_only=True):
    """An order as it was known at a moment: what was recorded later is left out, also where it tells of before."""

    at: Annotated[Moment, Meta(description="The moment.")]
    line: Annotated[str, Meta(description="The line of the status table that held, by its name.")]
    because: Annotated[str, Meta(description="What that line says (docs/states.md).")]
    registered_at: Annotated[Moment, Meta(description="When the order was registered.")]
    closed_at: Annotated[Moment | None, Meta(description="Since when no payment was expected; null: it was.")]
    events: Annotated[int, Meta(ge=0, description="How many events were recorded by then.")]
    unread: Annotated[
        int,
        Meta(ge=0, description="How many of these are left out: a later version wrote them, with words of its own."),
    ]
    latest: Annotated[LatestEvent | None, Meta(description="The last of them.")]


ORDER = """
SELECT id, order_ref, amount_minor, currency, accounts, registered_at, terms -> 'payments' AS payments
FROM orders WHERE order_ref = $1
"""
# What waited counts from when it was taken up: that is when it was recorded as the order's.
EVENTS = "SELECT * FROM inbox WHERE order_id = $1 AND recorded_at <= $2 ORDER BY recorded_at, seq"
CLOSED = """
SELECT what, at FROM acts WHERE order_id = $1 AND at <= $2 AND what IN ('close', 'reopen')
ORDER BY at DESC, id DESC LIMIT 1
"""


async def read_as_of(pool: asyncpg.Pool, order_ref: str, at: datetime) -> OrderAsOf | None:
    """Reads the order as of then, or None if there is none.  Raises NotRegisteredYet."""
    async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        row = await conn.fetchrow(ORDER, order_ref)
        if row is None:
            return None
        if at < row["registered_at"]:
            raise NotRegisteredYet(row["registered_at"])
        return await _as_of(conn, row, at)


async def _as_of(conn: Conn, row: Any, at: datetime) -> OrderAsOf:
    claims = msgspec.json.decode(row["payments"] or "[]", type=list[ClaimedPayment])
    events = await conn.fetch(EVENTS, row["id"], at)
    closed = await conn.fetchrow(CLOSED, row["id"], at)
    readable = [event for event in map(readable_event_of, events) if event is not None]
    known = as_known(order_in(row), [(claim.account, claim.payment_ref) for claim in claims], readable, at=at)
    return OrderAsOf(
        **msgspec.structs.asdict(known.view),
        at=at,
        line=known.rule.name,
        because=known.rule.when,
        registered_at=row["registered_at"],
        closed_at=closed["at"] if closed is not None and closed["what"] == "close" else None,
        events=len(events),
        unread=len(events) - len(readable),
        latest=_latest(events[-1]) if events else None,
    )


def _latest(row: Any) -> LatestEvent:
    return LatestEvent(**{name: row[name] for name in LatestEvent.__struct_fields__})
