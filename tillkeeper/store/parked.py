"""What could not be applied: one row an event, to be seen, replayed or discarded by people."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from tillkeeper.domain.delivery import Delivery, Envelope, pack
from tillkeeper.domain.events import PaymentEvent
from tillkeeper.store.pool import Conn

ERROR_CHARS_MAX = 500  # enough to see what went wrong; a row is no log file


class NotOpen(Exception):
    """There is no open parked row of this number: it was replayed, discarded or superseded, or never was."""


PARK = """
INSERT INTO parked (run, number, account, event_id, body, readable, reason, error, parked_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (run, number, event_id) DO NOTHING
"""


async def park_event(
    conn: Conn, delivery: Delivery, event: PaymentEvent, *, reason: str, error: str, now: datetime
) -> None:
    """Parks one event with the delivery that brought it.  Parking it again changes nothing."""
    alone = msgspec.structs.replace(delivery, events=(event,))
    body = pack(Envelope(run=delivery.run, deliveries=(alone,)))
    await conn.execute(
        PARK,
        delivery.run,
        delivery.number,
        printable(delivery.account),
        printable(event.event_id),
        body,
        True,
        reason,
        printable(error),
        now,
    )


async def park_unreadable(conn: Conn, body: bytes, *, reason: str, error: str, now: datetime) -> None:
    """Parks a message that is no envelope."""
    await conn.execute(PARK, None, None, None, None, body, False, reason, printable(error), now)


def printable(text: str) -> str:
    """The text as PostgreSQL can keep it, and no longer than a person reads."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")[:ERROR_CHARS_MAX]


SUPERSEDE = """
UPDATE parked SET outcome = 'superseded', closed_at = $2, closed_by = 'redelivery'
WHERE id = ANY($1::bigint[]) AND outcome IS NULL
"""


async def supersede(conn: Conn, ids: Sequence[int], *, now: datetime) -> None:
    """A redelivery of these events was applied: nobody needs to replay them."""
    if ids:
        await conn.execute(SUPERSEDE, sorted(ids), now)
