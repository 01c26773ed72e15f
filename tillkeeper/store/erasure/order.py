"""Erases the personal data of one order's payer, in one transaction under the order's lock.

    terms                payer and pay_url go; who erased them, when and why stand there instead
    notices to payers    none leaves any more; links and what mail servers answered go
    deliveries           bodies, headers and queries go, of those that brought its events and of others that name it
    cases, acts, parked  the payer's contacts in texts of people and of errors are replaced

Amounts, references, statuses, times, digests and the inbox stay: audit and dedupe go on.
"""

from collections.abc import Collection
from datetime import datetime

import asyncpg
import msgspec

from tillkeeper.domain.batch import DeliveryKey
from tillkeeper.domain.erasure import Contacts, ErasureAct
from tillkeeper.domain.order.registration import Payer
from tillkeeper.store.erasure.deliveries import blank_deliveries, deliveries_of
from tillkeeper.store.erasure.texts import erase_from_texts
from tillkeeper.store.postgres.pool import Conn, rows_of


class NoSuchOrder(Exception):
    """No order of this reference is registered."""


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """What was erased of an order: the number of rows, by what they are."""

    order_ref: str
    at: datetime
    rows: dict[str, int]
    shared: tuple[str, ...] = ()  # other orders, whose events came in deliveries that were blanked

    @property
    def is_nothing(self) -> bool:
        """Returns True if there was nothing left to erase."""
        return not any(self.rows.values())


class _Terms(msgspec.Struct, frozen=True):
    """What terms hold of a payer."""

    payer: Payer | None = None
    pay_url: str | None = None


class OrderToErase(msgspec.Struct, frozen=True, kw_only=True):
    """An order whose payer's data is to go, with what finds it elsewhere."""

    id: int
    order_ref: str
    accounts: tuple[str, ...]
    contacts: Contacts
    in_terms: bool  # whether the terms still hold a contact or a link
    erased_at: datetime | None


ORDER = """
SELECT id, order_ref, accounts, terms, (terms -> 'erased' -> 0 ->> 'at')::timestamptz AS erased_at
FROM orders WHERE order_ref = $1
"""
LOCK_ORDER = """
SELECT id, order_ref, accounts, terms, (terms -> 'erased' -> 0 ->> 'at')::timestamptz AS erased_at
FROM orders WHERE order_ref = $1 FOR NO KEY UPDATE
"""


async def order_to_erase(conn: Conn, order_ref: str) -> OrderToErase:
    """Reads an order.  Raises NoSuchOrder."""
    return _order_in(await conn.fetchrow(ORDER, order_ref))


def _order_in(row: asyncpg.Record | None) -> OrderToErase:
    if row is None:
        raise NoSuchOrder
    terms = msgspec.json.decode(row["terms"], type=_Terms)
    return OrderToErase(
        id=row["id"],
        order_ref=row["order_ref"],
        accounts=tuple(row["accounts"]),
        contacts=Contacts.of(terms.payer),
        in_terms=terms.payer is not None or terms.pay_url is not None,
        erased_at=row["erased_at"],
    )


async def erase(
    conn: Conn,
    order_ref: str,
    act: ErasureAct,
    *,
    contacts: Contacts = Contacts(),  # noqa: B008 - immutable
    naming: Collection[DeliveryKey] = (),
) -> Erased:
    """Erases an order's personal data; `contacts` are known besides its own, `naming` further deliveries that name it.

    Raises NoSuchOrder.
    """
    order = _order_in(await conn.fetchrow(LOCK_ORDER, order_ref))
    keys = {*await deliveries_of(conn, order.id), *naming}
    blanked, shared = await blank_deliveries(conn, keys, order.id)
    rows = {
        "terms": await _erase_terms(conn, order, act),
        "notices_dropped": rows_of(await conn.execute(DROP_NOTICES, order.id, act.at, NOT_SENT)),
        "links": rows_of(await conn.execute(ERASE_LINKS, order.id)),
        "deliveries": blanked,
        **await erase_from_texts(conn, order.id, order.contacts | contacts),
    }
    return Erased(order_ref=order_ref, at=act.at, rows=rows, shared=shared)


ERASE_TERMS = """
UPDATE orders SET terms = (terms - 'payer' - 'pay_url') || jsonb_build_object(
    'erased', coalesce(terms -> 'erased', '[]') || jsonb_build_array($2::jsonb))
WHERE id = $1
"""


async def _erase_terms(conn: Conn, order: OrderToErase, act: ErasureAct) -> int:
    """Removes the contact, and writes down who did it: an act of a person, in the order's history."""
    await conn.execute(ERASE_TERMS, order.id, msgspec.json.encode(act).decode())
    return int(order.in_terms)


NOT_SENT = "the payer's data was erased"

# What was handed to the mail server without an answer stays uncertain; nothing is sent of what has no address.
DROP_NOTICES = """
UPDATE outbox
SET state = CASE WHEN channels -> 'mail' ->> 'outcome' = 'uncertain' THEN 'uncertain' ELSE 'dropped' END,
    channels = CASE WHEN channels -> 'mail' ->> 'outcome' = 'uncertain' THEN channels
               ELSE channels || jsonb_build_object('mail', jsonb_build_object(
                   'outcome', 'dropped', 'at', $2::timestamptz, 'why', $3::text)) END,
    due_at = NULL, finished_at = $2, leased_until = '-infinity', last_error = NULL
WHERE order_id = $1 AND audience = 'payer' AND due_at IS NOT NULL
"""

ERASE_LINKS = """
UPDATE outbox SET payload = payload - 'pay_url'
WHERE order_id = $1 AND audience = 'payer' AND payload -> 'pay_url' IS NOT NULL
"""
