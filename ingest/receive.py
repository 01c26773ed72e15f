"""POST /webhooks/{account}: verified, parsed, made durable, and only then acknowledged in the gateway's own words.

    read (bounded) ─> verify ─> parse ─> intake.accept (durable) ─> acknowledge      2xx
      │                 │         │          └─ Unavailable                          503, with Retry-After
      └─ 408 413 415    └─ 401    └─ 400
                          └─ a key is not at hand: api_client/key_fetching.py fetches it; verified again, or 503

This is the hot path: what does not depend on the request is made once, when the receiver starts.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol, cast

import structlog
from aiohttp import web

from ingest.answers import RETRY_AFTER_S, Ready, method_refusal
from ingest.body import Encoded, Headers, Incomplete, TooLarge, TooSlow, Upgrade, headers_of, multimap, read_body
from ingest.connections import BoundedConnection
from ingest.tally import Tally
from ingest.turns import REQUEST_S
from ingest.unproven import Network, NoRoom, Room, source_of
from tillkeeper import clock, telemetry
from tillkeeper.api_client.key_fetching import KeyUnavailable
from tillkeeper.domain.events import PaymentEvent
from tillkeeper.domain.fetching import Fetch
from tillkeeper.gateways.base import Gateway
from tillkeeper.gateways.errors import BadPayload, BadSignature, Refused, VerificationStep
from tillkeeper.gateways.fetching import fetches_of
from tillkeeper.gateways.kit.unknown_words import UnknownWord, unknown_words
from tillkeeper.gateways.messages import Request
from tillkeeper.lanes.base import LaneUnavailable
from tillkeeper.log_throttle import LogThrottle

log = structlog.get_logger()

LOG_EVERY_S: Final = 1.0  # a flood of forgeries must not become a flood of lines
REASON_CHARS_MAX: Final = 200
UNSIGNED_BYTES_MAX: Final = 16 * 1024  # they name an id, some with a whole payment around it, and anybody can post them

RESULTS: Final[Mapping[type[Refused], str]] = {
    BadSignature: "bad_signature",
    BadPayload: "bad_payload",
    TooLarge: "too_large",
    TooSlow: "too_slow",
    Encoded: "encoded",
    Incomplete: "incomplete",
    Upgrade: "upgrade",
}


Read = tuple[str, tuple[PaymentEvent, ...], tuple[Fetch, ...], Iterable[UnknownWord]]


class Accepts(Protocol):
    """What the receiver asks of the lanes (tillkeeper/lanes/intake.py)."""

    async def accept(
        self,
        *,
        account: str,
        received_at: datetime,
        key: str,
        headers: tuple[tuple[str, str], ...],
        body: bytes,
        events: tuple[PaymentEvent, ...],
        fetches: tuple[Fetch, ...],
        query: str,
        unknown: tuple[tuple[str, str], ...],
    ) -> str:
        """The name of the lane that made the delivery durable.  Raises Unavailable."""
        ...


class Hears(Protocol):
    """Who is told of deliveries that prove nothing (ingest/hints.py)."""

    def consider(self, gateway: Gateway, request: Request) -> None:
        """Takes one for a hint, perhaps.  Returns at once and raises nothing."""
        ...


class Examines(Protocol):
    """Who finds out why a delivery was refused, and keeps it for ops (ingest/refusals.py)."""

    def consider(self, gateway: Gateway, request: Request, refused: Refused, *, now: datetime, url: str) -> None:
        """Looks at it, perhaps.  Returns at once and raises nothing."""
        ...


class Fetches(Protocol):
    """Who fetches a key that a delivery names (tillkeeper/api_client/key_fetching.py)."""

    async def fetch_for(self, request: Request) -> bool:
        """True if a key was learnt, so that the delivery can be looked at again.  Raises NoKey, BadSignature."""
        ...


class AccountReceiver:
    """Takes the deliveries of one account."""

    def __init__(
        self,
        gateway: Gateway,
        intake: Accepts,
        hints: Hears,
        refusals: Examines,
        keys: Fetches,
        *,
        room: Room,
        trusted_proxies: Sequence[Network],
        body_bytes_max: int,
    ) -> None:
        self._gateway = gateway
        self._hints = hints
        self._doctor = refusals
        self._keys = keys
        self._account = gateway.account
        self._intake = intake
        self._room = room
        self._trusted_proxies = trusted_proxies
        self._body_bytes_max = body_bytes_max
        self._kept_headers = tuple(sorted(gateway.kept_headers))
        self._acknowledgement = Ready(gateway.acknowledge())
        self._not_now = Ready(gateway.refuse(503), **{"Retry-After": str(RETRY_AFTER_S)})
        self._refusals: dict[int, Ready] = {}
        self._tally = Tally(self._account)
        self._log_throttle = LogThrottle(every_s=LOG_EVERY_S, monotonic_s=clock.monotonic_s)

    async def receive(self, request: web.Request) -> web.Response:
        """Handles one delivery."""
        started_s = clock.monotonic_s()
        try:
            headers = headers_of(request)
            body = await read_body(request, bytes_max=self._body_bytes_max)
            query = request.raw_path.partition("?")[2]
            asked, received_at = Request(headers, body, query), clock.now()
            connection = cast("BoundedConnection", request.protocol)
            if not connection.turns.is_free:
                await connection.wait_turn(size_bytes=len(body))
            began_s = clock.monotonic_s()
            try:
                key, events, fetches, words = await self._read(request, asked, received_at)
            finally:
                connection.turns.spend(REQUEST_S + clock.monotonic_s() - began_s)
        except (BadSignature, BadPayload) as refused:
            return self._examine(request, asked, refused)
        except Refused as refused:
            return self._refuse(refused)
        except KeyUnavailable as unavailable:
            return self._refuse_for_now(unavailable, "no_key")
        except NoRoom as unavailable:
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
                unknown=tuple([(it.field, it.word) for it in words]),
            )
        except LaneUnavailable as unavailable:
            return self._refuse_for_now(unavailable, "not_durable")
        self._tally.add(key, clock.monotonic_s() - started_s)
        return self._acknowledgement

    async def _read(self, request: web.Request, asked: Request, received_at: datetime) -> Read:
        """By which key it is verified, and what it says.  Raises Refused, NoKey, NoRoom."""
        try:
            verified = self._gateway.verify(asked, received_at)
        except BadSignature as refused:
            if refused.step is not VerificationStep.KEY or not await self._keys.fetch_for(asked):
                raise
            verified = self._gateway.verify(asked, received_at)
        if not verified.proven and len(asked.body) > UNSIGNED_BYTES_MAX:
            raise TooLarge("nothing signs this body, and it is larger than any of its kind")
        with unknown_words() as words:
            events, fetches = self._gateway.parse(verified), fetches_of(self._gateway, verified)
        if not verified.proven:
            self._room.admit(source_of(request, self._trusted_proxies), fetches, now_s=clock.monotonic_s())
        return verified.key, events, fetches, words

    async def challenge(self, request: web.Request) -> web.Response:
        """Answers a GET by which the gateway tests the address; any other is as if nobody could ask."""
        asked = Request(multimap(request.raw_headers), b"", request.raw_path.partition("?")[2])
        reply = self._gateway.answer_challenge(asked)
        if reply is None:
            return method_refusal("POST")
        return Ready(reply).fresh()

    def _keep(self, headers: Headers) -> tuple[tuple[str, str], ...]:
        return tuple([(name, value) for name in self._kept_headers for value in headers.get(name, ())])

    def _examine(self, posted: web.Request, request: Request, refused: Refused) -> web.Response:
        """Nobody waits for what is found out but us: the caller is told nothing of it."""
        if isinstance(refused, BadSignature):
            self._hints.consider(self._gateway, request)
        url = f"https://{posted.headers.get('Host', '')}{posted.raw_path}"
        self._doctor.consider(self._gateway, request, refused, now=clock.now(), url=url)
        return self._refuse(refused)

    def _refuse(self, refused: Refused) -> web.Response:
        result = RESULTS.get(type(refused), "refused")
        telemetry.DELIVERIES.labels(self._account, result).inc()
        if (suppressed := self._log_throttle.due(result)) is not None:
            log.warning(
                "delivery_refused",
                account=self._account,
                result=result,
                reason=refused.reason[:REASON_CHARS_MAX],
                suppressed=suppressed,
            )
        response = self._refusal(refused.status).fresh()
        if not isinstance(refused, (BadSignature, BadPayload)):
            response.force_close()  # what is left of the body is not waited for
        return response

    def _refuse_for_now(self, unavailable: LaneUnavailable | KeyUnavailable | NoRoom, result: str) -> web.Response:
        telemetry.DELIVERIES.labels(self._account, result).inc()
        if (suppressed := self._log_throttle.due(result)) is not None:
            fields = {"account": self._account, "reason": str(unavailable), "suppressed": suppressed}
            match unavailable:
                case KeyUnavailable():
                    log.warning("delivery_without_key", **fields)
                case NoRoom():
                    log.warning("delivery_put_off", **fields)
                case LaneUnavailable():
                    log.error("delivery_not_durable", **fields)
        return self._not_now

    def _refusal(self, status: int) -> Ready:
        if status not in self._refusals:
            self._refusals[status] = Ready(self._gateway.refuse(status))
        return self._refusals[status]
