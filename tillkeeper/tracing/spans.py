"""What the program tells of its work to a tracer, where there is one.

Without `[tracing] endpoint` there is none: each function returns at once, makes no object, and OpenTelemetry is not
imported.  A context travels from process to process as a `traceparent` of W3C Trace Context, and only if its trace is
recorded: "" says that there is nothing to continue.
"""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum
from typing import Final, Protocol, Self, TypeAlias

Attribute: TypeAlias = str | int | bool
LOG_FIELD: Final = "tillkeeper_trace_id"  # of lines that are written within a span
NO_ATTRIBUTES: Final[Mapping[str, Attribute]] = {}


class SpanKind(StrEnum):
    """The kinds of spans, by their names in OpenTelemetry."""

    INTERNAL = "INTERNAL"
    SERVER = "SERVER"
    CLIENT = "CLIENT"
    PRODUCER = "PRODUCER"
    CONSUMER = "CONSUMER"


class Span(Protocol):
    """A piece of work with a beginning and an end, while it is entered: what begins meanwhile is its child."""

    def __enter__(self) -> Self:
        """Makes it the current span."""
        ...

    def __exit__(self, *error: object) -> None:
        """Ends it, as failed if by an error, whose class alone is told."""
        ...

    def current(self) -> AbstractContextManager[object]:
        """Returns a context in which it is the current span, and which does not end it."""
        ...

    def end(self) -> None:
        """Ends it.  A span that is never ended is told to nobody."""
        ...

    def note(self, name: str, value: Attribute) -> None:
        """Adds an attribute.  Nothing personal and no secret may be one: collectors are other people's."""
        ...

    def failed(self, error_type: str) -> None:
        """Marks it as failed."""
        ...

    @property
    def traceparent(self) -> str:
        """Returns what makes another process's span its child."""
        ...


class Tracer(Protocol):
    """What records spans.  Each method is that of the function below with its name."""

    def begin(self, name: str, kind: SpanKind, attributes: Mapping[str, Attribute], parent: str) -> Span:
        """Makes a span that begins a trace, or goes on with another process's."""
        ...

    def child(self, name: str, kind: SpanKind, attributes: Mapping[str, Attribute]) -> Span:
        """Makes a span within the current one, if there is one."""
        ...

    def batch(self, name: str, kind: SpanKind, members: Iterable[str], attributes: Mapping[str, Attribute]) -> Span:
        """Makes a span of work that is done together for several."""
        ...

    def alone(self) -> AbstractContextManager[None]:
        """Has no span current for a while."""
        ...


_UNCHANGED: Final = nullcontext()


class NoSpan:
    """Stands for a span where nothing is recorded."""

    traceparent: str = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return

    def current(self) -> AbstractContextManager[object]:
        """Returns a context in which nothing changes."""
        return _UNCHANGED

    def end(self) -> None:
        """Does nothing."""

    def note(self, name: str, value: Attribute) -> None:
        """Does nothing."""

    def failed(self, error_type: str) -> None:
        """Does nothing."""


NO_SPAN: Final = NoSpan()
_tracer: Tracer | None = None


def use(tracer: Tracer | None) -> None:
    """Has this process's spans recorded by `tracer` from now on, or by none."""
    global _tracer  # noqa: PLW0603 - one a process, as metrics and logs are
    _tracer = tracer


def is_on() -> bool:
    """Returns whether spans are recorded."""
    return _tracer is not None


def begin(
    name: str,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    attributes: Mapping[str, Attribute] = NO_ATTRIBUTES,
    parent: str = "",
) -> Span:
    """Returns a span that begins a trace here, or goes on with that of `parent`, another process's traceparent.

    One that begins a trace is recorded by chance, as `[tracing] ratio` says.
    """
    return NO_SPAN if _tracer is None else _tracer.begin(name, kind, attributes, parent)


def child(
    name: str, *, kind: SpanKind = SpanKind.INTERNAL, attributes: Mapping[str, Attribute] = NO_ATTRIBUTES
) -> Span:
    """Returns a span within the current one; none where none is current, for it would tell nothing alone."""
    return NO_SPAN if _tracer is None else _tracer.child(name, kind, attributes)


def batch(
    name: str,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    members: Iterable[str],
    attributes: Mapping[str, Attribute] = NO_ATTRIBUTES,
) -> Span:
    """Returns a span of work that is done together for several, each with the traceparent of its own trace.

    It belongs to the trace of its members where they have but one.  Else it has a trace of its own with a link to each
    of theirs, and each of theirs gets a span of the same name and time, with a link to it.
    """
    return NO_SPAN if _tracer is None else _tracer.batch(name, kind, members, attributes)


def alone() -> AbstractContextManager[None]:
    """Returns a context without a current span, for starting what is not a part of it."""
    return _UNCHANGED if _tracer is None else _tracer.alone()


def headers_of(span: Span) -> dict[str, str]:
    """Returns the headers by which whoever gets them goes on with the span's trace; none where nothing is recorded."""
    return {"traceparent": span.traceparent} if span.traceparent else {}
