"""Reads how events flow just now: what came in, what was applied and told, how orders stand, how accounts talk.

Each statement follows an index of what is recent or open, ends at a limit, or reads what PostgreSQL counts itself: they
run every second or two while somebody looks.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from tillkeeper.store.postgres.pool import Conn

WINDOW: Final = timedelta(seconds=60)  # of rates: long enough to be steady, short enough to show a stop
EXACT_UP_TO: Final = 50_000  # orders: counting them all costs some 10 ms
STEPS_OF_STUCK: Final = 1000  # orders: their last steps are looked up one by one
LAGS: Final = 200  # events, of which it is looked up when they were received
HOURS: Final = 24


class Recent(msgspec.Struct, frozen=True, kw_only=True):
    """What happened within the window, and when last."""

    count: int = 0
    last_at: datetime | None = None

    @property
    def per_s(self) -> float:
        """Returns the rate."""
        return self.count / WINDOW.total_seconds()


NOTHING: Final = Recent()


class AnswerCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What receivers answered to an account's deliveries within the window."""

    accepted: int = 0  # 2xx
    refused: int = 0  # 4xx
    put_off: int = 0  # 5xx: the gateway sends it again
    last_at: datetime | None = None  # accepted


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """How much came in by account, was applied by outcome, and told by audience; and how long applying took.

    What came in is what receivers say that they accepted.  What is applied shows later that it came in: it counts where
    receivers, of an older version or cut off from the database, say less.
    """

    received: Mapping[str, Recent]
    answered: Mapping[str, AnswerCounts]
    applied: Mapping[str, Recent]
    told: Mapping[str, Recent]
    lag: timedelta | None  # the longest from receiving to applying; None where nothing was applied


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """How many orders have which status; where they are many, settled ones as PostgreSQL's statistics have them."""

    counts: Mapping[str, int]  # also those of a later version
    is_estimate: bool


class AccountActivity(msgspec.Struct, frozen=True, kw_only=True):
    """An account's deliveries of each of the last hours, the oldest first; how its gateway answers; silences."""

    last_at: datetime | None = None
    hours: tuple[int, ...] = (0,) * HOURS
    answered_at: datetime | None = None
    failing_since: datetime | None = None
    failed_at: datetime | None = None
    reason: str | None = None
    silent_since: datetime | None = None
    unanswering_since: datetime | None = None


RECEIVED = "SELECT account, count(*), max(received_at) AS last_at FROM deliveries WHERE received_at > $1 GROUP BY 1"
ANSWERED = """
SELECT account, sum(accepted)::bigint AS accepted, sum(refused)::bigint AS refused, sum(put_off)::bigint AS put_off,
       max(accepted_at) AS last_at
FROM answers_given WHERE since > $1 GROUP BY 1
"""
APPLIED = "SELECT outcome, count(*), max(recorded_at) AS last_at FROM inbox WHERE recorded_at > $1 GROUP BY 1"
# With the conditions of the index that finds what was finished lately.
TOLD = """
SELECT audience, count(*), max(finished_at) AS last_at FROM outbox
WHERE finished_at > $1 AND state IN ('sent', 'uncertain', 'dropped') AND payload <> '{}' AND state <> 'dropped'
GROUP BY 1
"""
LAG = """
SELECT max(i.recorded_at - d.received_at)
FROM (SELECT run, number, recorded_at FROM inbox WHERE recorded_at > $1 AND number IS NOT NULL LIMIT $2) AS i
JOIN deliveries d ON d.run = i.run AND d.number = i.number
"""


async def read_flow(conn: Conn, now: datetime) -> Flow:
    """Reads the last minute."""
    since = now - WINDOW
    answered = {
        account: AnswerCounts(accepted=accepted, refused=refused, put_off=put_off, last_at=last_at)
        for account, accepted, refused, put_off, last_at in await conn.fetch(ANSWERED, since)
    }
    return Flow(
        received=_came_in(await _recent(conn, RECEIVED, since), answered),
        answered=answered,
        applied=await _recent(conn, APPLIED, since),
        told=await _recent(conn, TOLD, since),
        lag=await conn.fetchval(LAG, since, LAGS),
    )


def _came_in(received: Mapping[str, Recent], answered: Mapping[str, AnswerCounts]) -> dict[str, Recent]:
    """Returns the greater of what receivers say and what is applied, of each account."""
    came_in = dict(received)
    for account, told in answered.items():
        if told.accepted > came_in.get(account, NOTHING).count:
            came_in[account] = Recent(count=told.accepted, last_at=told.last_at)
    return came_in


async def _recent(conn: Conn, statement: str, since: datetime) -> dict[str, Recent]:
    rows = await conn.fetch(statement, since)
    return {name: Recent(count=count, last_at=last_at) for name, count, last_at in rows}


# 0 or less where the table was never analyzed: then it is small, or will be soon.
KNOWN_ROWS = "SELECT reltuples::bigint FROM pg_class WHERE oid = 'orders'::regclass"
BY_STATUS = "SELECT status, count(*) FROM orders GROUP BY status"
ESTIMATED_BY_STATUS = """
SELECT v.status, (v.share * c.reltuples)::bigint AS count
FROM pg_class c
JOIN pg_stats s ON s.schemaname = c.relnamespace::regnamespace::text AND s.tablename = c.relname
     AND s.attname = 'status'
CROSS JOIN LATERAL unnest(s.most_common_vals::text::text[], s.most_common_freqs) AS v (status, share)
WHERE c.oid = 'orders'::regclass
"""


async def read_orders_by_status(conn: Conn) -> Orders:
    """Counts the orders, or says how many there are about."""
    is_estimate = await conn.fetchval(KNOWN_ROWS) > EXACT_UP_TO
    rows = await conn.fetch(ESTIMATED_BY_STATUS if is_estimate else BY_STATUS)
    return Orders(counts={row["status"]: row["count"] for row in rows}, is_estimate=is_estimate)


# In two parts, as the indexes of orders that may be stuck are.
STUCK_BY_STEP = """
SELECT coalesce(s.action, 'none') AS step, count(*), min(d.phase_since) AS oldest
FROM (
    (SELECT order_id, phase_since FROM due_orders
     WHERE status IN ('processing', 'partially_paid', 'refunding') AND phase_since <= $1
     ORDER BY phase_since LIMIT $2)
    UNION ALL
    (SELECT order_id, phase_since FROM due_orders WHERE status = 'failed' AND phase_since <= $1
     ORDER BY phase_since LIMIT $2)
) AS d
JOIN orders o ON o.id = d.order_id
LEFT JOIN LATERAL (
    SELECT action FROM steps WHERE order_id = o.id AND phase = o.phase ORDER BY taken_at DESC, at DESC LIMIT 1
) AS s ON true
GROUP BY 1 ORDER BY 2 DESC, 1
"""


async def read_stuck_by_step(conn: Conn, until: datetime) -> list[tuple[str, int, datetime]]:
    """Counts orders that have not moved since `until`, by the last step that was taken for them."""
    return [tuple(row) for row in await conn.fetch(STUCK_BY_STEP, until, STEPS_OF_STUCK)]


ACTIVITY_BY_HOUR = """
SELECT account, hour, sum(deliveries)::bigint AS deliveries, max(last_at) AS last_at
FROM activity WHERE hour > $1 GROUP BY 1, 2
"""
ANSWERS = "SELECT account, answered_at, failing_since, failed_at, reason FROM account_health"
SILENCES = "SELECT account, kind, since FROM silences WHERE ended_at IS NULL"
HOUR: Final = timedelta(hours=1)
KINDS_OF_SILENCE: Final = frozenset({"silent", "unanswering"})


async def read_accounts(conn: Conn, now: datetime) -> dict[str, AccountActivity]:
    """Reads how each account talked in the last day, whether its gateway answers, and whether it is silent."""
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    hours: dict[str, list[int]] = {}
    fields: dict[str, dict[str, Any]] = {}
    for row in await conn.fetch(ACTIVITY_BY_HOUR, this_hour - HOURS * HOUR):
        place = HOURS - 1 - (this_hour - row["hour"]) // HOUR
        of_account = fields.setdefault(row["account"], {})
        of_account["last_at"] = max(row["last_at"], of_account.get("last_at") or row["last_at"])
        if 0 <= place < HOURS:
            hours.setdefault(row["account"], [0] * HOURS)[place] = row["deliveries"]
    for row in await conn.fetch(ANSWERS):
        answers = {name: row[name] for name in ("answered_at", "failing_since", "failed_at", "reason")}
        fields.setdefault(row["account"], {}).update(answers)
    for account, kind, since in await conn.fetch(SILENCES):
        if kind in KINDS_OF_SILENCE:  # a later version may have others
            fields.setdefault(account, {})[f"{kind}_since"] = since
    return {
        account: AccountActivity(**of_account, hours=tuple(hours.get(account, (0,) * HOURS)))
        for account, of_account in fields.items()
    }
