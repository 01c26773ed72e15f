"""Makes a span of each request to the webhooks and the orders API, where traces are on."""

from collections.abc import Callable
from typing import Final

from aiohttp import web

from tillkeeper.ingest.receive import AccountReceiver, RawHeaders
from tillkeeper.ingest.responses import Handler, PreparedResponse
from tillkeeper.tracing import spans
from tillkeeper.tracing.http import note_status, serving

PARENT: Final = "traceparent"


class TracedReceiver:
    """Receives an account's deliveries as its receiver does, each within a span."""

    def __init__(self, receiver: AccountReceiver, *, route: str, trusts_parents: bool) -> None:
        self._receiver = receiver
        self._route = route
        self._trusts_parents = trusts_parents

    async def receive(self, request: web.Request) -> web.StreamResponse:
        """Handles one delivery."""
        parent = request.headers.get(PARENT, "") if self._trusts_parents else ""
        with serving("POST", self._route, parent=parent) as span:
            response = await self._receiver.receive(request)
            note_status(span, response.status)
        return response

    def begin(
        self, raw_headers: RawHeaders, body: bytes, query: str, answer: Callable[[PreparedResponse], None]
    ) -> bool:
        """Begins a delivery.  Where the receiver does not, `receive` comes next, and this span is told to nobody."""
        parent = _parent_in(raw_headers) if self._trusts_parents else ""
        span = serving("POST", self._route, parent=parent)

        def end(response: PreparedResponse) -> None:
            note_status(span, response.status)
            span.end()
            answer(response)

        with span.current():
            return self._receiver.begin(raw_headers, body, query, end)


def traced(handler: Handler, *, route: str, may_continue: Callable[[web.Request], bool]) -> Handler:
    """Returns the handler within a span; where no traces are made, the handler itself.

    The caller's trace is gone on with where `may_continue` says so.
    """
    if not spans.is_on():
        return handler

    async def handle(request: web.Request) -> web.StreamResponse:
        parent = request.headers.get(PARENT, "") if may_continue(request) else ""
        with serving(request.method, route, parent=parent) as span:
            response = await handler(request)
            note_status(span, response.status)
        return response

    return handle


def _parent_in(raw_headers: RawHeaders) -> str:
    return next((value.decode("latin-1") for name, value in raw_headers if name.lower() == PARENT.encode()), "")
