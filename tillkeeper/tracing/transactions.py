"""Makes a span of each transaction that is part of something traced, and one of each of its stages."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from tillkeeper.store.postgres.stages import SET_TRACE, Stage
from tillkeeper.tracing import spans
from tillkeeper.tracing.spans import NO_SPAN, Span, SpanKind

ATTRIBUTES: Final = {"db.system.name": "postgresql"}


class _Open:
    """A transaction's present stage."""

    def __init__(self) -> None:
        self.stage: Span = NO_SPAN

    def end_stage(self, error: BaseException | None = None) -> None:
        if error is not None:
            self.stage.failed(type(error).__name__)
        self.stage.end()
        self.stage = NO_SPAN


_open: Final[ContextVar[_Open | None]] = ContextVar("open transaction", default=None)


class TransactionSpans:
    """Watches transactions (store/postgres/stages.py).  Only those within a span are told of."""

    @contextmanager
    def transaction(self) -> Iterator[str]:
        """Makes the span of one transaction."""
        with spans.child("transaction", kind=SpanKind.CLIENT, attributes=ATTRIBUTES) as span:
            if span is NO_SPAN:
                yield ""
                return
            opened = _Open()
            token = _open.set(opened)
            try:
                yield SET_TRACE % span.traceparent
            except BaseException as error:
                opened.end_stage(error)
                raise
            finally:
                opened.end_stage()
                _open.reset(token)

    def enter(self, stage: Stage) -> None:
        """Ends the stage that was, and begins the span of the next one."""
        opened = _open.get()
        if opened is not None:
            opened.end_stage()
            opened.stage = spans.child(str(stage), attributes=ATTRIBUTES)
