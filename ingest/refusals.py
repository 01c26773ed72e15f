"""Refused deliveries, examined and kept for ops: a few a minute of each account, when there is nothing better to do."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, Protocol

import asyncpg

from tillkeeper.asking.limits import Bucket
from tillkeeper.doctor.examining import Patient, examine
from tillkeeper.doctor.findings import Diagnosis
from tillkeeper.gateways.base import Gateway, Refused, Request
from tillkeeper.loops import start
from tillkeeper.store.failures import DATABASE_ERRORS
from tillkeeper.store.refused import BODY_BYTES_MAX, RefusedDelivery, keep_refused
from tillkeeper.telemetry import EXAMINED

EXAMINED_PER_MINUTE: Final = 10  # of each account: trying costs up to fifty signatures
BURST: Final = 5
KEEP_S: Final = 2.0  # a database that is slower has other worries
TEXT_CHARS_MAX: Final = 500


class Records(Protocol):
    """What is known of an account besides its gateway."""

    def patient(self, gateway: Gateway, request: Request, now: datetime, refused: Refused, *, url: str) -> Patient:
        """The delivery as the doctor sees it."""
        ...


class Refusals:
    """Of all accounts of this receiver."""

    def __init__(self, pool: asyncpg.Pool, *, records: Records, monotonic_s: Callable[[], float]) -> None:
        self._pool = pool
        self._records = records
        self._monotonic_s = monotonic_s
        self._buckets: dict[str, Bucket] = {}
        self._under_way: asyncio.Task[None] | None = None

    def consider(
        self, gateway: Gateway, request: Request, refused: Refused, *, now: datetime, url: str
    ) -> Diagnosis | None:
        """Examines it and has it kept, if there is room.  Raises nothing; None where there was no room."""
        bucket = self._buckets.setdefault(gateway.account, Bucket(per_s=EXAMINED_PER_MINUTE / 60, burst=BURST))
        if self._under_way is not None or bucket.take(self._monotonic_s(), wait_s_max=0.0) is None:
            EXAMINED.labels(gateway.account, "limited").inc()
            return None
        diagnosis = examine(self._records.patient(gateway, request, now, refused, url=url))
        EXAMINED.labels(gateway.account, diagnosis.finding).inc()
        kept = RefusedDelivery(
            account=gateway.account,
            received_at=now,
            step=refused.step,
            finding=diagnosis.finding,
            reason=_keepable(diagnosis.reason),
            detail=_keepable(diagnosis.detail),
            query=_keepable(request.query),
            headers=_kept_of(gateway.kept_headers, request.headers),
            body=request.body if len(request.body) <= BODY_BYTES_MAX else None,
        )
        self._under_way = start(self._keep(kept), name="refused delivery")
        return diagnosis

    async def close(self) -> None:
        """Waits for the one under way, which ends in time by itself."""
        if self._under_way is not None:
            await asyncio.wait({self._under_way})

    async def _keep(self, kept: RefusedDelivery) -> None:
        try:
            async with asyncio.timeout(KEEP_S), self._pool.acquire(timeout=KEEP_S) as conn, conn.transaction():
                await keep_refused(conn, kept)
        except DATABASE_ERRORS:
            EXAMINED.labels(kept.account, "not_kept").inc()
        finally:
            self._under_way = None


def _kept_of(names: frozenset[str], headers: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    values = [(name, headers.get(name, ())) for name in sorted(names)]
    return tuple((name, _keepable(str(it))) for name, told in values if isinstance(told, list | tuple) for it in told)


def _keepable(text: str) -> str:
    """Text that a database can hold: anything may stand in a request that proved nothing."""
    return text[:TEXT_CHARS_MAX].encode("utf-8", "replace").decode().replace("\0", "\ufffd")
