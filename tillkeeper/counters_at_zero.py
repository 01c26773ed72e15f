"""Has counters begin at 0 when a process starts: a rate sees the first event only if it saw a 0 before."""

from collections.abc import Iterable

from tillkeeper.domain.order.notices import Audience
from tillkeeper.metric_definitions import start_at_zero
from tillkeeper.telemetry import (
    APPLIED_EVENTS,
    ASKED_SOONER,
    BACKFILLED,
    DELIVERIES,
    EXAMINED,
    FETCHES,
    GATEWAY_BREAKER_OPEN,
    GATEWAY_QUERIES,
    HINTS,
    KEYS_FETCHED,
    LANE_DELIVERIES,
    LANE_ENVELOPES,
    LANE_FAILURES,
    NOTICES,
    PARKED_EVENTS,
    SWEPT_ORDERS,
)


def start_receiver_counters(accounts: Iterable[str]) -> None:
    """Has the receiver's counters of these accounts begin at 0."""
    start_at_zero((LANE_DELIVERIES, LANE_ENVELOPES, LANE_FAILURES))
    for account in accounts:
        start_at_zero((DELIVERIES, KEYS_FETCHED, EXAMINED, HINTS), account=account)


def start_worker_counters() -> None:
    """Has the workers' counters begin at 0."""
    start_at_zero((APPLIED_EVENTS, PARKED_EVENTS))


def start_sweep_counters(accounts: Iterable[str]) -> None:
    """Has the sweep's counters of these accounts begin at 0."""
    start_at_zero((SWEPT_ORDERS,))
    for account in accounts:
        start_at_zero((GATEWAY_QUERIES, FETCHES, BACKFILLED, ASKED_SOONER), account=account)
        GATEWAY_BREAKER_OPEN.labels(account)


def start_notice_counters(audience: Audience, channels: Iterable[str]) -> None:
    """Has the sender's counters of these channels begin at 0."""
    for channel in channels:
        start_at_zero((NOTICES,), audience=audience, channel=channel)
