"""Blanks raw deliveries within parked messages.  An event keeps its meaning, and can be replayed without them."""

from typing import Any

import msgspec

from tillkeeper.domain.delivery import Delivery, pack, unpack
from tillkeeper.domain.erasure import Subject, readings_of
from tillkeeper.store.postgres.pool import Conn

# Those of its events, and every message that cannot be read: nothing says whose it is.
PARKED_OF = """
SELECT id, body, readable, outcome, error, note FROM parked k
WHERE NOT readable OR order_ref = (SELECT order_ref FROM orders WHERE id = $1)
   OR (account, payment_ref) IN (SELECT account, payment_ref FROM payments WHERE order_id = $1)
   OR (run, number) IN (SELECT run, number FROM inbox WHERE order_id = $1 AND number IS NOT NULL)
ORDER BY id FOR UPDATE
"""
WRITE_PARKED = "UPDATE parked SET body = $2, error = $3, note = $4 WHERE id = $1"


async def erase_parked(conn: Conn, order_id: int, subject: Subject) -> tuple[int, list[int]]:
    """Blanks what is parked about an order; returns its number, and the open messages that cannot be blanked."""
    erased, left = 0, list[int]()
    for row in await conn.fetch(PARKED_OF, order_id):
        if not row["readable"] and not subject.is_named_by([], readings_of(row["body"])):
            continue
        if not row["readable"] and row["outcome"] is None:
            left.append(row["id"])
            continue
        after = _blanked(row, subject)
        if after != (row["body"], row["error"], row["note"]):
            await conn.execute(WRITE_PARKED, row["id"], *after)
            erased += 1
    return erased, left


def _blanked(row: Any, subject: Subject) -> tuple[bytes, str, str | None]:
    contacts = subject.contacts
    return (
        _without_raw(row["body"]) if row["readable"] else b"",
        contacts.removed_from(row["error"]),
        row["note"] and contacts.removed_from(row["note"]),
    )


def _without_raw(message: bytes) -> bytes:
    if not message:  # retention removed it
        return message
    envelope = unpack(message)
    return pack(msgspec.structs.replace(envelope, deliveries=tuple(map(blank, envelope.deliveries))))


def blank(delivery: Delivery) -> Delivery:
    """Returns a delivery with its events, and nothing of what its gateway wrote."""
    return msgspec.structs.replace(delivery, headers=(), body=b"", query="", unknown=())
