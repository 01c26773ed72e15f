"""Carries out what people decided about paused accounts (store/guard/releasing.py); any number of workers may."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

import asyncpg
import msgspec
import structlog

from tillkeeper.domain.delivery import Envelope, EnvelopeKeys, NotAuthentic
from tillkeeper.store.deliveries.parked import NOT_AUTHENTIC, park_unreadable
from tillkeeper.store.guard.releasing import Releasing, claim_decided, end, lane_is_busy, put_back, take_held
from tillkeeper.store.postgres.pool import Conn
from tillkeeper.telemetry import PARKED_EVENTS
from tillkeeper.workers.apply_or_park import park_in
from tillkeeper.workers.database_retry import DatabaseRetry, Stopped

log = structlog.get_logger()

AT_ONCE: Final = 200  # deliveries; a transaction of a tenth of a second
IN_ENVELOPE: Final = 50  # single ones would be applied in batches of sixteen, at four times the cost
REASON: Final = "held_by_guard"
ERROR: Final = "it came while its account was paused, and a person had what came then parked"


class Release:
    """Moves held deliveries where a decision sends them."""

    def __init__(
        self, *, pool: asyncpg.Pool, retry: DatabaseRetry, keys: EnvelopeKeys, now: Callable[[], datetime]
    ) -> None:
        self._pool = pool
        self._retry = retry
        self._keys = keys
        self._now = now

    async def run_once(self) -> int:
        """Moves some deliveries; returns their number."""
        try:
            return await self._retry.transact(self._pool, self._move)
        except Stopped:
            return 0

    async def _move(self, conn: Conn) -> int:
        pause = await claim_decided(conn)
        if pause is None or (pause.decision == "go" and await lane_is_busy(conn)):
            return 0
        messages = await take_held(conn, pause, limit=AT_ONCE)
        if messages:
            envelopes = await self._opened(conn, messages)
            await self._carry_out(conn, pause, envelopes)
        else:
            await end(conn, pause, now=self._now())
            log.info("account_released", account=pause.account, decision=pause.decision)
        return len(messages)

    async def _opened(self, conn: Conn, messages: list[bytes]) -> list[Envelope]:
        """Opens the messages; one that the keys do not open any more is parked whole."""
        opened = []
        for message in messages:
            try:
                opened.append(self._keys.open(message))
            except (NotAuthentic, msgspec.MsgspecError) as error:
                reason = NOT_AUTHENTIC if isinstance(error, NotAuthentic) else "unreadable"
                await park_unreadable(conn, message, reason=reason, error=str(error), now=self._now())
                PARKED_EVENTS.labels(reason).inc()
                log.error("message_parked", lane="held", reason=reason, error=str(error))  # noqa: TRY400 - no bug of ours
        return opened

    async def _carry_out(self, conn: Conn, pause: Releasing, envelopes: list[Envelope]) -> None:
        deliveries = [delivery for envelope in envelopes for delivery in envelope.deliveries]
        if pause.decision == "park":
            for delivery in deliveries:
                await park_in(conn, delivery, reason=REASON, error=ERROR, now=self._now())
            return
        groups = [deliveries[first : first + IN_ENVELOPE] for first in range(0, len(deliveries), IN_ENVELOPE)]
        await put_back(conn, [self._keys.seal(Envelope(run=group[0].run, deliveries=tuple(group))) for group in groups])
