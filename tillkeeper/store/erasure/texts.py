"""Replaces a payer's contacts in texts: notes of people, outcomes of cases, details, errors, answers of mail servers.

Texts of people may name a payer in words that no program finds: the command says so.
"""

from typing import Any, Final

import msgspec

from tillkeeper.domain.erasure import Contacts
from tillkeeper.store.postgres.pool import Conn, as_json, rows_of

# Notices of an order, its payer and its cases, by ranges of their keys, as store/reports/case_files.py reads them.
NOTICES = """
SELECT key, payload, channels, last_error FROM outbox WHERE order_id = $1 AND audience = 'payer'
UNION ALL
SELECT key, payload, channels, last_error FROM outbox WHERE key >= 'order/' || $1 || '/' AND key < 'order/' || $1 || '0'
UNION ALL
SELECT n.key, n.payload, n.channels, n.last_error
FROM cases c JOIN outbox n ON n.key >= 'case/' || c.id || '/' AND n.key < 'case/' || c.id || '0'
WHERE c.order_id = $1
"""
WRITE_NOTICES = """
UPDATE outbox AS n SET payload = w.payload, channels = w.channels, last_error = w.last_error
FROM json_populate_recordset(NULL::outbox, $1::json) AS w WHERE n.key = w.key
"""

CASES = "SELECT id, details, outcome FROM cases WHERE order_id = $1 ORDER BY id FOR UPDATE"
WRITE_CASES = """
UPDATE cases AS c SET details = w.details, outcome = w.outcome
FROM json_populate_recordset(NULL::cases, $1::json) AS w WHERE c.id = w.id
"""

ENTRIES = """
SELECT e.id, e.note FROM cases c JOIN case_entries e ON e.case_id = c.id WHERE c.order_id = $1 AND e.note IS NOT NULL
"""
WRITE_ENTRIES = """
UPDATE case_entries AS e SET note = w.note
FROM json_populate_recordset(NULL::case_entries, $1::json) AS w WHERE e.id = w.id
"""

ACTS = "SELECT id, note FROM acts WHERE order_id = $1"
WRITE_ACTS = """
UPDATE acts AS a SET note = w.note FROM json_populate_recordset(NULL::acts, $1::json) AS w WHERE a.id = w.id
"""

# What was chained of a note tells nothing any more without its salt (domain/books/chain.py).
FORGET_SALTS = "DELETE FROM chain_salts WHERE subject = $1 AND id = ANY($2::bigint[])"
CHAINED: Final = frozenset({"case_entries", "acts"})

BOUND = "SELECT account, payment_ref, note FROM bound_payments WHERE order_id = $1"
WRITE_BOUND = """
UPDATE bound_payments AS b SET note = w.note FROM json_populate_recordset(NULL::bound_payments, $1::json) AS w
WHERE b.account = w.account AND b.payment_ref = w.payment_ref
"""

JSON_COLUMNS: Final = frozenset({"payload", "channels", "details"})
KEY_COLUMNS: Final = frozenset({"key", "id", "account", "payment_ref"})
TEXTS: Final = {
    "notices": (NOTICES, WRITE_NOTICES),
    "cases": (CASES, WRITE_CASES),
    "case_entries": (ENTRIES, WRITE_ENTRIES),
    "acts": (ACTS, WRITE_ACTS),
    "bound_payments": (BOUND, WRITE_BOUND),
}


async def erase_from_texts(conn: Conn, order_id: int, contacts: Contacts) -> dict[str, int]:
    """Replaces the contacts in all texts about an order; returns the number of rows that held some, by table."""
    return {name: await _rewrite(conn, order_id, name, contacts) for name in TEXTS}


async def _rewrite(conn: Conn, order_id: int, table: str, contacts: Contacts) -> int:
    read, write = TEXTS[table]
    changed = list[dict[str, object]]()
    for row in await conn.fetch(read, order_id):
        before = {name: _decoded(name, value) for name, value in row.items()}
        after = {name: _without(name, value, contacts) for name, value in before.items()}
        if after != before:
            changed.append(after)
    if not changed:
        return 0
    if table in CHAINED:
        await conn.execute(FORGET_SALTS, table, [row["id"] for row in changed])
    return rows_of(await conn.execute(write, as_json(changed)))


def _decoded(name: str, value: Any) -> object:
    return msgspec.json.decode(value) if name in JSON_COLUMNS else value


def _without(name: str, value: object, contacts: Contacts) -> object:
    if name in KEY_COLUMNS or value is None:
        return value
    return contacts.removed_from_value(value) if name in JSON_COLUMNS else contacts.removed_from(str(value))
