"""Blanks raw deliveries that the guard holds.  Their events stay, and are applied or parked as people decide."""

from collections.abc import Collection

import msgspec

from tillkeeper.domain.batch import DeliveryKey
from tillkeeper.domain.delivery import EnvelopeKeys, NotAuthentic
from tillkeeper.store.erasure.parked import blank
from tillkeeper.store.postgres.pool import Conn

HELD = """
SELECT h.run, h.number, h.account, h.body
FROM unnest($1::uuid[], $2::bigint[]) AS w (run, number) JOIN held_deliveries h USING (run, number)
ORDER BY h.run, h.number FOR UPDATE OF h
"""
WRITE_HELD = "UPDATE held_deliveries SET body = $3 WHERE run = $1 AND number = $2"


async def erase_held(conn: Conn, named: Collection[DeliveryKey], keys: EnvelopeKeys) -> tuple[int, list[str]]:
    """Blanks these; returns their number, and the accounts of those that cannot be sealed anew."""
    ordered = sorted(named)
    erased, left = 0, list[str]()
    for row in await conn.fetch(HELD, [run for run, _ in ordered], [number for _, number in ordered]):
        try:
            body = keys.reseal(row["body"], blank)
        except (NotAuthentic, msgspec.MsgspecError):
            left.append(row["account"])
            continue
        if body != row["body"]:
            await conn.execute(WRITE_HELD, row["run"], row["number"], body)
            erased += 1
    return erased, left
