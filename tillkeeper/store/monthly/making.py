"""Makes the figures of a day of its events (domain/monthly/figures.py), and keeps account of the days that need it.

A day's figures are made whole, in one transaction, and again whenever something was learnt of an order that has an
event on it: what is the first success of a payment may change with an event that comes late.
"""

import json
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from tillkeeper.domain.money import EXPONENTS
from tillkeeper.domain.monthly.figures import BANDS, SPANS_S
from tillkeeper.store.postgres.pool import Conn

EVERY: Final = timedelta(minutes=10)  # the days of what was recorded since are made anew
AT_ONCE: Final = timedelta(days=1)  # of what was recorded, where there is much to catch up with
OVERLAP: Final = timedelta(hours=1)  # transactions that were open then, and clocks that differ

LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended('tillkeeper reports', 0))"
PROGRESS = "SELECT zone, read_to FROM report_progress"
FIRST_RECORDED = "SELECT min(recorded_at) FROM inbox"
BEGIN = "INSERT INTO report_progress (zone, read_to) VALUES ($1, $2)"
ADVANCE = "UPDATE report_progress SET read_to = $1"
# How many orders have events on a day PostgreSQL guesses too high, and would read all events for one day of them.  So
# no table is read whole, and OFFSET 0 has each order's events looked up by themselves.
BY_INDEX = "SET LOCAL enable_seqscan = off"
FORGET_FIGURES = "DELETE FROM report_figures"
FORGET_STALE = "DELETE FROM report_stale_days"
FORGET_PROGRESS = "DELETE FROM report_progress"

# Of every order of which something was recorded, or that came to events which waited for it, all days; and the days of
# what waits.
MARK_STALE = """
WITH orders_touched AS (
    SELECT order_id AS id FROM inbox WHERE recorded_at >= $1 AND recorded_at < $2 AND order_id IS NOT NULL
    UNION
    SELECT id FROM orders WHERE registered_at >= $1 AND registered_at < $2
    UNION
    SELECT order_id FROM bound_payments WHERE at >= $1 AND at < $2
), moments AS (
    SELECT e.occurred_at FROM orders_touched o
    CROSS JOIN LATERAL (SELECT occurred_at FROM inbox WHERE order_id = o.id OFFSET 0) AS e
    UNION ALL
    SELECT occurred_at FROM inbox WHERE recorded_at >= $1 AND recorded_at < $2 AND order_id IS NULL
)
INSERT INTO report_stale_days (day)
SELECT DISTINCT (occurred_at AT TIME ZONE $3)::date FROM moments
ON CONFLICT (day) DO NOTHING
"""
NEXT_STALE = "SELECT day FROM report_stale_days ORDER BY day DESC LIMIT 1"
NO_LONGER_STALE = "DELETE FROM report_stale_days WHERE day = $1"
FORGET_DAY = "DELETE FROM report_figures WHERE day = $1"

# All events of the orders that have one on the day, for which of them is the first tells the others; what waits for its
# order is found by its payment.  Each event of the day then counts for what it is the first of.
MAKE_DAY = """
WITH of_day AS MATERIALIZED (
    SELECT seq, account, order_id, payment_ref FROM inbox WHERE occurred_at >= $2 AND occurred_at < $3
), known AS (
    SELECT e.* FROM (SELECT DISTINCT order_id FROM of_day WHERE order_id IS NOT NULL) AS o
    CROSS JOIN LATERAL (SELECT * FROM inbox WHERE order_id = o.order_id OFFSET 0) AS e
    UNION ALL
    SELECT e.* FROM (SELECT DISTINCT account, payment_ref FROM of_day
                     WHERE order_id IS NULL AND payment_ref IS NOT NULL) AS p
    JOIN inbox e ON e.account = p.account AND e.payment_ref = p.payment_ref AND e.outcome = 'waiting'
    UNION ALL
    SELECT * FROM inbox WHERE occurred_at >= $2 AND occurred_at < $3 AND order_id IS NULL AND payment_ref IS NULL
), told AS (
    SELECT seq, account, order_id, kind, evidence, occurred_at, recorded_at, coalesce(currency, '') AS currency,
           coalesce(method, '') AS method, coalesce(failure, 'unknown') AS failure, coalesce(amount_minor, 0) AS amount,
           coalesce(refund_ref, 'total of ' || payment_ref) AS refund, refund_ref IS NULL AS is_total,
           coalesce(total_minor, 0) AS total,
           row_number() OVER (PARTITION BY account, payment_ref, kind ORDER BY occurred_at, seq) AS of_payment,
           row_number() OVER (PARTITION BY account, payment_ref,
                              kind IN ('payment.authorized', 'payment.succeeded', 'payment.failed')
                              ORDER BY occurred_at, seq) AS attempt,
           row_number() OVER (PARTITION BY account, payment_ref, kind IN ('payment.succeeded', 'payment.failed')
                              ORDER BY occurred_at, seq) AS ending,
           bool_or(kind = 'payment.succeeded') OVER (PARTITION BY account, payment_ref) AS succeeds,
           row_number() OVER (PARTITION BY account, dispute_ref, kind ORDER BY occurred_at, seq) AS of_dispute,
           row_number() OVER (PARTITION BY order_id, kind ORDER BY occurred_at, seq) AS of_order,
           count(*) FILTER (WHERE kind = 'payment.failed')
               OVER (PARTITION BY order_id ORDER BY occurred_at, seq) AS failures_so_far
    FROM known
), refunds_told AS (
    SELECT seq,
           row_number() OVER (PARTITION BY account, refund, kind ORDER BY occurred_at, seq) AS of_refund,
           min(occurred_at) FILTER (WHERE kind = 'refund.pending') OVER (PARTITION BY account, refund) AS asked_at,
           total - coalesce(max(total) OVER (PARTITION BY account, refund, kind ORDER BY occurred_at, seq
                                             ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS more
    FROM told WHERE kind IN ('refund.pending', 'refund.succeeded', 'refund.failed')
), figures AS (
    SELECT t.account, t.currency, t.method, extract(hour FROM t.occurred_at AT TIME ZONE $4)::smallint AS hour, f.*
    FROM told t LEFT JOIN refunds_told r ON r.seq = t.seq LEFT JOIN orders o ON o.id = t.order_id
    CROSS JOIN LATERAL (SELECT
        floor(greatest(extract(epoch FROM t.recorded_at - t.occurred_at) * 1000, 0))::bigint AS late_ms,
        floor(greatest(extract(epoch FROM t.occurred_at - r.asked_at) * 1000, 0))::bigint AS took_ms,
        width_bucket(t.amount::numeric / power(10::numeric, coalesce(($5::jsonb ->> t.currency)::integer, 2)),
                     $6::numeric[]) - 1 AS band,
        t.kind IN ('payment.authorized', 'payment.succeeded', 'payment.failed') AND t.attempt = 1 AS is_tried,
        t.kind IN ('payment.succeeded', 'payment.failed') AND t.ending = 1 AS is_known,
        t.kind = 'refund.succeeded'
            AND CASE WHEN t.is_total THEN r.more > 0 ELSE r.of_refund = 1 END AS is_refunded
    ) AS x
    CROSS JOIN LATERAL (VALUES
        ('tried', '', t.amount::numeric, x.is_tried),
        ('succeeded', '', t.amount, x.is_tried AND t.succeeds),
        ('paid', '', t.amount, t.kind = 'payment.succeeded' AND t.of_payment = 1),
        ('failed', t.failure, t.amount, t.kind = 'payment.failed' AND t.of_payment = 1),
        ('cancelled', t.failure, t.amount, t.kind = 'payment.cancelled' AND t.of_payment = 1),
        ('reversed', '', t.amount, t.kind = 'payment.reversed' AND t.of_payment = 1),
        ('tried_band', x.band::text, t.amount, x.is_tried),
        ('succeeded_band', x.band::text, t.amount, x.is_tried AND t.succeeds),
        ('order_failed', '', o.amount_minor,
         o.id IS NOT NULL AND t.kind = 'payment.failed' AND t.of_order = 1),
        ('recovered',
         CASE WHEN EXISTS (SELECT FROM steps s WHERE s.order_id = t.order_id AND s.action = 'remind'
                           AND s.taken_at <= t.occurred_at) THEN 'reminder' ELSE 'retry' END,
         o.amount_minor,
         o.id IS NOT NULL AND t.kind = 'payment.succeeded' AND t.of_order = 1 AND t.failures_so_far > 0),
        ('known_by', t.evidence, 0, x.is_known),
        ('known_after', to_char(width_bucket(x.late_ms / 1000.0, $7::numeric[]), 'FM00'), x.late_ms, x.is_known),
        ('known_last', '', x.late_ms, x.is_known),
        ('refunded', '', CASE WHEN t.is_total THEN r.more ELSE t.amount END, x.is_refunded),
        ('refund_failed', '', t.amount, t.kind = 'refund.failed' AND r.of_refund = 1),
        ('refund_after', to_char(width_bucket(x.took_ms / 1000.0, $7::numeric[]), 'FM00'), x.took_ms,
         x.is_refunded AND r.asked_at IS NOT NULL AND NOT t.is_total),
        ('disputed', '', t.amount, t.kind = 'dispute.opened' AND t.of_dispute = 1),
        ('dispute_won', '', t.amount, t.kind = 'dispute.won' AND t.of_dispute = 1),
        ('dispute_lost', '', t.amount, t.kind = 'dispute.lost' AND t.of_dispute = 1)
    ) AS f (figure, detail, minor, counts)
    WHERE f.counts AND t.occurred_at >= $2 AND t.occurred_at < $3
)
INSERT INTO report_figures (day, figure, account, currency, method, detail, hour, count, minor)
SELECT $1, figure, account, w.currency, w.method, detail, w.hour,
       count(*), CASE WHEN figure = 'known_last' THEN max(minor) ELSE sum(minor) END
FROM figures CROSS JOIN LATERAL (SELECT
    CASE WHEN figure LIKE 'known%' OR figure = 'refund_after' THEN '' ELSE currency END AS currency,
    CASE WHEN figure IN ('tried', 'succeeded', 'paid', 'failed', 'cancelled') THEN method ELSE '' END AS method,
    CASE WHEN figure IN ('tried', 'succeeded', 'failed') THEN hour ELSE 0::smallint END AS hour
) AS w
GROUP BY figure, account, w.currency, w.method, detail, w.hour
"""


async def advance(conn: Conn, *, zone: str, now: datetime) -> bool:
    """Makes the days stale of which something was recorded since the last time; returns whether there is more to
    read at once.  In the caller's transaction; one process does so at a time."""
    if not await conn.fetchval(LOCK):
        return False
    progress = await conn.fetchrow(PROGRESS)
    if progress is not None and progress["zone"] != zone:  # every day begins at another time
        for statement in (FORGET_FIGURES, FORGET_STALE, FORGET_PROGRESS):
            await conn.execute(statement)
        progress = None
    if progress is None:
        first = await conn.fetchval(FIRST_RECORDED)
        if first is None:
            return False
        await conn.execute(BEGIN, zone, first - EVERY)  # so that the first figures are there at once
        return True
    read_to: datetime = progress["read_to"]
    if now - read_to < EVERY:
        return False
    until = min(now, read_to + AT_ONCE)
    await conn.execute(BY_INDEX)
    await conn.execute(MARK_STALE, read_to - OVERLAP, until, zone)
    await conn.execute(ADVANCE, until)
    return until < now


async def make_one_day(conn: Conn) -> date | None:
    """Makes the figures of the latest stale day anew, and returns it; None where no day is stale.

    In the caller's transaction; one process does so at a time.
    """
    if not await conn.fetchval(LOCK):
        return None
    day: date | None = await conn.fetchval(NEXT_STALE)
    if day is None:
        return None
    zone = await conn.fetchval(PROGRESS)
    await conn.execute(BY_INDEX)
    await conn.execute(FORGET_DAY, day)
    await conn.execute(MAKE_DAY, *arguments_of(day, zone))
    await conn.execute(NO_LONGER_STALE, day)
    return day


def arguments_of(day: date, zone: str) -> tuple[object, ...]:
    """Returns what MAKE_DAY takes."""
    tz = ZoneInfo(zone)
    following = day + timedelta(days=1)
    first, until = (datetime(each.year, each.month, each.day, tzinfo=tz) for each in (day, following))
    return day, first, until, zone, json.dumps(EXPONENTS), list(BANDS), list(SPANS_S)
