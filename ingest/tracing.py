"""Makes a span of each request to the webhooks and the orders API, where traces are on.

Path and query of a request may hold what must not leave, so its route is told in their place.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from aiohttp import web

from tillkeeper.ingest.receive import AccountReceiver, RawHeaders
from tillkeeper.ingest.responses import Handler, PreparedResponse
from tillkeeper.tracing import spans
from tillkeeper.tracing.spans import Kind, Span

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
        with _span("POST", self._route, parent) as span:
            response = await self._receiver.receive(request)
            _note_status(span, response.status)
        return response

    def begin(
        self, raw_headers: RawHeaders, body: bytes, query: str, answer: Callable[[PreparedResponse], None]
    ) -> bool:
        """Begins a delivery.  Where the receiver does not, `receive` comes next, and this span is told to nobody."""
        span = _span("POST", self._route, _parent_in(raw_headers) if self._trusts_parents else "")

        def end(response: PreparedResponse) -> None:
            _note_status(span, response.status)
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
        with _span(request.method, route, parent) as span:
            response = await handler(request)
            _note_status(span, response.status)
        return response

    return handle


def _span(method: str, route: str, parent: str) -> Span:
    told = {"http.request.method": method, "http.route": route, "url.path": route, "url.scheme": "http"}
    return spans.begin(f"{method} {route}", kind=Kind.SERVER, attributes=told, parent=parent)


def _parent_in(raw_headers: RawHeaders) -> str:
    return next((value.decode("latin-1") for name, value in raw_headers if name.lower() == PARENT.encode()), "")


def _note_status(span: Span, status: int) -> None:
    span.note("http.response.status_code", status)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        span.failed(str(status))
