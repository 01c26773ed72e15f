"""Stores each delivery once, and each event once with its outcome."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from tillkeeper.domain.batch import BatchItem, DeliveryKey
from tillkeeper.domain.delivery import Delivery
from tillkeeper.domain.events import Evidence, Kind, PaymentEvent
from tillkeeper.domain.failures import FailureClass
from tillkeeper.domain.order.receiving import Outcome
from tillkeeper.store.postgres.pool import Conn, as_json
from tillkeeper.store.postgres.sqlstates import WriteConflict

# Bodies travel as an array beside the rows: in JSON they would be hexadecimal.  The rows are read twice, for what stays
# for ever and for the bytes: read once for both, they would be written down in between.  The statement also counts each
# account's activity (store/accounts/health.py reads it).
INSERT_DELIVERIES = """
WITH kept AS (
    INSERT INTO deliveries (run, number, account, received_at, key, headers, events, duplicates, fetches)
    SELECT run, number, account, received_at, key, '[]', events, coalesce(duplicates, 0), coalesce(fetches, 0)
    FROM json_to_recordset($1::json) AS w (run uuid, number bigint, account text, received_at timestamptz, key text,
                                           events int, duplicates int, fetches int)
    RETURNING account, received_at
), bytes AS (
    INSERT INTO delivery_bodies (run, number, received_at, proven, headers, query, body)
    SELECT run, number, received_at, key <> 'unsigned', headers, coalesce(query, ''), body
    FROM ROWS FROM (
        json_to_recordset($1::json) AS (run uuid, number bigint, received_at timestamptz, key text, headers jsonb,
                                        query text),
        unnest($2::bytea[])
    ) AS w (run, number, received_at, key, headers, query, body)
    WHERE body IS NOT NULL
), counted AS (
    INSERT INTO activity AS h (account, hour, backend, minutes, deliveries, last_at)
    SELECT account, date_trunc('hour', received_at, 'UTC'), pg_backend_pid(),
           bit_or(1::bigint << extract(minute FROM received_at AT TIME ZONE 'UTC')::int), count(*), max(received_at)
    FROM kept GROUP BY 1, 2 ORDER BY 1, 2
    ON CONFLICT (account, hour, backend) DO UPDATE
    SET minutes = h.minutes | excluded.minutes, deliveries = h.deliveries + excluded.deliveries,
        last_at = greatest(h.last_at, excluded.last_at)
)
SELECT FROM kept LIMIT 0
"""


class _DeliveryRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A row of deliveries, and of delivery_bodies but for the body."""

    run: UUID
    number: int
    account: str
    received_at: datetime
    key: str
    headers: tuple[tuple[str, str], ...]
    events: int
    duplicates: int = 0
    query: str = ""
    fetches: int = 0


async def insert_deliveries(
    conn: Conn,
    deliveries: Sequence[Delivery],
    duplicates: Mapping[DeliveryKey, int],
    *,
    without_content: Collection[DeliveryKey] = (),
) -> None:
    """Stores raw deliveries; those `without_content` for the books alone, because their payer's data was erased.

    Raises WriteConflict if another transaction stored one of them meanwhile.
    """
    deliveries = sorted(deliveries, key=lambda delivery: (delivery.run, delivery.number))
    contents = [None if (each.run, each.number) in without_content else each for each in deliveries]
    rows = [
        _DeliveryRow(
            run=delivery.run,
            number=delivery.number,
            account=delivery.account,
            received_at=delivery.received_at,
            key=delivery.key,
            headers=content.headers if content else (),
            events=len(delivery.events),
            duplicates=duplicates.get((delivery.run, delivery.number), 0),
            query=content.query if content else "",
            fetches=len(delivery.fetches),
        )
        for delivery, content in zip(deliveries, contents, strict=True)
    ]
    try:
        await conn.execute(INSERT_DELIVERIES, as_json(rows), [content and content.body for content in contents])
    except asyncpg.UniqueViolationError:
        raise WriteConflict from None


COUNT_DUPLICATE = "UPDATE deliveries SET duplicates = duplicates + 1 WHERE run = $1 AND number = $2"


async def count_duplicate(conn: Conn, key: DeliveryKey) -> None:
    """Counts a duplicate at a delivery that is stored already."""
    await conn.execute(COUNT_DUPLICATE, *key)


REAFFIRM = """
UPDATE inbox AS x SET as_of = w.as_of
FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS w (account, event_id, as_of)
WHERE x.account = w.account AND x.event_id = w.event_id AND coalesce(x.as_of, x.occurred_at) < w.as_of
"""


async def reaffirm(conn: Conn, events: Iterable[PaymentEvent]) -> None:
    """Stores for known events the later moment for which an answer said the same again."""
    rows = sorted((event.account, event.event_id, event.known_at) for event in events)
    if rows:
        await conn.execute(REAFFIRM, *map(list, zip(*rows, strict=True)))


class EventRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A row of inbox.  Nulls are left out: half of the columns mostly are null, and PostgreSQL reads each name."""

    account: str
    event_id: str
    run: UUID | None = None
    number: int | None = None
    kind: str
    evidence: str
    order_ref: str | None = None
    payment_ref: str | None = None
    capture_ref: str | None = None
    refund_ref: str | None = None
    dispute_ref: str | None = None
    amount_minor: int | None = None
    total_minor: int | None = None
    currency: str | None = None
    failure: str | None = None
    failure_code: str | None = None
    method: str | None = None
    discount_minor: int | None = None
    has_refunds: bool | None = None
    on_top_minor: int | None = None
    released_minor: int | None = None
    may_be_release: bool | None = None
    occurred_at: datetime
    as_of: datetime | None = None
    digest: str
    outcome: Outcome | None
    reason: str | None = None
    order_id: int | None = None
    status_after: str | None = None


def event_rows(items: Iterable[BatchItem]) -> list[EventRow]:
    """Makes rows of new events with their outcomes, in the order in which all write them."""
    return sorted(map(_row, items), key=_id_of)


def _row(item: BatchItem) -> EventRow:
    event = item.event
    run, number = item.delivery or (None, None)
    return EventRow(
        account=event.account,
        event_id=event.event_id,
        run=run,
        number=number,
        kind=event.kind,
        evidence=event.evidence,
        order_ref=event.order_ref,
        payment_ref=event.payment_ref,
        capture_ref=event.capture_ref,
        refund_ref=event.refund_ref,
        dispute_ref=event.dispute_ref,
        amount_minor=event.amount,
        total_minor=event.total,
        currency=event.currency,
        failure=event.failure,
        failure_code=event.failure_code,
        method=event.method,
        discount_minor=event.discount,
        has_refunds=event.has_refunds or None,
        on_top_minor=event.on_top,
        released_minor=event.released,
        may_be_release=event.may_be_release or None,
        occurred_at=event.occurred_at,
        as_of=event.as_of,
        digest="\\x" + item.digest.hex(),
        outcome=item.outcome,
        reason=item.reason,
        order_id=item.order_id,
        status_after=item.status_after,
    )


def _settled(item: BatchItem) -> dict[str, object]:
    return {
        "outcome": item.outcome,
        "reason": item.reason,
        "order_id": item.order_id,
        "status_after": item.status_after,
    }


def _id_of(row: EventRow) -> tuple[str, str]:
    return row.account, row.event_id


SETTLE_WAITING = """
UPDATE inbox AS x
SET outcome = w.outcome, reason = w.reason, order_id = w.order_id, status_after = w.status_after, recorded_at = $2
FROM json_populate_recordset(NULL::inbox, $1::json) AS w
WHERE x.account = w.account AND x.event_id = w.event_id AND x.outcome = 'waiting'
RETURNING 1
"""


async def settle_waiting(conn: Conn, items: Sequence[BatchItem], *, now: datetime) -> None:
    """Writes the outcomes of events that waited."""
    if items:
        rows = [{"account": item.event.account, "event_id": item.event.event_id, **_settled(item)} for item in items]
        written = await conn.fetch(SETTLE_WAITING, as_json(rows), now)
        if len(written) != len(items):
            raise WriteConflict


INSERT_VOID = """
INSERT INTO void_numbers (run, number) SELECT * FROM unnest($1::uuid[], $2::bigint[]) ON CONFLICT DO NOTHING
"""


async def insert_void(conn: Conn, void: Collection[DeliveryKey]) -> None:
    """Stores the numbers of deliveries that a receiver answered 503."""
    if void:
        keys = sorted(void)
        await conn.execute(INSERT_VOID, [run for run, _ in keys], [number for _, number in keys])


def event_of(row: asyncpg.Record) -> PaymentEvent:
    """Returns the canonical event of an inbox row."""
    return PaymentEvent(
        event_id=row["event_id"],
        kind=Kind(row["kind"]),
        account=row["account"],
        occurred_at=row["occurred_at"],
        evidence=Evidence(row["evidence"]),
        order_ref=row["order_ref"],
        payment_ref=row["payment_ref"],
        capture_ref=row["capture_ref"],
        refund_ref=row["refund_ref"],
        dispute_ref=row["dispute_ref"],
        amount=row["amount_minor"],
        total=row["total_minor"],
        currency=row["currency"],
        failure=FailureClass(row["failure"]) if row["failure"] else None,
        failure_code=row["failure_code"],
        method=row["method"],
        as_of=row["as_of"],
        discount=row["discount_minor"],
        has_refunds=bool(row["has_refunds"]),
        on_top=row["on_top_minor"],
        released=row["released_minor"],
        may_be_release=bool(row["may_be_release"]),
    )


def readable_event_of(row: asyncpg.Record) -> PaymentEvent | None:
    """Returns the canonical event of an inbox row; None for one that a later version wrote, with words of its own."""
    try:
        return event_of(row)
    except ValueError:
        return None
