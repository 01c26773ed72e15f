"""Rows as a later version of Tillkeeper may write them: each word is one that this version does not know.

A release may run beside the next one, which has words of its own for kinds, statuses, reasons and outcomes.
"""

from typing import Final

import asyncpg

WORD: Final = "of_a_later_version"
# The columns that hold a word, by their tables; not those by which rows are found, as whether a case is open.
COLUMNS: Final = {
    "orders": ("status",),
    "inbox": ("kind", "evidence", "outcome", "reason", "failure", "status_after"),
    "payments": ("status", "failure", "method"),
    "refunds": ("status",),
    "disputes": ("status",),
    "steps": ("action", "result"),
    "acts": ("what",),
    "cases": ("kind", "subject", "state", "closed_by", "outcome"),
    "case_entries": ("what",),
    "outbox": ("audience", "topic", "state"),
    "parked": ("reason", "outcome"),
    "refused": ("step", "finding"),
    "approvals": ("act",),
    "silences": ("kind",),
    "account_pauses": ("sign",),
    "access_log": ("what",),
}
# One column of each table at a time: a word that nobody knows hides nothing of another.
IN_TURN: Final = tuple(
    tuple(f"{table}.{names[turn]}" for table, names in COLUMNS.items() if turn < len(names)) for turn in range(6)
)
CHECKS: Final = """
SELECT conrelid::regclass AS "table", conname FROM pg_constraint
WHERE contype = 'c' AND connamespace = 'public'::regnamespace AND conrelid <> 0
"""


async def forget_checks(pool: asyncpg.Pool) -> None:
    """Takes the lists of words out of the database, as a later schema may."""
    for table, name in await pool.fetch(CHECKS):
        await pool.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')


async def write_later(pool: asyncpg.Pool, column: str) -> None:
    """Writes an unknown word into the column, in each row in which it holds one."""
    table, _, name = column.partition(".")
    told = f"'{WORD} ' || ctid::text" if column == "cases.subject" else f"'{WORD}'"
    await pool.execute(f"UPDATE {table} SET {name} = {told} WHERE {name} IS NOT NULL")
    if column == "account_pauses.sign":
        await pool.execute("UPDATE account_pauses SET finding = jsonb_set(finding::jsonb, '{sign}', to_jsonb(sign))")
