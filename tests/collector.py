"""A collector of traces: takes what OpenTelemetry's exporter posts, and reads it by the official protobuf."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

WITHIN_S = 120.0


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A span as the collector got it."""

    service: str
    name: str
    kind: str
    trace: str
    id: str
    parent: str
    links: tuple[tuple[str, str], ...]  # (trace, span)
    attributes: dict[str, object]
    failed: bool
    events: int
    began_ns: int
    ended_ns: int


class Collector:
    """What came, and what is answered."""

    def __init__(self) -> None:
        self.spans: list[Told] = []
        self.headers: list[dict[str, str]] = []
        self.bodies: list[bytes] = []
        self.status = 200
        self.hangs = False
        self.endpoint = ""
        self._more = asyncio.Event()
        self.asked = asyncio.Event()
        self.stopping = asyncio.Event()

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.asked.set()
        if self.hangs:
            await self.stopping.wait()
        if self.status != 200:
            return web.Response(status=self.status)
        self.headers.append(dict(request.headers))
        self.bodies.append(body)
        self.spans += spans_in(ExportTraceServiceRequest.FromString(body))
        self._more.set()
        answer = ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=answer, content_type="application/x-protobuf")

    async def named(self, name: str, *, service: str | None = None, times: int = 1) -> list[Told]:
        """The spans of that name, once there are so many."""
        return await self.saw(lambda span: span.name == name and service in (None, span.service), times=times)

    def way_to(self, span: Told) -> list[Told]:
        """The span's parents, the first one first, and itself."""
        known = {each.id: each for each in self.spans if each.trace == span.trace}
        way = [span]
        while way[0].parent in known:
            way.insert(0, known[way[0].parent])
        return way

    async def saw(self, fits: Callable[[Told], bool], *, times: int = 1) -> list[Told]:
        """The spans that fit, once there are so many."""
        try:
            async with asyncio.timeout(WITHIN_S):
                while len(found := [span for span in self.spans if fits(span)]) < times:
                    self._more.clear()
                    await self._more.wait()
                return found
        except TimeoutError:
            raise AssertionError(f"it did not come within {WITHIN_S} s: {self.spans}") from None


def spans_in(request: ExportTraceServiceRequest) -> list[Told]:
    return [
        told(span, {each.key: each.value.string_value for each in group.resource.attributes}["service.name"])
        for group in request.resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]


def told(span: Span, service: str) -> Told:
    values = {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}
    return Told(
        service=service,
        name=span.name,
        kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        attributes=values,
        failed=span.status.code == Status.STATUS_CODE_ERROR,
        events=len(span.events),
        began_ns=span.start_time_unix_nano,
        ended_ns=span.end_time_unix_nano,
    )


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """A collector that listens on a free port of the loopback."""
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    collector.endpoint = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/traces"
    try:
        yield collector
    finally:
        collector.stopping.set()
        await runner.cleanup()
