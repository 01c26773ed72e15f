"""Applies a delivery's good events one by one, and parks each bad one with its reason."""

from datetime import datetime
from typing import Final

import asyncpg
import structlog

from tillkeeper.domain.delivery import Delivery
from tillkeeper.domain.events import PaymentEvent
from tillkeeper.domain.policy import Policy
from tillkeeper.store.apply.batch import Tally, apply_event, keep_delivery
from tillkeeper.store.deliveries.inbox import count_duplicate
from tillkeeper.store.deliveries.parked import park_event, park_fetches
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.store.postgres.sqlstates import WriteConflict, is_passing
from tillkeeper.store.postgres.transactions import CONFLICTS, repeat_on_conflict
from tillkeeper.store.queries.fetches import request_fetches
from tillkeeper.telemetry import PARKED_EVENTS

log = structlog.get_logger()

CANNOT_BE_APPLIED: Final = "cannot_be_applied"


async def apply_or_park(pool: asyncpg.Pool, delivery: Delivery, *, policy: Policy, now: datetime) -> Tally:
    """Applies or parks every event of the delivery in one transaction.  Raises errors that it did not cause."""
    try:
        return await repeat_on_conflict(pool, lambda conn: _settle(conn, delivery, policy, now))
    except WriteConflict as error:  # alone, and every time: no other transaction is first so often
        await park_delivery(pool, delivery, reason=CANNOT_BE_APPLIED, error=_text_of(error), now=now)
        return Tally()


async def park_delivery(pool: asyncpg.Pool, delivery: Delivery, *, reason: str, error: str, now: datetime) -> None:
    """Parks every event of a delivery untried, but requests its queries: these are harmless."""
    await repeat_on_conflict(pool, lambda conn: park_in(conn, delivery, reason=reason, error=error, now=now))


async def park_in(conn: Conn, delivery: Delivery, *, reason: str, error: str, now: datetime) -> None:
    """As `park_delivery`, in the caller's transaction."""
    if await _keep(conn, delivery, Tally(), now):
        for event in delivery.events:
            await _park_kept(conn, delivery, event, reason=reason, error=error, now=now)


async def _keep(conn: Conn, delivery: Delivery, total: Tally, now: datetime) -> bool:
    """Stores the delivery and requests its queries.  Returns False where it is stored already, or had to be parked."""
    try:
        async with conn.transaction():
            if not await keep_delivery(conn, delivery):
                total.redelivered = 1
                return False
            total.dropped = await request_fetches(conn, [delivery], now=now)
    except Exception as error:
        if _is_passing(error):
            raise
        await _park_all(conn, delivery, error, now)
        return False
    return True


async def _settle(conn: Conn, delivery: Delivery, policy: Policy, now: datetime) -> Tally:
    total = Tally()
    if not await _keep(conn, delivery, total, now):
        return total
    for event in delivery.events:
        try:
            async with conn.transaction():
                tally = await apply_event(conn, delivery, event, policy=policy, now=now)
        except Exception as error:
            if _is_passing(error):
                raise
            await _park_kept(conn, delivery, event, reason=CANNOT_BE_APPLIED, error=_text_of(error), now=now)
        else:
            total.outcomes += tally.outcomes
            total.duplicates += tally.duplicates
            total.cases += tally.cases
    return total


async def _park_all(conn: Conn, delivery: Delivery, error: Exception, now: datetime) -> None:
    for event in delivery.events:
        await _park(conn, delivery, event, reason="cannot_be_kept", error=_text_of(error), now=now)
    if delivery.fetches:
        await park_fetches(conn, delivery, reason="cannot_be_kept", error=_text_of(error), now=now)
        PARKED_EVENTS.labels("cannot_be_kept").inc()
        log.error("fetches_parked", account=delivery.account, reason="cannot_be_kept", error=_text_of(error))


async def _park_kept(
    conn: Conn, delivery: Delivery, event: PaymentEvent, *, reason: str, error: str, now: datetime
) -> None:
    """Parks an event of a stored delivery.  One that it brings twice is parked once, and then counts as a duplicate."""
    if not await _park(conn, delivery, event, reason=reason, error=error, now=now):
        await count_duplicate(conn, (delivery.run, delivery.number))


async def _park(conn: Conn, delivery: Delivery, event: PaymentEvent, *, reason: str, error: str, now: datetime) -> bool:
    if not await park_event(conn, delivery, event, reason=reason, error=error, now=now):
        return False
    PARKED_EVENTS.labels(reason).inc()
    log.error("event_parked", account=delivery.account, kind=event.kind, reason=reason, error=error)
    return True


def _is_passing(error: Exception) -> bool:
    return isinstance(error, CONFLICTS) or is_passing(error)


def _text_of(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
