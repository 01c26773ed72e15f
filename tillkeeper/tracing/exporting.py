"""Sends spans to a collector, and tells of its absence once."""

import logging
from collections.abc import Sequence
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from tillkeeper.outage import Outage
from tillkeeper.tracing.settings import TracingSettings

LIBRARY: Final = "opentelemetry"


class _LastComplaint(logging.Handler):
    """Keeps what the library said last, which would otherwise be a line in the log for each request that fails."""

    text = "the collector did not take them"

    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()


class WatchedExporter(SpanExporter):
    """Passes spans on to the exporter, and notes whether they went."""

    def __init__(self, exporter: SpanExporter, outage: Outage, complaint: _LastComplaint) -> None:
        self._exporter = exporter
        self._outage = outage
        self._complaint = complaint

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Sends spans."""
        result = self._exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            self._outage.recovered(self)
        else:
            self._outage.failed(self, self._complaint.text)
        return result

    def shutdown(self) -> None:
        """Ends the exporter, and what it repeats."""
        self._exporter.shutdown()


def open_exporter(settings: TracingSettings, *, timeout_s: float, outage: Outage) -> WatchedExporter:
    """Returns what sends spans to the collector of the settings."""
    complaint = _LastComplaint()
    library = logging.getLogger(LIBRARY)
    library.handlers = [complaint]
    library.propagate = False
    exporter = OTLPSpanExporter(endpoint=settings.endpoint, headers=settings.headers, timeout=timeout_s)
    return WatchedExporter(exporter, outage, complaint)
