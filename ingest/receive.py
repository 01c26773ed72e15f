"""Handles POST /webhooks/{account}: verifies, parses, makes durable, and only then acknowledges as the gateway asks.

    read (bounded) ─> verify ─> parse ─> intake.accept (durable) ─> acknowledge      2xx
      │                 │         │          └─ Unavailable                          503, with Retry-After
      └─ 408 413 415    └─ 401    └─ 400
                          └─ a key is not at hand: api_client/key_fetching.py fetches it; verified again, or 503

This is the hot path: what does not depend on the request is made once, when the receiver starts.  A delivery that came
whole over a kept connection, as in any burst, is begun without a task and a request object (`begin`), which cost a
tenth of a receiver's CPU.  Whatever is not plain about it is handled by `receive`, from the start.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Final, cast

import structlog
from aiohttp import web

from tillkeeper import clock, telemetry
from tillkeeper.api_client.key_fetching import KeyFetcher, KeyUnavailable
from tillkeeper.domain.events import PaymentEvent
from tillkeeper.domain.fetching import Fetch
from tillkeeper.gateways.base import Gateway
from tillkeeper.gateways.errors import BadPayload, BadSignature, Refused, VerificationStep
from tillkeeper.gateways.fetching import fetches_of
from tillkeeper.gateways.kit.unknown_words import UnknownWord, unknown_words
from tillkeeper.gateways.messages import Request
from tillkeeper.ingest.answers_given import AnswersGiven
from tillkeeper.ingest.connections import BoundedConnection
from tillkeeper.ingest.delivery_metrics import DeliveryMetrics
from tillkeeper.ingest.hints import Hints
from tillkeeper.ingest.read_body import (
    Encoded,
    Headers,
    Incomplete,
    TooLarge,
    TooSlow,
    Upgrade,
    headers_of,
    multimap,
    read_body,
)
from tillkeeper.ingest.refusals import Refusals
from tillkeeper.ingest.responses import FAILED, RETRY_AFTER_S, PreparedResponse, method_refusal
from tillkeeper.ingest.scheduler import REQUEST_S
from tillkeeper.ingest.unsigned_limits import Network, TooManyUnsigned, UnsignedLimit, source_of
from tillkeeper.lanes.base import LaneUnavailable
from tillkeeper.lanes.intake import Intake
from tillkeeper.lanes.tracing import TracedIntake
from tillkeeper.log_throttle import LogThrottle

log = structlog.get_logger()

LOG_EVERY_S: Final = 1.0  # a flood of forgeries must not flood the log
OUTAGE_LOG_S: Final = 60.0  # the lanes tell when an outage begins and ends
REASON_CHARS_MAX: Final = 200
UNSIGNED_BYTES_MAX: Final = 16 * 1024  # the largest holds one payment, and anybody can post them

SPECIAL_HEADERS: Final = frozenset({"content-encoding", "expect", "upgrade"})  # seldom sent, and all for `receive`

RESULTS: Final[Mapping[type[Refused], str]] = {
    BadSignature: "bad_signature",
    BadPayload: "bad_payload",
    TooLarge: "too_large",
    TooSlow: "too_slow",
    Encoded: "encoded",
    Incomplete: "incomplete",
    Upgrade: "upgrade",
}


RawHeaders = Sequence[tuple[bytes, bytes]]
Read = tuple[str, tuple[PaymentEvent, ...], tuple[Fetch, ...], Iterable[UnknownWord]]


class AccountReceiver:
    """Receives the deliveries of one account."""

    def __init__(
        self,
        gateway: Gateway,
        intake: Intake | TracedIntake,
        hints: Hints,
        refusals: Refusals,
        keys: KeyFetcher,
        *,
        answers: AnswersGiven,
        unsigned_limit: UnsignedLimit,
        trusted_proxies: Sequence[Network],
        body_bytes_max: int,
    ) -> None:
        self._gateway = gateway
        self._hints = hints
        self._refusals = refusals
        self._keys = keys
        self._answers = answers
        self._account = gateway.account
        self._intake = intake
        self._unsigned_limit = unsigned_limit
        self._trusted_proxies = trusted_proxies
        self._body_bytes_max = body_bytes_max
        self._kept_headers = tuple(sorted(gateway.kept_headers))
        self._acknowledgement = PreparedResponse(gateway.acknowledge())
        self._not_now = PreparedResponse(gateway.refuse(503), **{"Retry-After": str(RETRY_AFTER_S)})
        self._refusal_responses: dict[int, PreparedResponse] = {}
        self._metrics = DeliveryMetrics(self._account, answers)
        self._log_throttle = LogThrottle(every_s=LOG_EVERY_S, monotonic_s=clock.monotonic_s)
        self._outage_throttle = LogThrottle(every_s=OUTAGE_LOG_S, monotonic_s=clock.monotonic_s)

    async def receive(self, request: web.Request) -> web.Response:
        """Handles one delivery."""
        started_s = clock.monotonic_s()
        try:
            headers = headers_of(request)
            body = await read_body(request, bytes_max=self._body_bytes_max)
            query = request.raw_path.partition("?")[2]
            parsed, received_at = Request(headers, body, query), clock.now()
            connection = cast("BoundedConnection", request.protocol)
            if not connection.scheduler.is_free:
                await connection.wait_turn(size_bytes=len(body))
            began_s = clock.monotonic_s()
            try:
                key, events, fetches, words = await self._read(request, parsed, received_at)
            finally:
                connection.scheduler.record_time(REQUEST_S + clock.monotonic_s() - began_s)
        except (BadSignature, BadPayload) as refused:
            return self._refuse_and_diagnose(request, parsed, refused)
        except Refused as refused:
            return self._refuse(refused)
        except KeyUnavailable as unavailable:
            return self._refuse_for_now(unavailable, "no_key")
        except TooManyUnsigned as unavailable:
            return self._refuse_for_now(unavailable, "no_room")
        try:
            # A client that leaves does not cut this: the server runs with handler_cancellation=False.
            await self._intake.accept(
                account=self._account,
                received_at=received_at,
                key=key,
                headers=self._keep(headers),
                body=body,
                events=events,
                fetches=fetches,
                query=query,
                unknown=_words(words),
            )
        except LaneUnavailable as unavailable:
            return self._refuse_for_now(unavailable, "not_durable")
        self._metrics.record(key, clock.monotonic_s() - started_s)
        return self._acknowledgement

    def begin(
        self, raw_headers: RawHeaders, body: bytes, query: str, answer: Callable[[PreparedResponse], None]
    ) -> bool:
        """Begins to make a delivery durable, and calls `answer` once it is: `receive` without a task.

        Returns False, and has done nothing, where there is anything to refuse, to fetch or to wait for.
        """
        started_s, received_at = clock.monotonic_s(), clock.now()
        headers = multimap(raw_headers)
        if len(body) > self._body_bytes_max or not SPECIAL_HEADERS.isdisjoint(headers):
            return False
        try:
            verified = self._gateway.verify(Request(headers, body, query), received_at)
            if not verified.proven:
                return False
            with unknown_words() as words:
                events, fetches = self._gateway.parse(verified), fetches_of(self._gateway, verified)
            outcome = self._intake.begin(
                account=self._account,
                received_at=received_at,
                key=verified.key,
                headers=self._keep(headers),
                body=body,
                events=events,
                fetches=fetches,
                query=query,
                unknown=_words(words),
            )
        except Exception:  # noqa: BLE001 - `receive` meets it again, and says what it is
            return False
        outcome.add_done_callback(partial(self._end, verified.key, started_s, answer))
        return True

    def _end(
        self, key: str, started_s: float, answer: Callable[[PreparedResponse], None], outcome: asyncio.Future[str]
    ) -> None:
        try:
            self._intake.lane_of(outcome)
        except LaneUnavailable as unavailable:
            answer(self._refuse_for_now(unavailable, "not_durable"))
        except Exception:
            log.exception("delivery_failed", account=self._account)
            self._answers.add(self._account, "put_off")
            answer(FAILED)
        else:
            self._metrics.record(key, clock.monotonic_s() - started_s)
            answer(self._acknowledgement)

    async def _read(self, request: web.Request, parsed: Request, received_at: datetime) -> Read:
        """Verifies and parses a request.  Raises Refused, KeyUnavailable, TooManyUnsigned."""
        try:
            verified = self._gateway.verify(parsed, received_at)
        except BadSignature as refused:
            if refused.step is not VerificationStep.KEY or not await self._keys.fetch_for(parsed):
                raise
            verified = self._gateway.verify(parsed, received_at)
        if not verified.proven and len(parsed.body) > UNSIGNED_BYTES_MAX:
            raise TooLarge("nothing signs this body, and it is larger than any of its kind")
        with unknown_words() as words:
            events, fetches = self._gateway.parse(verified), fetches_of(self._gateway, verified)
        if not verified.proven:
            self._unsigned_limit.admit(source_of(request, self._trusted_proxies), fetches, now_s=clock.monotonic_s())
        return verified.key, events, fetches, words

    async def challenge(self, request: web.Request) -> web.Response:
        """Answers a GET by which the gateway tests the address; refuses any other GET."""
        parsed = Request(multimap(request.raw_headers), b"", request.raw_path.partition("?")[2])
        reply = self._gateway.answer_challenge(parsed)
        if reply is None:
            return method_refusal("POST")
        return PreparedResponse(reply).as_response()

    def _keep(self, headers: Headers) -> tuple[tuple[str, str], ...]:
        return tuple([(name, value) for name in self._kept_headers for value in headers.get(name, ())])

    def _refuse_and_diagnose(self, posted: web.Request, request: Request, refused: Refused) -> web.Response:
        """Refuses a delivery and has it diagnosed; the caller is told nothing of the diagnosis."""
        if isinstance(refused, BadSignature):
            self._hints.consider(self._gateway, request)
        url = f"https://{posted.headers.get('Host', '')}{posted.raw_path}"
        self._refusals.consider(self._gateway, request, refused, now=clock.now(), url=url)
        return self._refuse(refused)

    def _refuse(self, refused: Refused) -> web.Response:
        result = RESULTS.get(type(refused), "refused")
        telemetry.DELIVERIES.labels(self._account, result).inc()
        self._answers.add(self._account, "refused")
        if (suppressed := self._log_throttle.due(result)) is not None:
            log.warning(
                "delivery_refused",
                account=self._account,
                result=result,
                reason=refused.reason[:REASON_CHARS_MAX],
                suppressed=suppressed,
            )
        response = self._refusal(refused.status).as_response()
        if not isinstance(refused, (BadSignature, BadPayload)):
            response.force_close()  # the rest of the body is not waited for
        return response

    def _refuse_for_now(
        self, unavailable: LaneUnavailable | KeyUnavailable | TooManyUnsigned, result: str
    ) -> PreparedResponse:
        telemetry.DELIVERIES.labels(self._account, result).inc()
        self._answers.add(self._account, "put_off")
        if (suppressed := self._outage_throttle.due(result)) is not None:
            fields = {"account": self._account, "reason": str(unavailable), "suppressed": suppressed}
            match unavailable:
                case KeyUnavailable():
                    log.warning("delivery_without_key", **fields)
                case TooManyUnsigned():
                    log.warning("delivery_put_off", **fields)
                case LaneUnavailable():
                    log.error("delivery_not_durable", **fields)
        return self._not_now

    def _refusal(self, status: int) -> PreparedResponse:
        if status not in self._refusal_responses:
            self._refusal_responses[status] = PreparedResponse(self._gateway.refuse(status))
        return self._refusal_responses[status]


def _words(words: Iterable[UnknownWord]) -> tuple[tuple[str, str], ...]:
    return tuple([(unknown.field, unknown.word) for unknown in words])
