"""Looks through every column of a database that can hold text for what tells who somebody is."""

import json
from base64 import b64encode
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

import asyncpg

# Tables whose parts are tables of their own are read once, as a whole.
COLUMNS = """
SELECT c.relname AS "table", a.attname AS "column", t.typname AS type
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type t ON t.oid = a.atttypid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND a.attnum > 0 AND NOT a.attisdropped AND t.typname IN ('text', 'jsonb', 'json', 'bytea', '_text', 'varchar')
ORDER BY 1, 2
"""


async def text_columns(conn: asyncpg.Connection) -> list[tuple[str, str, str]]:
    """(table, column, type) of each."""
    return [tuple(row) for row in await conn.fetch(COLUMNS)]


def written_ways(words: list[str]) -> list[bytes]:
    """Each word as texts, forms, JSON, MessagePack and Base64 have it; of Base64 at each of its three places."""
    ways = set[bytes]()
    for word in words:
        raw = word.encode()
        escaped = json.dumps(word)[1:-1].encode()
        ways |= {raw, quote(word).encode(), quote_plus(word).encode(), escaped}
        for before in range(3):
            whole = b64encode(b"\0" * before + raw)
            cut = whole[4 if before else 0 :]  # what the bytes before it are part of
            ways.add(cut[: len(cut) // 4 * 4 - 4])
    return sorted(way for way in ways if len(way) > 3)


async def found_in(conn: asyncpg.Connection, words: list[str]) -> dict[str, int]:
    """The number of rows of each table.column that holds one of the words, written in whatever way."""
    return await _rows_with(conn, written_ways(words))


async def _rows_with(conn: asyncpg.Connection, ways: list[bytes]) -> dict[str, int]:
    found = {}
    for table, column, kind in await text_columns(conn):
        content = f'"{column}"' if kind == "bytea" else f"convert_to(\"{column}\"::text, 'UTF8')"
        holds = f"EXISTS (SELECT FROM unnest($1::bytea[]) AS w (way) WHERE position(way IN {content}) > 0)"
        rows = await conn.fetchval(f'SELECT count(*) FROM "{table}" WHERE {holds}', ways)
        if rows:
            found[f"{table}.{column}"] = rows
    return found


PIECE_BYTES = 48  # longer than any reference that stands in a delivery


async def kept_of(conn: asyncpg.Connection, raw: Iterable[bytes]) -> dict[str, int]:
    """The number of rows of each table.column, but for that of raw bodies, that holds a piece of one of these."""
    pieces = {body[len(body) // 2 :][:PIECE_BYTES] for body in raw if len(body) > 2 * PIECE_BYTES}
    found = await _rows_with(conn, sorted(pieces))
    return {place: rows for place, rows in found.items() if place not in ("deliveries.body", "delivery_bodies.body")}


WITH_CONTENT = """
SELECT number FROM deliveries WHERE body IS NOT NULL OR headers <> '[]' OR query <> ''
UNION SELECT number FROM delivery_bodies
"""


async def with_content(conn: asyncpg.Connection) -> set[int]:
    """The numbers of the deliveries whose body, headers or query are kept."""
    return {row["number"] for row in await conn.fetch(WITH_CONTENT)}
