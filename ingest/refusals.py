"""Stores refused deliveries with their diagnosis (diagnostics/refusals.py): a few a minute of each account."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, Protocol

import asyncpg
import msgspec
import structlog

from tillkeeper.api_client.throttle import Bucket
from tillkeeper.diagnostics.findings import BY_STEP, Diagnosis
from tillkeeper.diagnostics.refusals import RefusedRequest, diagnose
from tillkeeper.gateways.base import Gateway
from tillkeeper.gateways.errors import Refused
from tillkeeper.gateways.messages import Request
from tillkeeper.loops import start
from tillkeeper.store.deliveries.refused import BODY_BYTES_MAX, RefusedDelivery, keep_refused
from tillkeeper.store.postgres.sqlstates import DATABASE_ERRORS
from tillkeeper.telemetry import EXAMINED

EXAMINED_PER_MINUTE: Final = 10  # of each account: a diagnosis checks up to fifty signatures
BURST: Final = 5
KEEP_S: Final = 2.0  # a database that is slower has other worries
EXAMINE_S: Final = 0.5  # in a thread, which shares the interpreter with the event loop
TOO_LARGE: Final = f"nothing was tried, for it has more than {BODY_BYTES_MAX // 1024} KiB"
TEXT_CHARS_MAX: Final = 500
LOGGED_CHARS_MAX: Final = 200

log = structlog.get_logger()


class Records(Protocol):
    """What a diagnosis needs to know of all accounts; the accounts of a process, or fixed ones."""

    def refused_request(
        self, gateway: Gateway, request: Request, now: datetime, refused: Refused, *, url: str
    ) -> RefusedRequest:
        """Collects what the diagnosis of a refused request needs."""
        ...


class Refusals:
    """Diagnoses the refused deliveries of all accounts, and stores them for ops."""

    def __init__(self, pool: asyncpg.Pool, *, records: Records, monotonic_s: Callable[[], float]) -> None:
        self._pool = pool
        self._records = records
        self._monotonic_s = monotonic_s
        self._buckets: dict[str, Bucket] = {}
        self._under_way: asyncio.Task[None] | None = None

    def consider(self, gateway: Gateway, request: Request, refused: Refused, *, now: datetime, url: str) -> None:
        """Starts a diagnosis if the limits allow it.  Returns at once and raises nothing."""
        bucket = self._buckets.setdefault(gateway.account, Bucket(per_s=EXAMINED_PER_MINUTE / 60, burst=BURST))
        if self._under_way is not None or bucket.take(self._monotonic_s(), wait_s_max=0.0) is None:
            EXAMINED.labels(gateway.account, "limited").inc()
            return
        refused_request = self._records.refused_request(gateway, request, now, refused, url=url)
        self._under_way = start(self._examine(refused_request), name="refused delivery")

    async def close(self) -> None:
        """Waits for the diagnosis that is running, whose time is limited."""
        if self._under_way is not None:
            await asyncio.wait({self._under_way})

    async def _examine(self, refused_request: RefusedRequest) -> None:
        """Diagnoses in a thread, for that may take a while; other refusals meanwhile are only counted."""
        try:
            diagnosis = await self._diagnosis(refused_request)
            account = refused_request.gateway.account
            EXAMINED.labels(account, diagnosis.finding).inc()
            log.warning(
                "refusal_examined",
                account=account,
                finding=diagnosis.finding,
                reason=diagnosis.reason[:LOGGED_CHARS_MAX],
                detail=diagnosis.detail[:LOGGED_CHARS_MAX],
            )
            await self._keep(_kept(refused_request, diagnosis))
        finally:
            self._under_way = None

    async def _diagnosis(self, refused_request: RefusedRequest) -> Diagnosis:
        refused = refused_request.refused
        if len(refused_request.request.body) > BODY_BYTES_MAX:
            return Diagnosis(finding=BY_STEP[refused.step], reason=refused.reason, detail=TOO_LARGE)
        ends_at_s = self._monotonic_s() + EXAMINE_S
        hurried = msgspec.structs.replace(refused_request, out_of_time=lambda: self._monotonic_s() > ends_at_s)
        return await asyncio.to_thread(diagnose, hurried)

    async def _keep(self, kept: RefusedDelivery) -> None:
        try:
            async with asyncio.timeout(KEEP_S), self._pool.acquire(timeout=KEEP_S) as conn, conn.transaction():
                await keep_refused(conn, kept)
        except DATABASE_ERRORS:
            EXAMINED.labels(kept.account, "not_kept").inc()


def _kept(refused_request: RefusedRequest, diagnosis: Diagnosis) -> RefusedDelivery:
    request = refused_request.request
    return RefusedDelivery(
        account=refused_request.gateway.account,
        received_at=refused_request.now,
        step=refused_request.refused.step,
        finding=diagnosis.finding,
        reason=_keepable(diagnosis.reason),
        detail=_keepable(diagnosis.detail),
        query=_keepable(request.query),
        headers=_kept_of(refused_request.gateway.kept_headers, request.headers),
        body=request.body if len(request.body) <= BODY_BYTES_MAX else None,
    )


def _kept_of(names: frozenset[str], headers: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    values = [(name, headers.get(name, ())) for name in sorted(names)]
    return tuple((name, _keepable(str(one))) for name, many in values if isinstance(many, list | tuple) for one in many)


def _keepable(text: str) -> str:
    """Returns the text as the database can hold it: an unverified request may contain anything."""
    return text[:TEXT_CHARS_MAX].encode("utf-8", "replace").decode().replace("\0", "\ufffd")
