"""Has notices that were given up tried again."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from tillkeeper.store.postgres.pool import Conn

# The channels that took it are done; of those that refused it the schedule begins anew.  What may have been taken
# (uncertain) is not dead, and never sent again.
RETRY = """
UPDATE outbox SET state = 'pending', due_at = $2, finished_at = NULL, leased_until = '-infinity',
    channels = (SELECT coalesce(jsonb_object_agg(name, entry), '{}') FROM jsonb_each(channels) AS e (name, entry)
                WHERE entry ->> 'outcome' <> 'dead')
WHERE key = ANY($1::text[]) AND state = 'dead' AND payload <> '{}'
RETURNING key, audience, topic
"""


async def retry_dead(conn: Conn, keys: Sequence[str], *, now: datetime) -> list[dict[str, Any]]:
    """Has those of the notices that are dead tried again at once; returns them."""
    return [dict(row) for row in await conn.fetch(RETRY, keys, now)]
