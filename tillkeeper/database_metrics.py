"""Defines the metrics of what is open in the database, as sweeps read it every 15 s (workers/database_gauges.py).

Several sweeps tell the same, so `max by (...)` is the way to read them.  Counts end at 10,000.
"""

from collections.abc import Mapping
from typing import Final

from tillkeeper.domain.order.case_kinds import CASE_KINDS
from tillkeeper.domain.order.mismatch import Mismatch
from tillkeeper.domain.order.notices import Audience
from tillkeeper.domain.statuses import OPEN, Status
from tillkeeper.metric_definitions import gauge
from tillkeeper.telemetry import ACCOUNT, OTHER, PARK_REASONS

COUNTED_MAX: Final = 10_000  # more would cost, and says nothing new to who is called
MISMATCHES: Final = (*Mismatch, OTHER)
CASE_LEVELS: Final = tuple(str(level) for level in range(1, 10))
STUCK_STATUSES: Final = tuple(status for status in OPEN if status is not Status.UNPAID)  # unpaid: no payment began
# The age of an order's present phase: since its money moved last.
STUCK_AGES_S: Final[Mapping[str, float]] = {
    "under 10m": 0,
    "10m": 600,
    "1h": 3_600,
    "6h": 21_600,
    "1d": 86_400,
    "3d": 259_200,
}

DATABASE_READ_AT: Final = gauge(
    "tillkeeper_database_gauges_timestamp_seconds",
    "When a sweep read the figures of the database last; while the database is away it stands still, as they do",
)
DATABASE_READ_SECONDS: Final = gauge("tillkeeper_database_gauges_read_seconds", "How long reading them took")
CASES_OPEN: Final = gauge(
    "tillkeeper_cases_open",
    "Open cases, by what they are about and how far up they went",
    kind=(*sorted(CASE_KINDS), OTHER),
    level=CASE_LEVELS,
)
CASES_OLDEST_SECONDS: Final = gauge(
    "tillkeeper_cases_oldest_seconds",
    "Age of the oldest open case of a level; 0 where there is none",
    level=CASE_LEVELS,
)
ORDERS_STUCK: Final = gauge(
    "tillkeeper_orders_stuck",
    "Open orders by how long their money has not moved, from that age to the next; a payment began, and none is over",
    status=STUCK_STATUSES,
    age=tuple(STUCK_AGES_S),
)
ORDERS_DUE: Final = gauge("tillkeeper_orders_due", "Orders whose next step is due, and that no sweep has in hand")
SWEEP_LAG_SECONDS: Final = gauge(
    "tillkeeper_sweep_lag_seconds", "How long the longest due order has been due; 0 while none is"
)
EVENTS_WAITING: Final = gauge("tillkeeper_events_waiting", "Events whose order is not registered, or not yet")
EVENTS_WAITING_SECONDS: Final = gauge(
    "tillkeeper_events_waiting_oldest_seconds", "How long the oldest of them waits; 0 while none does"
)
EVENTS_MISMATCHED: Final = gauge(
    "tillkeeper_events_mismatched",
    "Events that count for nothing, of orders whose case about it is open",
    reason=MISMATCHES,
)
ACCOUNT_PAUSED: Final = gauge(
    "tillkeeper_account_paused",
    "1 while the guard has an account paused, until somebody decided and all that was held is applied or parked",
    account=ACCOUNT,
)
HELD_OPEN: Final = gauge(
    "tillkeeper_held_open", "Deliveries of a paused account that wait for a decision", account=ACCOUNT
)
PARKED_OPEN: Final = gauge(
    "tillkeeper_parked_open", "Parked events and messages that nobody replayed or discarded", reason=PARK_REASONS
)
OUTBOX_PENDING: Final = gauge("tillkeeper_outbox_pending", "Notices that are not sent yet", audience=tuple(Audience))
OUTBOX_OVERDUE_SECONDS: Final = gauge(
    "tillkeeper_outbox_overdue_seconds",
    "How long the longest due notice has been due; 0 while none is",
    audience=tuple(Audience),
)
OUTBOX_DEAD: Final = gauge(
    "tillkeeper_outbox_dead", "Notices that were given up in the last 24 hours", audience=tuple(Audience)
)
FETCHES_OPEN: Final = gauge(
    "tillkeeper_fetches_open",
    "Queries that deliveries asked for, and that have no answer yet; `other` for accounts no longer configured",
    account=f"{ACCOUNT}, and {OTHER}",
)
FETCHES_OVERDUE_SECONDS: Final = gauge(
    "tillkeeper_fetches_overdue_seconds", "How long the longest due query has been due; 0 while none is"
)
