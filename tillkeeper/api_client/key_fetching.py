"""Fetches keys that a delivery names and that are not known yet, once for all deliveries that wait for them.

    verify ── BadSignature, step key ──> missing_key_request ──> KeyStore, else fetch (so many a minute, one at a time)
                                                                    ──> read_key ──> verify again

Anybody who can post can name a key, so the gateway's code says which address may be called (`missing_key_request`),
and each account has a limited number of fetches a minute.  Beyond that, and while the gateway cannot be reached, a
delivery is answered 503 and comes again.  A flood of unknown addresses keeps no known key away: fetched keys are kept
in the database over restarts, and addresses that yielded a key before have a limit of their own.  So have addresses
that are named again after the limit was reached: a gateway goes on naming its own.  An address that yielded nothing is
not called again for a while.
"""

import asyncio
import random
import secrets
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Final

import structlog

from tillkeeper import clock
from tillkeeper.api_client.http import Send, Unreachable
from tillkeeper.api_client.key_store import KeyStore
from tillkeeper.api_client.settings import ApiClientSettings
from tillkeeper.api_client.throttle import Bucket
from tillkeeper.domain.backoff import AROUND, KEY_REFRESH, Jitter
from tillkeeper.gateways.base import Gateway
from tillkeeper.gateways.errors import AccessDenied, BadPayload, BadSignature, Unavailable
from tillkeeper.gateways.messages import Call, Request, Response
from tillkeeper.loops import pause, start
from tillkeeper.store.accounts.keys import LearntKey
from tillkeeper.telemetry import KEYS_FETCHED

log = structlog.get_logger()

# Gateways give an endpoint five to ten seconds.
KEY_SETTINGS: Final = ApiClientSettings(connect_s=2.0, call_s=4.0)
# Of known, repeated and new addresses each.  A key changes once in months; but during a flood of unknown addresses
# each fetch is a chance for the genuine one.
FETCHES_PER_MINUTE: Final = 20
REFUSED_URLS_MAX: Final = 16_384  # addresses beyond the limit that are remembered; a flood of some hours, in 4 MB
KEY_STORE_READ_EVERY_S: Final = 15.0  # another receiver may have fetched it meanwhile
REFRESH_FIRST_S: Final = 600.0  # not while the receiver is starting
REFRESH_EVERY_S: Final = 12 * 3600.0  # as the gateways' own libraries do


def refreshes_keys(gateway: Gateway) -> bool:
    """Returns whether the gateway has keys to fetch from time to time."""
    return type(gateway).key_refresh_request is not Gateway.key_refresh_request


class KeyUnavailable(Exception):
    """The key cannot be fetched now; the delivery should come again."""


class KeyFetcher:
    """Fetches the keys of one account for one receiver."""

    def __init__(
        self,
        gateway: Gateway,
        send: Send,
        *,
        key_store: KeyStore | None = None,
        now: Callable[[], datetime] = clock.now,
        monotonic_s: Callable[[], float] = clock.monotonic_s,
        nonce: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        self.refreshes = refreshes_keys(gateway)
        self._gateway = gateway
        self._send = send
        self._now = now
        self._monotonic_s = monotonic_s
        self._nonce = nonce
        self._key_store = key_store if gateway.keeps_keys else None
        self._key_store_read_s = float("-inf")
        self._fetched_at: dict[str, datetime] = {}  # addresses; no more than the gateway has keys
        self._refused_urls: dict[str, None] = {}  # addresses beyond the limit
        self._buckets = {
            kind: Bucket(per_s=FETCHES_PER_MINUTE / 60, burst=FETCHES_PER_MINUTE) for kind in ("known", "again", "new")
        }
        self._fetching = asyncio.Lock()
        self._attempts = 0

    async def fetch_for(self, request: Request) -> bool:
        """Returns True if a key was fetched since the delivery was refused.  Raises KeyUnavailable, BadSignature."""
        if self._missing_key_request(request) is None:
            return False
        attempts = self._attempts
        async with self._fetching:
            call = self._missing_key_request(request)
            if call is None or await self._is_in_key_store(request):
                return True  # another delivery has fetched it
            if self._attempts != attempts:  # one attempt serves all who waited for it
                raise KeyUnavailable("another key was fetched just now, or could not be")
            if not self._may_fetch(call.url):
                KEYS_FETCHED.labels(self._gateway.account, "limited").inc()
                raise KeyUnavailable("keys were fetched too often just now")
            await self._fetch(call)
        return True

    def _may_fetch(self, url: str) -> bool:
        kind = "known" if url in self._fetched_at else "again" if url in self._refused_urls else "new"
        self._refused_urls.pop(url, None)
        if self._buckets[kind].take(self._monotonic_s(), wait_s_max=0.0) is not None:
            return True
        if len(self._refused_urls) >= REFUSED_URLS_MAX:
            del self._refused_urls[next(iter(self._refused_urls))]
        self._refused_urls[url] = None
        return False

    async def refresh(self) -> bool:
        """Fetches the keys that the gateway publishes.  Returns False if that should be retried soon."""
        call = self._gateway.key_refresh_request(now=self._now(), nonce=self._nonce())
        if call is None:
            return True
        try:
            async with self._fetching:
                await self._fetch(call)
        except (KeyUnavailable, BadSignature):
            return False
        return True

    def _missing_key_request(self, request: Request) -> Call | None:
        return self._gateway.missing_key_request(request, now=self._now(), nonce=self._nonce())

    async def _fetch(self, call: Call) -> None:
        account = self._gateway.account
        try:
            response = await self._send(call)
            self._gateway.read_key(call, response, now=(learnt_at := self._now()))
        except (Unreachable, Unavailable, AccessDenied) as error:
            KEYS_FETCHED.labels(account, "failed").inc()
            log.warning("key_not_fetched", account=account, kind=type(error).__name__, reason=str(error))
            raise KeyUnavailable(f"the key that it names could not be fetched: {type(error).__name__}") from None
        except (BadSignature, BadPayload) as error:
            KEYS_FETCHED.labels(account, "refused").inc()
            log.warning("key_refused", account=account, kind=type(error).__name__, reason=error.reason)
            raise BadSignature(f"the key that was fetched is refused: {error.reason}") from None
        finally:
            self._attempts += 1
        KEYS_FETCHED.labels(account, "learnt").inc()
        log.info("key_fetched", account=account)
        self._fetched_at[call.url] = learnt_at
        if self._key_store is not None:
            await self._key_store.put(account, LearntKey(url=call.url, content=response.body, learnt_at=learnt_at))

    async def _is_in_key_store(self, request: Request) -> bool:
        """Reads the stored keys now and then, as if they had just been fetched, at their own time."""
        now_s = self._monotonic_s()
        if self._key_store is None or now_s < self._key_store_read_s + KEY_STORE_READ_EVERY_S:
            return False
        self._key_store_read_s = now_s
        for key in await self._key_store.keys_of(self._gateway.account):
            if key.url in self._fetched_at and self._fetched_at[key.url] >= key.learnt_at:
                continue
            kept = Response(status=200, headers={}, body=key.content)
            try:
                self._gateway.read_key(Call(method="GET", url=key.url, headers={}), kept, now=key.learnt_at)
            except (BadSignature, BadPayload, Unavailable, AccessDenied):  # the settings have changed since
                continue
            self._fetched_at[key.url] = key.learnt_at
        return self._missing_key_request(request) is None


async def keep_refreshing(
    keys: KeyFetcher,
    stop: asyncio.Event,
    *,
    jitter: Jitter = random.uniform,
    wait: Callable[[asyncio.Event, float], Awaitable[None]] = pause,
) -> None:
    """Refreshes an account's keys until `stop` is set."""
    next_s = REFRESH_FIRST_S
    while not stop.is_set():
        await wait(stop, jitter(*AROUND) * next_s)
        if not stop.is_set():
            next_s = REFRESH_EVERY_S if await keys.refresh() else KEY_REFRESH.pause_s(1)


class KeyRefreshers:
    """Keeps the keys of all accounts fresh, while accounts are added and removed."""

    def __init__(self) -> None:
        self._running: dict[str, tuple[KeyFetcher, asyncio.Event]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def update(self, keys: Mapping[str, KeyFetcher]) -> None:
        """Stops for removed and changed accounts, and starts for new ones."""
        for name, (before, stop) in list(self._running.items()):
            if keys.get(name) is not before:
                stop.set()
                del self._running[name]
        for name, fetcher in keys.items():
            if fetcher.refreshes and name not in self._running:
                self._running[name] = fetcher, (stop := asyncio.Event())
                task = start(keep_refreshing(fetcher, stop), name=f"keys {name}")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Stops for all of them; a fetch that is running has a time limit."""
        self.update({})
        if self._tasks:
            await asyncio.wait(self._tasks)
