"""Counts unknown words of gateways for each account and field, and notifies ops of new ones once."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

import msgspec

from tillkeeper.domain.account_notices import unknown_word_notice
from tillkeeper.store.outbox.writing import write_notices
from tillkeeper.store.postgres.pool import Conn, as_json

WORDS_MAX: Final = 200  # of an account: a field whose values never repeat has no fixed list

Word = tuple[str, str, str]  # account, field, word


class WordUse(msgspec.Struct, frozen=True, kw_only=True):
    """A word, and how often it was seen."""

    account: str
    field: str
    word: str
    first_at: datetime
    last_at: datetime
    seen: int


# New words are added only up to the limit; known ones are always counted.
NOTE_WORDS = """
INSERT INTO unknown_words AS u (account, field, word, first_at, last_at, seen)
SELECT w.account, w.field, w.word, $2, $2, w.seen
FROM json_to_recordset($1::json) AS w (account text, field text, word text, seen bigint)
WHERE (SELECT count(*) FROM unknown_words k WHERE k.account = w.account) < $3
   OR EXISTS (SELECT FROM unknown_words k WHERE k.account = w.account AND k.field = w.field AND k.word = w.word)
ORDER BY w.account, w.field, w.word
ON CONFLICT (account, field, word) DO UPDATE
SET last_at = greatest(u.last_at, excluded.last_at), seen = u.seen + excluded.seen
RETURNING account, field, word, (xmax = 0) AS fresh
"""


async def note_words(conn: Conn, words: Iterable[Word] | Mapping[Word, int], *, now: datetime) -> None:
    """Counts the words, and notifies ops of new ones."""
    counts = Counter(words)
    if not counts:
        return
    rows = [
        {"account": account, "field": field, "word": word, "seen": seen}
        for (account, field, word), seen in sorted(counts.items())
    ]
    noted = await conn.fetch(NOTE_WORDS, as_json(rows), now, WORDS_MAX)
    fresh = [row for row in noted if row["fresh"]]
    await write_notices(
        conn, [unknown_word_notice(row["account"], row["field"], row["word"]) for row in fresh], now=now
    )


ALL_WORDS = "SELECT account, field, word, first_at, last_at, seen FROM unknown_words ORDER BY account, field, word"


async def seen_words(conn: Conn) -> list[WordUse]:
    """Reads all words that were ever seen."""
    return [WordUse(**dict(row)) for row in await conn.fetch(ALL_WORDS)]
