"""Pauses accounts, and holds their deliveries until a person decides.

A pause is an open row, and whoever holds deliveries has it locked: a decision comes before or after, never between.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import msgspec

from tillkeeper.domain.delivery import Delivery, Envelope, EnvelopeKeys
from tillkeeper.domain.guard import Finding
from tillkeeper.domain.order.case_kinds import CaseKind
from tillkeeper.domain.order.case_reasons import CaseReason
from tillkeeper.domain.policy import CasePolicy
from tillkeeper.store.cases.writing import open_cases
from tillkeeper.store.postgres.pool import Conn

LOCK_OPEN = "SELECT id FROM account_pauses WHERE account = $1 AND ended_at IS NULL AND decision IS NULL FOR SHARE"
PAUSE = """
INSERT INTO account_pauses (account, sign, finding, paused_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (account) WHERE ended_at IS NULL DO NOTHING
RETURNING id
"""


async def pause(
    conn: Conn, findings: Mapping[str, Finding | None], *, policy: CasePolicy, now: datetime
) -> tuple[dict[str, int], list[str]]:
    """Pauses the accounts with a finding, unless they are; returns the pauses that are open, and new ones' accounts.

    A new pause is a case, whose notice tells the people on duty.
    """
    open_now: dict[str, int] = {}
    new: list[tuple[int | None, CaseReason]] = []
    for account, finding in sorted(findings.items()):
        pause_id = await conn.fetchval(LOCK_OPEN, account)
        if pause_id is None and finding is not None:
            pause_id = await conn.fetchval(PAUSE, account, finding.sign, msgspec.json.encode(finding).decode(), now)
            if pause_id is None:  # another worker was first, or a decision is being carried out
                pause_id = await conn.fetchval(LOCK_OPEN, account)
            else:
                new.append((None, _reason(account, pause_id, finding)))
        if pause_id is not None:
            open_now[account] = pause_id
    await open_cases(conn, new, policy=policy, now=now)
    return open_now, [str(reason.account) for _, reason in new]


def pause_subject(account: str, pause_id: int) -> str:
    """Names the pause of an account for its case."""
    return f"pause:{account}/{pause_id}"


def _reason(account: str, pause_id: int, finding: Finding) -> CaseReason:
    return CaseReason(
        kind=CaseKind.ACCOUNT_PAUSED,
        subject=pause_subject(account, pause_id),
        account=account,
        details={
            "sign": finding.sign,
            "text": finding.text,
            "orders": finding.orders,
            "orders_paid": finding.paid,
            "usual_most": finding.usual_most,
        },
    )


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


PAUSED = "SELECT account FROM account_pauses WHERE ended_at IS NULL AND account = ANY($1::text[])"


async def paused_among(conn: Conn, accounts: Collection[str]) -> set[str]:
    """Returns those of the accounts that are paused, or whose held deliveries are not all applied or parked yet."""
    return {row["account"] for row in await conn.fetch(PAUSED, sorted(accounts))}


HELD = "SELECT body FROM held_deliveries WHERE pause_id = $1 ORDER BY position LIMIT $2"


async def held_messages(conn: Conn, pause_id: int, *, limit: int) -> list[bytes]:
    """Reads the oldest messages that a pause holds."""
    return [row["body"] for row in await conn.fetch(HELD, pause_id, limit)]
