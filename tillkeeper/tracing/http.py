"""Makes the spans of HTTP, of requests that come and of calls to others.

Path and query may hold what must not leave: of a request its route is told in their place, of a call its host alone.
"""

from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from tillkeeper.tracing import spans
from tillkeeper.tracing.spans import Attribute, Span, SpanKind

PORTS: Final = {"http": 80, "https": 443}


def serving(method: str, route: str, *, parent: str) -> Span:
    """Returns the span of a request that came, within the trace of `parent` if that is one."""
    told = {"http.request.method": method, "http.route": route, "url.path": route, "url.scheme": "http"}
    return spans.begin(f"{method} {route}", kind=SpanKind.SERVER, attributes=told, parent=parent)


def calling(method: str, url: str) -> Span:
    """Returns the span of a call, within the current one."""
    if not spans.is_on():
        return spans.NO_SPAN
    parts = urlsplit(url)
    told: dict[str, Attribute] = {
        "http.request.method": method,
        "server.address": parts.hostname or "",
        "server.port": parts.port or PORTS.get(parts.scheme, 0),
        "url.scheme": parts.scheme,
    }
    return spans.child(method, kind=SpanKind.CLIENT, attributes=told)


def note_status(span: Span, status: int) -> None:
    """Adds what was answered, and marks a server's error as a failure."""
    span.note("http.response.status_code", status)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        span.failed(str(status))
