"""Keeps what is usual for each account: of every hour, the most within five minutes (domain/guard.py)."""

from datetime import datetime

from tillkeeper.store.postgres.pool import Conn

FOLD = """
WITH gone AS (
    DELETE FROM guard_counts WHERE minute < $1 RETURNING account, minute, failed, taken_back, mismatched, far_off
), minutes AS (
    SELECT account, minute, sum(failed) AS failed, sum(taken_back) AS taken_back, sum(mismatched) AS mismatched,
           sum(far_off) AS far_off
    FROM gone GROUP BY 1, 2
), windows AS (
    SELECT account, date_trunc('hour', minute, 'UTC') AS hour, sum(failed) OVER w AS failed,
           sum(taken_back) OVER w AS taken_back, sum(mismatched) OVER w AS mismatched, sum(far_off) OVER w AS far_off
    FROM minutes
    WINDOW w AS (PARTITION BY account ORDER BY minute RANGE BETWEEN interval '4 minutes' PRECEDING AND CURRENT ROW)
)
INSERT INTO guard_usual AS u (account, hour, failed, taken_back, mismatched, far_off)
SELECT account, hour, max(failed), max(taken_back), max(mismatched), max(far_off)
FROM windows GROUP BY 1, 2 HAVING max(failed + taken_back + mismatched + far_off) > 0 ORDER BY 1, 2
ON CONFLICT (account, hour) DO UPDATE
SET failed = greatest(u.failed, excluded.failed), taken_back = greatest(u.taken_back, excluded.taken_back),
    mismatched = greatest(u.mismatched, excluded.mismatched), far_off = greatest(u.far_off, excluded.far_off)
"""
FORGET = "DELETE FROM guard_usual WHERE hour < $1"


async def fold_counts(conn: Conn, *, before: datetime, forget_before: datetime) -> None:
    """Folds the minutes of finished hours into the most that each had, and forgets what is no longer usual."""
    await conn.execute(FOLD, before)
    await conn.execute(FORGET, forget_before)
