"""Takes hints from refused deliveries: one that failed verification may have its gateway queried about its payment.

Hints are taken when there is nothing better to do, and nobody waits for them.

The limits that hold for all receivers are kept in the database (tillkeeper/store/jobs/hints.py).  Before that, this
process takes no more than the policy's number a minute for each account, and one at a time: a flood of forgeries costs
a comparison each.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final

import asyncpg

from tillkeeper.api_client.throttle import Bucket
from tillkeeper.domain.policy import HintPolicy, Policy
from tillkeeper.gateways.base import Gateway
from tillkeeper.gateways.messages import ClaimedReferences, Request
from tillkeeper.loops import start
from tillkeeper.store.jobs.hints import take_hint
from tillkeeper.store.postgres.sqlstates import DATABASE_ERRORS
from tillkeeper.telemetry import HINTS

BODY_BYTES_MAX: Final = 64 * 1024  # the largest real delivery seen is 38 KiB
TAKE_S: Final = 2.0  # a database that is slower has other worries


class Hints:
    """Takes hints from the refused deliveries of all accounts."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        *,
        policy: Callable[[], Policy],
        now: Callable[[], datetime],
        monotonic_s: Callable[[], float],
    ) -> None:
        self._pool = pool
        self._policy = policy
        self._now = now
        self._monotonic_s = monotonic_s
        self._buckets: dict[tuple[str, int], Bucket] = {}  # by account and limit, which a new policy may change
        self._under_way: asyncio.Task[None] | None = None

    def consider(self, gateway: Gateway, request: Request) -> None:
        """Takes a refused delivery as a hint if the limits allow it.  Returns at once and raises nothing."""
        policy = self._policy().hints
        if policy.per_minute == 0 or len(request.body) > BODY_BYTES_MAX:
            return
        if self._under_way is not None or not self._has_room(gateway.account, policy):
            HINTS.labels(gateway.account, "limited").inc()
            return
        named = gateway.claimed_references(request)
        if named is None:
            HINTS.labels(gateway.account, "nothing").inc()
            return
        self._under_way = start(self._take(gateway.account, named, policy), name="hint")

    async def close(self) -> None:
        """Waits for the hint that is being taken, whose time is limited."""
        if self._under_way is not None:
            await asyncio.wait({self._under_way})

    def _has_room(self, account: str, policy: HintPolicy) -> bool:
        key = (account, policy.per_minute)
        if key not in self._buckets:
            self._buckets = {
                bucket_key: bucket for bucket_key, bucket in self._buckets.items() if bucket_key[0] != account
            }
            self._buckets[key] = Bucket(per_s=policy.per_minute / 60, burst=policy.per_minute)
        return self._buckets[key].take(self._monotonic_s(), wait_s_max=0.0) is not None

    async def _take(self, account: str, named: ClaimedReferences, policy: HintPolicy) -> None:
        result = "failed"
        try:
            async with asyncio.timeout(TAKE_S), self._pool.acquire(timeout=TAKE_S) as conn, conn.transaction():
                result = await take_hint(
                    conn,
                    account,
                    payment_ref=named.payment_ref,
                    order_ref=named.order_ref,
                    policy=policy,
                    now=self._now(),
                )
        except DATABASE_ERRORS:
            result = "failed"
        finally:
            self._under_way = None
            HINTS.labels(account, result).inc()
