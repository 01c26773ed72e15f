"""Reads how accounts do, for people: where what is known comes from, and how each way of paying ends."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from tillkeeper.domain.ways_of_paying import WayOfPaying
from tillkeeper.store.postgres.pool import Conn

HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)

# Of the last day alone: the index on the time of recording finds it.
TRUTH_BY_SOURCE = """
SELECT account, evidence, count(*) AS count FROM inbox
WHERE recorded_at > $1 AND ($2::text IS NULL OR account = $2) GROUP BY account, evidence ORDER BY account, count(*) DESC
"""


async def truth_by_source(conn: Conn, *, now: datetime, account: str | None = None) -> dict[str, dict[str, int]]:
    """Counts the events of the last day by account, and by how each was learnt of."""
    found: dict[str, dict[str, int]] = {}
    for row in await conn.fetch(TRUTH_BY_SOURCE, now - DAY, account):
        found.setdefault(row["account"], {})[row["evidence"]] = row["count"]
    return found


WAYS_OF_PAYING = """
SELECT account, method,
       count(*) FILTER (WHERE kind = 'payment.succeeded' AND recorded_at > $2) AS succeeded_hour,
       count(*) FILTER (WHERE kind = 'payment.failed' AND recorded_at > $2) AS failed_hour,
       count(*) FILTER (WHERE kind = 'payment.succeeded') AS succeeded_day,
       count(*) FILTER (WHERE kind = 'payment.failed') AS failed_day,
       mode() WITHIN GROUP (ORDER BY failure) FILTER (WHERE kind = 'payment.failed' AND recorded_at > $2) AS failure
FROM inbox
WHERE recorded_at > $1 AND kind IN ('payment.succeeded', 'payment.failed') AND ($3::text IS NULL OR account = $3)
GROUP BY account, method ORDER BY account, failed_hour DESC, succeeded_day DESC, method
"""


async def ways_of_paying(conn: Conn, *, now: datetime, account: str | None = None) -> Sequence[WayOfPaying]:
    """Reads how payments ended by method, the one that fails most first."""
    return [WayOfPaying(**dict(row)) for row in await conn.fetch(WAYS_OF_PAYING, now - DAY, now - HOUR, account)]
