"""Records spans with OpenTelemetry's SDK.  Only tracing/process.py imports this, and only where traces are on."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final, Self

import msgspec
from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult, TraceIdRatioBased
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import Attributes
from structlog.contextvars import bind_contextvars, reset_contextvars

from tillkeeper import __version__
from tillkeeper.tracing.spans import LOG_FIELD, NO_SPAN, Attribute, Span, SpanKind

KINDS: Final = {kind: trace.SpanKind[kind] for kind in SpanKind}
NOT_LOGGED: Final = ...  # as structlog marks what is unbound
NOTHING_CURRENT: Final = contexts.Context()
_w3c: Final = TraceContextTextMapPropagator()


class LinkedOrByChance(Sampler):
    """Decides on a span that begins a trace: with links, to what is recorded, it is recorded; else by chance."""

    def __init__(self, ratio: float) -> None:
        self._by_chance = TraceIdRatioBased(ratio)

    def should_sample(  # noqa: PLR0917 - the SDK's own form
        self,
        parent_context: contexts.Context | None,
        trace_id: int,
        name: str,
        kind: trace.SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[trace.Link] | None = None,
        trace_state: trace.TraceState | None = None,
    ) -> SamplingResult:
        """Decides."""
        if links:
            return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes)
        return self._by_chance.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        """Describes itself."""
        return f"LinkedOrByChance{{{self._by_chance.rate}}}"


class RecordedSpan:
    """A span that is recorded, and current while it is entered.  Log lines then have its trace's id."""

    def __init__(self, span: trace.Span) -> None:
        self.span = span
        self._entered: AbstractContextManager[None] = nullcontext()

    def __enter__(self) -> Self:
        self._entered = self.current()
        self._entered.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        if isinstance(error[1], BaseException):
            self.failed(type(error[1]).__name__)
        self._entered.__exit__(None, None, None)
        self.end()

    def current(self) -> AbstractContextManager[None]:
        """Returns a context in which it is the current span."""
        trace_id = trace.format_trace_id(self.span.get_span_context().trace_id)
        return _within(trace.set_span_in_context(self.span), trace_id)

    def end(self) -> None:
        """Ends it."""
        self.span.end()

    def note(self, name: str, value: Attribute) -> None:
        """Adds an attribute."""
        self.span.set_attribute(name, value)

    def failed(self, error_type: str) -> None:
        """Marks it as failed.  An error's text may hold what must not leave, so its class alone is told."""
        self.span.set_attribute("error.type", error_type)
        self.span.set_status(trace.StatusCode.ERROR)

    @property
    def traceparent(self) -> str:
        """Returns what makes another process's span its child."""
        return _traceparent_of(self.span)


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    """What the members of a batch are told of it."""

    name: str
    kind: trace.SpanKind
    members: Sequence[contexts.Context]


class BatchSpan(RecordedSpan):
    """The span of work for several traces, each of which gets a span of the same time when it ends."""

    def __init__(self, span: trace.Span, tracer: "SdkTracer", told: _Told) -> None:
        super().__init__(span)
        self._tracer = tracer
        self._told = told
        self._began_ns = time.time_ns()

    def end(self) -> None:
        """Ends it, and tells the traces of its members."""
        super().end()
        self._tracer.tell_members(self._told, self.span, self._began_ns)


class SdkTracer:
    """Makes spans that `provider` exports."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("tillkeeper", __version__)

    def begin(self, name: str, kind: SpanKind, attributes: Mapping[str, Attribute], parent: str) -> Span:
        """Returns a span that begins a trace, or goes on with the parent's."""
        return self._recorded(name, kind, attributes, _context_of(parent))

    def child(self, name: str, kind: SpanKind, attributes: Mapping[str, Attribute]) -> Span:
        """Returns a span within the current one, if there is one."""
        context = contexts.get_current()
        if not trace.get_current_span(context).is_recording():
            return NO_SPAN
        return self._recorded(name, kind, attributes, context)

    def batch(self, name: str, kind: SpanKind, members: Iterable[str], attributes: Mapping[str, Attribute]) -> Span:
        """Returns a span of work that is done together for several."""
        found = {member: _context_of(member) for member in members if member}
        parents = [context for context in found.values() if _is_of_a_trace(context)]
        if not parents:
            return NO_SPAN
        if len(parents) == 1:
            return self._recorded(name, kind, attributes, parents[0])
        span = self._start(name, kind, attributes, NOTHING_CURRENT, [_link_to(parent) for parent in parents])
        return BatchSpan(span, self, _Told(name=name, kind=KINDS[kind], members=parents))

    def tell_members(self, told: _Told, batch: trace.Span, began_ns: int) -> None:
        """Adds a span to each member's trace, of the same time as the batch's and with a link to it."""
        links, ended_ns = [trace.Link(batch.get_span_context())], time.time_ns()
        for member in told.members:
            span = self._tracer.start_span(told.name, member, told.kind, links=links, start_time=began_ns)
            span.end(ended_ns)

    def alone(self) -> AbstractContextManager[None]:
        """Has no span current for a while."""
        return _within(NOTHING_CURRENT, NOT_LOGGED)

    def _recorded(
        self, name: str, kind: SpanKind, attributes: Mapping[str, Attribute], context: contexts.Context
    ) -> Span:
        span = self._start(name, kind, attributes, context, [])
        return RecordedSpan(span) if span.is_recording() else NO_SPAN

    def _start(
        self,
        name: str,
        kind: SpanKind,
        attributes: Mapping[str, Attribute],
        context: contexts.Context,
        links: Sequence[trace.Link],
    ) -> trace.Span:
        return self._tracer.start_span(
            name,
            context,
            KINDS[kind],
            attributes=attributes,
            links=links,
            record_exception=False,  # its text may hold what must not leave
        )


@contextmanager
def _within(context: contexts.Context, trace_id: object) -> Iterator[None]:
    """Makes a context the current one, for spans and for log lines."""
    current, logged = contexts.attach(context), bind_contextvars(**{LOG_FIELD: trace_id})
    try:
        yield
    finally:
        reset_contextvars(**logged)
        contexts.detach(current)


def _context_of(traceparent: str) -> contexts.Context:
    """Returns the context in which spans are children of that one; an empty one for what is no traceparent."""
    return _w3c.extract({"traceparent": traceparent}, NOTHING_CURRENT) if traceparent else NOTHING_CURRENT


def _is_of_a_trace(context: contexts.Context) -> bool:
    return trace.get_current_span(context).get_span_context().is_valid


def _link_to(context: contexts.Context) -> trace.Link:
    return trace.Link(trace.get_current_span(context).get_span_context())


def _traceparent_of(span: trace.Span) -> str:
    if not span.is_recording():
        return ""
    context = span.get_span_context()
    trace_id, span_id = trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id)
    return f"00-{trace_id}-{span_id}-{context.trace_flags:02x}"
