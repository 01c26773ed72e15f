"""POST /webhooks/{account}: verified, parsed, made durable, and only then acknowledged in the gateway's own words.

    read (bounded) ─> verify ─> parse ─> intake.accept (durable) ─> acknowledge      2xx
      │                 │         │          └─ Unavailable                          503, with Retry-After
      └─ 408 413 415    └─ 401    └─ 400

This is the hot path: what does not depend on the request is made once, when the receiver starts.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Protocol

import structlog
from aiohttp import web

from ingest.answers import RETRY_AFTER_S, Ready
from ingest.body import Encoded, Headers, Incomplete, TooLarge, TooSlow, Upgrade, headers_of, read_body
from ingest.tally import Tally
from tillkeeper import clock, telemetry
from tillkeeper.domain.events import PaymentEvent
from tillkeeper.gateways.base import BadPayload, BadSignature, Gateway, Refused, Request
from tillkeeper.lanes.base import Unavailable

log = structlog.get_logger()

LOG_EVERY_S: Final = 1.0  # a flood of forgeries must not become a flood of lines
REASON_CHARS_MAX: Final = 200

RESULTS: Final[Mapping[type[Refused], str]] = {
    BadSignature: "bad_signature",
    BadPayload: "bad_payload",
    TooLarge: "too_large",
    TooSlow: "too_slow",
    Encoded: "encoded",
    Incomplete: "incomplete",
    Upgrade: "upgrade",
}


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
    ) -> str:
        """The name of the lane that made the delivery durable.  Raises Unavailable."""
        ...


class Hears(Protocol):
    """Who is told of deliveries that prove nothing (ingest/hints.py)."""

    def consider(self, gateway: Gateway, request: Request) -> None:
        """Takes one for a hint, perhaps.  Returns at once and raises nothing."""
        ...


class AccountReceiver:
    """Takes the deliveries of one account."""

    def __init__(self, gateway: Gateway, intake: Accepts, hints: Hears, *, body_bytes_max: int) -> None:
        self._gateway = gateway
        self._hints = hints
        self._account = gateway.account
        self._intake = intake
        self._body_bytes_max = body_bytes_max
        self._kept_headers = tuple(sorted(gateway.kept_headers))
        self._acknowledgement = Ready(gateway.acknowledge())
        self._not_durable = Ready(gateway.refuse(503), **{"Retry-After": str(RETRY_AFTER_S)})
        self._refusals: dict[int, Ready] = {}
        self._tally = Tally(self._account)
        self._said = Sparingly()

    async def receive(self, request: web.Request) -> web.Response:
        """Handles one delivery."""
        started_s = clock.monotonic_s()
        try:
            headers = headers_of(request)
            body = await read_body(request, bytes_max=self._body_bytes_max)
            received_at = clock.now()
            verified = self._gateway.verify(Request(headers, body), received_at)
            events = self._gateway.parse(verified)
        except BadSignature as refused:
            self._hints.consider(self._gateway, Request(headers, body))
            return self._refuse(refused)
        except Refused as refused:
            return self._refuse(refused)
        try:
            # A client that leaves does not cut this: the server runs with handler_cancellation=False.
            await self._intake.accept(
                account=self._account,
                received_at=received_at,
                key=verified.key,
                headers=self._keep(headers),
                body=body,
                events=events,
            )
        except Unavailable as unavailable:
            return self._refuse_for_now(unavailable)
        self._tally.add(verified.key, clock.monotonic_s() - started_s)
        return self._acknowledgement

    def _keep(self, headers: Headers) -> tuple[tuple[str, str], ...]:
        return tuple([(name, value) for name in self._kept_headers for value in headers.get(name, ())])

    def _refuse(self, refused: Refused) -> web.Response:
        result = RESULTS.get(type(refused), "refused")
        telemetry.DELIVERIES.labels(self._account, result).inc()
        if (unsaid := self._said.due(result)) is not None:
            log.warning(
                "delivery_refused",
                account=self._account,
                result=result,
                reason=refused.reason[:REASON_CHARS_MAX],
                unsaid=unsaid,
            )
        response = self._refusal(refused.status).fresh()
        if not isinstance(refused, (BadSignature, BadPayload)):
            response.force_close()  # what is left of the body is not waited for
        return response

    def _refuse_for_now(self, unavailable: Unavailable) -> web.Response:
        telemetry.DELIVERIES.labels(self._account, "not_durable").inc()
        if (unsaid := self._said.due("not_durable")) is not None:
            log.error("delivery_not_durable", account=self._account, reason=str(unavailable), unsaid=unsaid)
        return self._not_durable

    def _refusal(self, status: int) -> Ready:
        if status not in self._refusals:
            self._refusals[status] = Ready(self._gateway.refuse(status))
        return self._refusals[status]


class Sparingly:
    """At most one line a second for each result; counts what was left unsaid."""

    def __init__(self) -> None:
        self._next_s: dict[str, float] = {}
        self._unsaid: dict[str, int] = {}

    def due(self, result: str) -> int | None:
        """How many went unsaid since the last line if one is due, else None."""
        now_s = clock.monotonic_s()
        if now_s < self._next_s.get(result, 0.0):
            self._unsaid[result] = self._unsaid.get(result, 0) + 1
            return None
        self._next_s[result] = now_s + LOG_EVERY_S
        return self._unsaid.pop(result, 0)
