"""Erases the personal data of one order's payer, in one transaction under the order's lock.

    terms                payer and pay_url go; who erased them, when and why stand there instead
    notices to payers    none leaves any more; links and what mail servers answered go
    deliveries           bodies, headers and queries go, of those that brought its events and of others that name it
    parked, refused      likewise; what is parked and open keeps its event, and can be replayed
    held by the guard    likewise; events stay
    answers              what programs' acts about it were answered with is forgotten
    cases, acts          the payer's contacts in texts of people and of errors are replaced

Amounts, references, statuses, times, digests and the inbox stay: audit and dedupe go on.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import asyncpg
import msgspec

from tillkeeper.domain.batch import DeliveryKey
from tillkeeper.domain.delivery import EnvelopeKeys
from tillkeeper.domain.erasure import Contacts, ErasureAct, Subject
from tillkeeper.domain.order.registration import Payer
from tillkeeper.domain.search.probes import backwards_span
from tillkeeper.store.erasure.deliveries import blank_deliveries, deliveries_of
from tillkeeper.store.erasure.held import erase_held
from tillkeeper.store.erasure.parked import erase_parked
from tillkeeper.store.erasure.texts import erase_from_texts
from tillkeeper.store.orders.acts import NoSuchOrder
from tillkeeper.store.postgres.pool import Conn, rows_of

EARLIER: Final = timedelta(days=1)  # than the first that is known of an order nothing about it came in


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """What was erased of an order: the number of rows, by what they are."""

    order_ref: str
    at: datetime
    rows: dict[str, int]
    shared: tuple[str, ...] = ()  # other orders, whose events came in deliveries that were blanked
    left: tuple[str, ...] = ()  # what could not be erased, and what would help

    @property
    def is_nothing(self) -> bool:
        """Returns True if there was nothing left to erase."""
        return not any(self.rows.values())


class Naming(msgspec.Struct, frozen=True, kw_only=True):
    """What names an order and its payer, although no row says so: raw deliveries, refused ones, and held ones."""

    deliveries: frozenset[DeliveryKey] = frozenset()
    refused: frozenset[int] = frozenset()
    held: frozenset[DeliveryKey] = frozenset()


class _Terms(msgspec.Struct, frozen=True):
    """What terms hold of a payer, and who erased it."""

    payer: Payer | None = None
    pay_url: str | None = None
    erased: tuple[ErasureAct, ...] = ()


class OrderToErase(msgspec.Struct, frozen=True, kw_only=True):
    """An order whose payer's data is to go, with what finds it elsewhere."""

    id: int
    order_ref: str
    accounts: tuple[str, ...]  # where its payment is expected, and where it was told of
    references: frozenset[str]  # its own, and those of its payments, refunds and disputes
    contacts: Contacts
    in_terms: bool  # whether the terms still hold a contact or a link
    acts: tuple[ErasureAct, ...]  # the erasures so far
    since: datetime  # nothing about it came in before

    def subject(self, contacts: Contacts) -> Subject:
        """Returns what names it, with what else is known of its payer."""
        return Subject(references=self.references, contacts=self.contacts | contacts)


ORDER = """
SELECT id, order_ref, terms,
       ARRAY (SELECT unnest(accounts) UNION SELECT account FROM inbox x WHERE x.order_id = o.id) AS accounts,
       least(registered_at, (SELECT min(recorded_at) FROM inbox x WHERE x.order_id = o.id),
             (SELECT min(d.received_at) FROM inbox x JOIN deliveries d USING (run, number) WHERE x.order_id = o.id)
       ) AS since,
       ARRAY (SELECT payment_ref FROM payments WHERE order_id = o.id UNION
              SELECT refund_ref FROM refunds WHERE order_id = o.id UNION
              SELECT dispute_ref FROM disputes WHERE order_id = o.id) AS objects
FROM orders o WHERE order_ref = $1
"""
LOCK = "SELECT FROM orders WHERE order_ref = $1 FOR NO KEY UPDATE"


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
        references=frozenset({row["order_ref"], *row["objects"]}),
        contacts=Contacts.of(terms.payer),
        in_terms=terms.payer is not None or terms.pay_url is not None,
        acts=terms.erased,
        since=row["since"] - EARLIER,
    )


async def erase(
    conn: Conn,
    order_ref: str,
    *acts: ErasureAct,
    contacts: Contacts = Contacts(),  # noqa: B008 - immutable
    naming: Naming = Naming(),  # noqa: B008 - immutable
    keys: EnvelopeKeys | None = None,
) -> Erased:
    """Erases an order's personal data, and writes down the acts; `contacts` are known besides its own, and `keys` seal
    anew what the guard holds.

    Raises NoSuchOrder.
    """
    await conn.execute(LOCK, order_ref)
    order = await order_to_erase(conn, order_ref)
    subject = order.subject(contacts)
    named = {*await deliveries_of(conn, order.id), *naming.deliveries}
    blanked, shared = await blank_deliveries(conn, named, order.id)
    parked, open_ones = await erase_parked(conn, order.id, subject)
    held, unsealed = await erase_held(conn, naming.held, keys or EnvelopeKeys())
    await _erase_terms(conn, order, acts)
    rows = {
        "terms": int(order.in_terms),
        "notices_dropped": rows_of(await conn.execute(DROP_NOTICES, order.id, acts[-1].at, NOT_SENT)),
        "links": rows_of(await conn.execute(ERASE_LINKS, order.id)),
        "deliveries": blanked,
        "parked": parked,
        "held": held,
        "refused": rows_of(await conn.execute(DELETE_REFUSED, sorted(naming.refused))) if naming.refused else 0,
        **await erase_from_texts(conn, order.id, subject.contacts),
        "answers": rows_of(await conn.execute(FORGET_ANSWERS, [_in_json(ref) for ref in sorted(order.references)])),
    }
    left = (*_left(order, subject, open_ones), *map(_unsealed, sorted(set(unsealed))))
    return Erased(order_ref=order_ref, at=acts[-1].at, rows=rows, shared=shared, left=left)


# What programs were answered with about it: a request that they repeat within the day is done again, or refused.
FORGET_ANSWERS = """
DELETE FROM idempotency_keys AS k
WHERE EXISTS (SELECT FROM unnest($1::bytea[]) AS w (named) WHERE position(w.named IN k.answer) > 0)
"""


def _in_json(reference: str) -> bytes:
    """Returns a reference as it stands in an answer."""
    return msgspec.json.encode(reference)


def _left(order: OrderToErase, subject: Subject, open_ones: Sequence[int]) -> Sequence[str]:
    """Says what stays although it tells of the payer."""
    left = [f"parked message {number} names it and is open: discard it, then erase again" for number in open_ones]
    named = sorted(ref for ref in order.references if subject.contacts.are_named_in(ref))
    if named:
        left.append(f"references stay, and hold a contact: {', '.join(named)}")
    return left


def _unsealed(account: str) -> str:
    return (
        f"what the guard holds of {account} names it and cannot be sealed anew: set envelope_keys as workers have, "
        "or have it decided (tillkeeper guard), then erase again"
    )


# A restored database may lack acts of before: they are written down as well.
ERASE_TERMS = """
UPDATE orders SET terms = (terms - 'payer' - 'pay_url') || jsonb_build_object('erased', $2::jsonb) WHERE id = $1
"""


async def _erase_terms(conn: Conn, order: OrderToErase, acts: Sequence[ErasureAct]) -> None:
    """Removes the contact, and writes down who did it: acts of people, in the order's history."""
    known = list(dict.fromkeys([*order.acts, *acts]))
    await conn.execute(ERASE_TERMS, order.id, msgspec.json.encode(known).decode())


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

DELETE_REFUSED = "DELETE FROM refused WHERE id = ANY($1::bigint[])"


# --- which orders -----------------------------------------------------------------------------------------------------

BY_EMAIL = """
SELECT order_ref FROM orders
WHERE terms -> 'payer' ->> 'email' IS NOT NULL AND lower(terms -> 'payer' ->> 'email') COLLATE "C" = lower($1)
ORDER BY id
"""
# By the span of the index on numbers backwards; $1 and $2 come from `backwards_span`.
BY_PHONE = """
SELECT order_ref FROM orders
WHERE terms -> 'payer' ->> 'phone' IS NOT NULL
  AND reverse(regexp_replace(terms -> 'payer' ->> 'phone', '[^0-9]', '', 'g')) COLLATE "C" >= $1
  AND reverse(regexp_replace(terms -> 'payer' ->> 'phone', '[^0-9]', '', 'g')) COLLATE "C" < $2
ORDER BY id
"""


async def orders_by_email(conn: Conn, email: str, within_s: float) -> list[str]:
    """Returns the references of the orders that were registered with a mail address."""
    return [row["order_ref"] for row in await conn.fetch(BY_EMAIL, email, timeout=within_s)]


async def orders_by_phone(conn: Conn, digits: str, within_s: float) -> list[str]:
    """Returns the references of the orders that were registered with a number that ends in these digits."""
    return [row["order_ref"] for row in await conn.fetch(BY_PHONE, *backwards_span(digits), timeout=within_s)]


REGISTERED = "SELECT order_ref FROM orders WHERE order_ref = ANY($1::text[])"


async def registered_among(conn: Conn, refs: Sequence[str]) -> set[str]:
    """Returns those of the references that are orders'."""
    return {row["order_ref"] for row in await conn.fetch(REGISTERED, list(refs))}


ERASURES = """
SELECT o.order_ref, act ->> 'by' AS by, act ->> 'note' AS note, (act ->> 'at')::timestamptz AS at
FROM orders o CROSS JOIN jsonb_array_elements(o.terms -> 'erased') AS act
ORDER BY 4, 1
"""


async def erasures(conn: Conn, *, within_s: float) -> list[dict[str, object]]:
    """Reads every erasure, the oldest first: what must be done again where an older backup is restored."""
    return [dict(row) for row in await conn.fetch(ERASURES, timeout=within_s)]
