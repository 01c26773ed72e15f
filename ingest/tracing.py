"""Makes a span of each request to the webhooks and the orders API, where traces are on."""

from collections.abc import Callable
from http import HTTPStatus

from aiohttp import web

from tillkeeper.ingest.responses import Handler
from tillkeeper.tracing import spans
from tillkeeper.tracing.spans import Kind


def traced(handler: Handler, *, route: str, may_continue: Callable[[web.Request], bool], **attributes: str) -> Handler:
    """Returns the handler within a span; where no traces are made, the handler itself.

    The caller's trace is gone on with where `may_continue` says so.  Path and query may hold what must not leave, so
    the route is told in their place.
    """
    if not spans.is_on():
        return handler

    async def handle(request: web.Request) -> web.StreamResponse:
        told = {"http.request.method": request.method, "http.route": route, "url.path": route, **attributes}
        parent = request.headers.get("traceparent", "") if may_continue(request) else ""
        with spans.begin(f"{request.method} {route}", kind=Kind.SERVER, attributes=told, parent=parent) as span:
            response = await handler(request)
            span.note("http.response.status_code", response.status)
            if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                span.failed(str(response.status))
        return response

    return handle
