"""Counts wrong passwords, in as many rows as there ever will be: a name's row is found by its hash.

A name that nobody has is counted as any other, so that waiting tells nobody which names there are.
"""

import hashlib
from datetime import datetime, timedelta
from typing import Final

import msgspec

from tillkeeper.domain.sign_in import Tries, opens_at, total_opens_at, total_tried, tried
from tillkeeper.store.postgres.pool import Conn

BUCKETS: Final = 4096  # two names in one share their waits: rare, and no more than a nuisance
TOTAL: Final = 0


class TooManyTries(Exception):
    """Nothing is tried before `until`."""

    def __init__(self, until: datetime) -> None:
        super().__init__(f"wait until {until}")
        self.until = until

    def wait(self, now: datetime) -> timedelta:
        """Returns how long that is."""
        return max(self.until - now, timedelta(0))


class Buckets(msgspec.Struct, frozen=True):
    """Where a try is counted: under its name and in total, or under the browser that is known alone."""

    numbers: tuple[int, ...]

    @classmethod
    def of_name(cls, name: str) -> "Buckets":
        """Returns where the tries of browsers that nobody knows are counted."""
        return cls((TOTAL, 1 + _hashed(name) % BUCKETS))

    @classmethod
    def of_browser(cls, name: str, browser: str) -> "Buckets":
        """Returns where those of a browser are counted that has signed in under this name before."""
        return cls((1 + BUCKETS + _hashed(f"{name}\0{browser}") % BUCKETS,))


def _hashed(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode(errors="surrogatepass")).digest()[:8], "big")


PREPARE = """
INSERT INTO sign_in_attempts (bucket, level, last_at) SELECT n, 0, $2 FROM unnest($1::bigint[]) AS n ORDER BY n
ON CONFLICT (bucket) DO NOTHING
"""
LOCK = "SELECT bucket, level, last_at FROM sign_in_attempts WHERE bucket = ANY($1::bigint[]) ORDER BY bucket FOR UPDATE"
WRITE = "UPDATE sign_in_attempts SET level = $2, last_at = $3 WHERE bucket = $1"


async def begin_try(conn: Conn, buckets: Buckets, *, now: datetime) -> None:
    """Counts a try as wrong before it is made, so that tries at the same time are as many as tries in turn.

    Raises TooManyTries, and then counts nothing: whoever keeps knocking keeps nobody out for longer.
    """
    await conn.execute(PREPARE, buckets.numbers, now)
    rows = await conn.fetch(LOCK, buckets.numbers)
    known = {row["bucket"]: Tries(level=row["level"], last_at=row["last_at"]) for row in rows}
    until = max(total_opens_at(tries) if bucket == TOTAL else opens_at(tries) for bucket, tries in known.items())
    if until > now:
        raise TooManyTries(until)
    for bucket, tries in known.items():
        counted = total_tried(tries, now=now) if bucket == TOTAL else tried(tries, now=now)
        await conn.execute(WRITE, bucket, counted.level, counted.last_at)


FORGET = """
UPDATE sign_in_attempts SET level = CASE WHEN bucket = 0 THEN greatest(level - 1, 0) ELSE 0 END
WHERE bucket = ANY($1::bigint[])
"""


async def forget_tries(conn: Conn, buckets: Buckets) -> None:
    """Takes back what was counted, for the password was right."""
    await conn.execute(LOCK, buckets.numbers)
    await conn.execute(FORGET, buckets.numbers)
