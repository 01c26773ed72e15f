"""Brings messages past a lane's delivery limit to where people see them: one parked row an event."""

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
from tillkeeper.workers.isolate import park_delivery
from tillkeeper.workers.outage import Outage, Stopped

log = structlog.get_logger()

MESSAGES_MAX: Final = 10
REASON: Final = "delivery_limit"
POLICY: Final = (
    "nothing is wrong with it: replay it, and take Tillkeeper's queues out of that policy (rabbitmqctl list_policies)"
)
# By the broker's own words.  Whatever else it says is the delivery limit: for nothing else are messages to be given up.
ERRORS: Final[Mapping[str, str]] = MappingProxyType(
    {
        REASON: "its worker ended before the transaction did, every time it was handed out",
        "expired": f"a policy of the broker's (message-ttl) let it expire before a worker took it; {POLICY}",
        "maxlen": f"a policy of the broker's (max-length) pushed it out of its queue; {POLICY}",
    }
)


class ParkLoop:
    """One lane's overrun messages."""

    def __init__(
        self,
        *,
        lane: Receiver,
        pool: asyncpg.Pool,
        outage: Outage,
        now: Callable[[], datetime],
        keys: EnvelopeKeys | None = None,
    ) -> None:
        self._lane = lane
        self._pool = pool
        self._outage = outage
        self._now = now
        self._keys = keys or EnvelopeKeys()

    async def run_once(self) -> int:
        """Stores what the lane gave up on; returns how many messages that was."""
        try:
            taken = await self._lane.take_parked(limit=MESSAGES_MAX)
            for message in taken:
                await self._store(message)
                await self._lane.acknowledge([message])
        except (LaneUnavailable, Stopped):  # the apply loop of the same lane says so
            await self._lane.release()
            return 0
        except BaseException:
            await self._lane.release()
            raise
        return len(taken)

    async def _store(self, message: LaneMessage) -> None:
        reason = message.gone_by or REASON
        reason = reason if reason in ERRORS else REASON
        try:
            envelope = self._keys.open(message.body)
        except msgspec.MsgspecError as error:
            await self._outage.wait_out(partial(self._store_whole, message.body, reason, str(error)))
            return
        except NotAuthentic as error:
            await self._outage.wait_out(partial(self._store_whole, message.body, NOT_AUTHENTIC, str(error)))
            return
        for delivery in envelope.deliveries:
            await self._outage.wait_out(
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
