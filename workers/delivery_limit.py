"""Parks messages that passed a lane's delivery limit, as a row for each event, so that people see them.

They killed their workers.  An event that merely cannot be applied is parked by apply_or_park.py.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Final

import asyncpg
import msgspec
import structlog

from tillkeeper.domain.delivery import EnvelopeKeys, NotAuthentic
from tillkeeper.lanes.base import LaneMessage, LaneUnavailable, Receiver
from tillkeeper.store.deliveries.parked import NOT_AUTHENTIC, park_unreadable
from tillkeeper.telemetry import PARKED_EVENTS
from tillkeeper.workers.apply_or_park import park_delivery
from tillkeeper.workers.database_retry import DatabaseRetry, Stopped

log = structlog.get_logger()

MESSAGES_MAX: Final = 10
REASON: Final = "delivery_limit"
POLICY: Final = (
    "nothing is wrong with it: replay it, and take Tillkeeper's queues out of that policy (rabbitmqctl list_policies)"
)
# By the broker's reason.  Any other reason counts as the delivery limit, the only one that is configured.
ERRORS: Final[Mapping[str, str]] = MappingProxyType(
    {
        REASON: "its worker ended before the transaction did, every time it was handed out",
        "expired": f"a policy of the broker's (message-ttl) let it expire before a worker took it; {POLICY}",
        "maxlen": f"a policy of the broker's (max-length) pushed it out of its queue; {POLICY}",
    }
)


class ParkLoop:
    """Parks one lane's messages past the delivery limit."""

    def __init__(
        self,
        *,
        lane: Receiver,
        pool: asyncpg.Pool,
        retry: DatabaseRetry,
        now: Callable[[], datetime],
        keys: EnvelopeKeys | None = None,
    ) -> None:
        self._lane = lane
        self._pool = pool
        self._retry = retry
        self._now = now
        self._keys = keys or EnvelopeKeys()

    async def run_once(self) -> int:
        """Parks the messages that the lane gave up; returns their number."""
        try:
            taken = await self._lane.take_parked(limit=MESSAGES_MAX)
            for message in taken:
                await self._store(message)
                await self._lane.acknowledge([message])
        except (LaneUnavailable, Stopped):  # the apply loop of the same lane logs it
            await self._lane.release()
            return 0
        except BaseException:
            await self._lane.release()
            raise
        return len(taken)

    async def _store(self, message: LaneMessage) -> None:
        reason = message.death_reason or REASON
        reason = reason if reason in ERRORS else REASON
        try:
            envelope = self._keys.open(message.body)
        except msgspec.MsgspecError as error:
            await self._retry.until_available(partial(self._store_whole, message.body, reason, str(error)))
            return
        except NotAuthentic as error:
            await self._retry.until_available(partial(self._store_whole, message.body, NOT_AUTHENTIC, str(error)))
            return
        for delivery in envelope.deliveries:
            await self._retry.until_available(
                partial(park_delivery, self._pool, delivery, reason=reason, error=ERRORS[reason], now=self._now())
            )
        log.error(
            "message_parked",
            lane=self._lane.name,
            reason=reason,
            error=ERRORS[reason],
            deliveries=len(envelope.deliveries),
        )

    async def _store_whole(self, body: bytes, reason: str, error: str) -> None:
        async with self._pool.acquire() as conn:
            await park_unreadable(conn, body, reason=reason, error=error, now=self._now())
        PARKED_EVENTS.labels(reason).inc()
