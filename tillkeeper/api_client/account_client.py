"""Calls the API of one account within its limits, and retries what may succeed later.

bucket (how often) ──> semaphore (how many at once) ──> breaker ──> HTTP ──> read_response
    └───────────── tenacity: Unreachable and Unavailable, a few times, with jitter ─────┘
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final, Literal, TypeVar

import msgspec
import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from tillkeeper.api_client.http import Send, Unreachable
from tillkeeper.api_client.settings import ApiClientSettings
from tillkeeper.api_client.throttle import Bucket
from tillkeeper.breaker import Breaker
from tillkeeper.domain.backoff import API_CALL, AROUND, constant
from tillkeeper.domain.events import PaymentEvent
from tillkeeper.gateways.errors import AccessDenied, BadPayload, BadSignature, Unavailable
from tillkeeper.gateways.messages import Call, Response
from tillkeeper.log_throttle import LogThrottle
from tillkeeper.telemetry import GATEWAY_BREAKER_OPEN, GATEWAY_QUERIES

log = structlog.get_logger()

Result = TypeVar("Result")
Reason = Literal["unreachable", "busy", "denied", "bad_answer", "breaker_open", "cannot_ask", "account_paused"]

LOG_EVERY_S: Final = 60.0  # an account that refuses every query is logged once a minute


class QueryFailed(Exception):
    """The gateway gave no answer, so that nothing new is known; `reason` says why.

    `events` are what earlier answers held, where one query led to another that had no answer.
    """

    def __init__(self, reason: Reason, detail: str = "", events: tuple[PaymentEvent, ...] = ()) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason: Reason = reason
        self.detail = detail
        self.events = events


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """The network, time and chance, which come from outside."""

    send: Send
    now: Callable[[], datetime]
    monotonic_s: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    jitter: Callable[[float, float], float]
    nonce: Callable[[], str]


class AccountClient:
    """Calls one account's API within its limits, and through its breaker."""

    def __init__(self, account: str, settings: ApiClientSettings, environment: Environment) -> None:
        self.account = account
        self._settings = settings
        self._environment = environment
        self._bucket = Bucket(per_s=settings.calls_per_s, burst=settings.burst_calls)
        self._concurrent_calls = asyncio.Semaphore(settings.concurrent_calls)
        self._breaker = Breaker(
            failures_max=settings.breaker_failures,
            cooldown=constant(settings.breaker_open_s, spread=AROUND),
            jitter=environment.jitter,
        )
        self._log_throttle = LogThrottle(every_s=LOG_EVERY_S, monotonic_s=environment.monotonic_s)

    async def request(self, call: Callable[[], Call], read_response: Callable[[Response], Result]) -> Result:
        """Returns what `read_response` makes of the response to `call`, which is built anew for each attempt.

        Raises QueryFailed, and whatever `call` raises.
        """
        try:
            return await self._with_retries(call, read_response)
        except Unreachable as error:
            failure = QueryFailed("unreachable", str(error))
        except Unavailable as error:
            failure = QueryFailed("busy", str(error))
        except AccessDenied as error:
            failure = QueryFailed("denied", str(error))
            if (suppressed := self._log_throttle.due("denied")) is not None:
                log.warning("api_access_denied", account=self.account, reason=str(error), suppressed=suppressed)
        except (BadSignature, BadPayload) as error:
            failure = QueryFailed("bad_answer", error.reason)
            if (suppressed := self._log_throttle.due("bad_answer")) is not None:
                fields = {"account": self.account, "kind": type(error).__name__, "reason": error.reason}
                log.warning("answer_refused", **fields, suppressed=suppressed)
        except QueryFailed as error:
            failure = error
        GATEWAY_QUERIES.labels(self.account, failure.reason).inc()
        raise failure from None

    async def _with_retries(self, call: Callable[[], Call], read_response: Callable[[Response], Result]) -> Result:
        until_s = self._environment.monotonic_s() + self._settings.total_s

        def is_over(state: RetryCallState) -> bool:
            now_s = self._environment.monotonic_s()
            return (
                state.attempt_number >= self._settings.attempts
                or now_s + state.upcoming_sleep >= until_s
                or self._breaker.is_open(now_s)
            )

        async def attempt() -> Result:  # tenacity awaits only what it sees to be a coroutine function
            return await self._attempt(call, read_response, until_s)

        retrying = AsyncRetrying(
            retry=retry_if_exception_type((Unreachable, Unavailable)),
            wait=self._pause_s,
            stop=is_over,
            sleep=self._environment.sleep,
            reraise=True,
        )
        return await retrying(attempt)

    def _pause_s(self, state: RetryCallState) -> float:
        return API_CALL.pause_s(state.attempt_number, self._environment.jitter)

    async def _attempt(
        self, call: Callable[[], Call], read_response: Callable[[Response], Result], until_s: float
    ) -> Result:
        now_s = self._environment.monotonic_s()
        if self._breaker.is_open(now_s):
            raise QueryFailed("breaker_open")
        wait_s = self._bucket.take(now_s, wait_s_max=until_s - now_s)
        if wait_s is None:
            raise QueryFailed("busy", "more queries than the account's rate allows")
        if wait_s:
            await self._environment.sleep(wait_s)
        async with self._concurrent_calls:
            signed = call()
            if not self._breaker.begin_call(self._environment.monotonic_s()):
                raise QueryFailed("breaker_open")
            try:
                result = read_response(await self._environment.send(signed))
            except (Unreachable, Unavailable) as error:
                self._note_failure(error)
                raise
            except (AccessDenied, BadSignature, BadPayload):
                self._note_answer()
                raise
            finally:
                self._breaker.abandoned()
            self._note_answer()
            return result

    def _note_failure(self, error: Exception) -> None:
        if self._breaker.failed(self._environment.monotonic_s()):
            GATEWAY_BREAKER_OPEN.labels(self.account).set(1)
            log.error("gateway_breaker_opened", account=self.account, kind=type(error).__name__, reason=str(error))

    def _note_answer(self) -> None:
        if self._breaker.succeeded():
            GATEWAY_BREAKER_OPEN.labels(self.account).set(0)
            log.info("gateway_breaker_closed", account=self.account)
