"""Writes notices into the outbox, in the transaction of what they report.  workers/notify.py sends them."""

from collections.abc import Iterable
from datetime import datetime

from tillkeeper.domain.order.notices import Notice
from tillkeeper.store.postgres.pool import Conn, as_json

INSERT_OUTBOX = """
INSERT INTO outbox (key, order_id, version, audience, topic, payload, created_at, due_at)
SELECT key, order_id, version, audience, topic, payload, $2, $2 FROM json_to_recordset($1::json) AS w (
    key text, order_id bigint, version bigint, audience text, topic text, payload jsonb
)
ON CONFLICT (key) DO NOTHING
"""


def notice_rows(notices: Iterable[Notice]) -> list[Notice]:
    """Returns notices as rows, in the order in which all write them."""
    return sorted(notices, key=lambda notice: notice.key)


async def write_notices(conn: Conn, notices: Iterable[Notice], *, now: datetime) -> None:
    """Writes the notices that are not written yet."""
    rows = notice_rows(notices)
    if rows:
        await conn.execute(INSERT_OUTBOX, as_json(rows), now)
