"""Takes refused deliveries in after all, once the keys that verify them stand in the configuration.

read ─> verify with the present keys, as of when it was received ─> parse ─> in one transaction: its row goes, and its
envelope stands in the PostgreSQL lane, from which workers apply it as any other
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from enum import StrEnum
from typing import Any, Final
from uuid import uuid4

import asyncpg
import msgspec

from tillkeeper.api_client.http import open_http
from tillkeeper.api_client.key_fetching import KEY_SETTINGS, KeyFetcher, KeyUnavailable
from tillkeeper.api_client.key_store import KeyStore
from tillkeeper.domain.delivery import Delivery, Envelope, EnvelopeKeys
from tillkeeper.gateways.base import Gateway
from tillkeeper.gateways.errors import BadSignature, Refused, VerificationStep
from tillkeeper.gateways.fetching import fetches_of
from tillkeeper.gateways.kit.unknown_words import unknown_words
from tillkeeper.gateways.messages import Request, Verified
from tillkeeper.store.deliveries.refused import RefusedDelivery, remove_refused, show_refused
from tillkeeper.store.jobs import spool
from tillkeeper.store.postgres.pool import COMMAND_S, Conn

RETRIED: Final = "tillkeeper-retry"  # beside the delivery's own headers: who took it in, and why


class RetryObstacle(StrEnum):
    """Why a delivery cannot be taken in."""

    NOT_THERE = "not_there"
    NO_BODY = "no_body"
    NO_ACCOUNT = "no_account"
    TAKEN = "taken"
    NO_KEY = "no_key"
    STILL_REFUSED = "still_refused"


class CannotTake(Exception):
    """The delivery is still refused, or is not there; the text says why, and `why` to who says it in other words."""

    def __init__(self, why: RetryObstacle, text: str) -> None:
        super().__init__(text)
        self.why = why


class RefusedAct(msgspec.Struct, frozen=True, kw_only=True):
    """Who takes them in and why, the keys that seal them for workers, and what is done in the transaction of each."""

    by: str
    keys: EnvelopeKeys
    also: Callable[[Conn, int], Awaitable[None]] | None = None


class Retried(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one refused delivery."""

    id: int
    taken: bool
    account: str | None = None
    key: str | None = None  # the one that verified it
    events: tuple[dict[str, Any], ...] = ()
    queries: int = 0  # to its gateway, where it says only that something happened
    error: str | None = None
    why: RetryObstacle | None = None  # the same, by a word of ours


async def retry(
    pool: asyncpg.Pool,
    gateways: Mapping[str, Gateway],
    numbers: Sequence[int],
    act: RefusedAct,
) -> list[Retried]:
    """Retries each by itself, so that one that is still refused holds up no other."""
    found: list[Retried] = []
    for number in dict.fromkeys(numbers):
        try:
            found.append(await _retry_one(pool, gateways, number, act))
        except CannotTake as error:
            found.append(Retried(id=number, taken=False, error=str(error), why=error.why))
    return found


async def preview(pool: asyncpg.Pool, gateways: Mapping[str, Gateway], numbers: Sequence[int]) -> list[Retried]:
    """Says of each whether it would be taken in now, and what is in it; a key that must be fetched is fetched."""
    found: list[Retried] = []
    for number in dict.fromkeys(numbers):
        try:
            found.append(_found(number, await _verified_delivery(pool, gateways, number, by="")))
        except CannotTake as error:
            found.append(Retried(id=number, taken=False, error=str(error), why=error.why))
    return found


async def _verified_delivery(pool: asyncpg.Pool, gateways: Mapping[str, Gateway], number: int, *, by: str) -> Delivery:
    """Makes a delivery of a refused one that the present keys verify.  Raises CannotTake."""
    async with pool.acquire() as conn:
        refused = await show_refused(conn, number)
    if refused is None:
        raise CannotTake(RetryObstacle.NOT_THERE, "there is no refused delivery of this number, or none any more")
    if refused.body is None:
        raise CannotTake(RetryObstacle.NO_BODY, "its body was not kept; only the gateway can send it again")
    gateway = gateways.get(refused.account)
    if gateway is None:
        raise CannotTake(RetryObstacle.NO_ACCOUNT, f"no account {refused.account!r} is configured any more")
    return await _delivery(pool, gateway, refused, refused.body, by)


async def _retry_one(pool: asyncpg.Pool, gateways: Mapping[str, Gateway], number: int, act: RefusedAct) -> Retried:
    delivery = await _verified_delivery(pool, gateways, number, by=act.by)
    async with pool.acquire() as conn, conn.transaction():
        if not await remove_refused(conn, number):
            raise CannotTake(RetryObstacle.TAKEN, "somebody else has just taken it in")
        message = act.keys.seal(Envelope(run=delivery.run, deliveries=(delivery,)))
        await spool.put(conn, message_id=uuid4(), shard=0, body=message, timeout_s=COMMAND_S)
        if act.also is not None:
            await act.also(conn, number)
    return _found(number, delivery)


def _found(number: int, delivery: Delivery) -> Retried:
    return Retried(
        id=number,
        taken=True,
        account=delivery.account,
        key=delivery.key,
        events=tuple(msgspec.to_builtins(event) for event in delivery.events),
        queries=len(delivery.fetches),
    )


async def _delivery(pool: asyncpg.Pool, gateway: Gateway, refused: RefusedDelivery, body: bytes, by: str) -> Delivery:
    request = Request(by_name(refused.headers), body, refused.query)
    try:
        verified = await _verified(pool, gateway, request, refused)
        with unknown_words() as words:
            events, fetches = gateway.parse(verified), fetches_of(gateway, verified)
    except KeyUnavailable as error:
        raise CannotTake(RetryObstacle.NO_KEY, f"the key that it names cannot be fetched now: {error}") from None
    except Refused as error:
        raise CannotTake(RetryObstacle.STILL_REFUSED, f"it is still refused: {error.reason}") from None
    return Delivery(
        run=uuid4(),  # of its own, in which audit misses no other number
        number=1,
        account=refused.account,
        received_at=refused.received_at,
        key=verified.key,
        headers=(*refused.headers, (RETRIED, by)),
        body=body,
        events=tuple(events),
        fetches=tuple(fetches),
        query=refused.query,
        unknown=tuple((unknown.field, unknown.word) for unknown in words),
    )


async def _verified(pool: asyncpg.Pool, gateway: Gateway, request: Request, refused: RefusedDelivery) -> Verified:
    """Verifies it as of its receipt, for a signature may be stale by now.  Raises Refused, or KeyUnavailable."""
    try:
        return gateway.verify(request, refused.received_at)
    except BadSignature as error:
        if error.step is not VerificationStep.KEY:
            raise
        async with AsyncExitStack() as stack:
            send = await stack.enter_async_context(open_http(KEY_SETTINGS))
            if not await KeyFetcher(gateway, send, key_store=KeyStore(pool)).fetch_for(request):
                raise
        return gateway.verify(request, refused.received_at)


def by_name(headers: Sequence[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """Returns kept headers as a request has them."""
    found: dict[str, tuple[str, ...]] = {}
    for name, value in headers:
        found[name] = (*found.get(name, ()), value)
    return found
