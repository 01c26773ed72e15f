"""Holds the deliveries of paused accounts until a person decides."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from tillkeeper.domain.delivery import Delivery, Envelope, EnvelopeKeys
from tillkeeper.store.postgres.pool import Conn

HOLD = """
INSERT INTO held_deliveries (pause_id, account, run, number, received_at, held_at, events, body)
SELECT pause_id, account, run, number, received_at, $8, events, body
FROM unnest($1::bigint[], $2::text[], $3::uuid[], $4::bigint[], $5::timestamptz[], $6::int[], $7::bytea[])
     AS w (pause_id, account, run, number, received_at, events, body)
ON CONFLICT (run, number) DO NOTHING
RETURNING account, received_at
"""
# That something came is known of the account all the same: it is not silent.  Deliveries count once they are applied.
HEARD = """
INSERT INTO activity AS h (account, hour, backend, minutes, deliveries, last_at)
SELECT account, date_trunc('hour', received_at, 'UTC'), pg_backend_pid(),
       bit_or(1::bigint << extract(minute FROM received_at AT TIME ZONE 'UTC')::int), 0, max(received_at)
FROM unnest($1::text[], $2::timestamptz[]) AS w (account, received_at) GROUP BY 1, 2 ORDER BY 1, 2
ON CONFLICT (account, hour, backend) DO UPDATE
SET minutes = h.minutes | excluded.minutes, last_at = greatest(h.last_at, excluded.last_at)
"""


async def hold(
    conn: Conn, deliveries: Sequence[Delivery], pauses: Mapping[str, int], keys: EnvelopeKeys, *, now: datetime
) -> int:
    """Holds those of the deliveries whose account is in `pauses`; returns how many are new."""
    held = [delivery for delivery in deliveries if delivery.account in pauses]
    columns = [
        [pauses[delivery.account] for delivery in held],
        [delivery.account for delivery in held],
        [delivery.run for delivery in held],
        [delivery.number for delivery in held],
        [delivery.received_at for delivery in held],
        [len(delivery.events) for delivery in held],
        [keys.seal(Envelope(run=delivery.run, deliveries=(delivery,))) for delivery in held],
    ]
    new = await conn.fetch(HOLD, *columns, now)
    await conn.execute(HEARD, [row["account"] for row in new], [row["received_at"] for row in new])
    return len(new)
