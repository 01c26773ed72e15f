"""Turns traces on for a process, as `[tracing]` says, and off again when it stops.

Spans wait in a bounded queue, and a thread sends them.  A collector that is away, slow or refuses costs spans, and
nothing else: what finds no room in the queue is dropped, and the log says once that it begins and once that it ends.
"""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

from tillkeeper import __version__
from tillkeeper.loops import pause
from tillkeeper.outage import collector_outage
from tillkeeper.store.postgres import stages
from tillkeeper.tracing import spans
from tillkeeper.tracing.settings import TracingSettings, refuse_missing
from tillkeeper.tracing.transactions import TransactionSpans

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

QUEUE_SPANS_MAX: Final = 8192  # 3.1 KB each when measured: 25 MB while a collector is away
SENT_AT_ONCE: Final = 512
SEND_EVERY_S: Final = 1.0
SEND_S: Final = 5.0  # with all repetitions of one request
STOP_S: Final = 2.0  # a process that stops waits no longer for its last spans
LINKS_MAX: Final = 1024  # a batch has some 400 members


@asynccontextmanager
async def traces(settings: TracingSettings, role: str) -> AsyncIterator[None]:
    """Records spans while it is entered, if the settings name a collector.  Raises NotInstalled."""
    refuse_missing(settings)
    if settings.endpoint is None:
        yield
        return
    from tillkeeper.tracing.recording import SdkTracer  # noqa: PLC0415 - only where traces are on

    provider = _provider(settings, role)
    spans.use(SdkTracer(provider))
    stages.watch(TransactionSpans())
    try:
        yield
    finally:
        stages.watch(None)
        spans.use(None)
        await _shut_down(provider)


def _provider(settings: TracingSettings, role: str) -> "TracerProvider":
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - only where traces are on
    from opentelemetry.sdk.trace import SpanLimits, TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    from opentelemetry.sdk.trace.sampling import ParentBased  # noqa: PLC0415

    from tillkeeper.tracing.exporting import open_exporter  # noqa: PLC0415
    from tillkeeper.tracing.recording import LinkedOrByChance  # noqa: PLC0415

    provider = TracerProvider(
        sampler=ParentBased(LinkedOrByChance(settings.ratio)),
        resource=Resource.create({"service.name": f"tillkeeper-{role}", "service.version": __version__}),
        span_limits=SpanLimits(max_links=LINKS_MAX),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(
        BatchSpanProcessor(
            open_exporter(settings, timeout_s=SEND_S, outage=collector_outage()),
            max_queue_size=QUEUE_SPANS_MAX,
            max_export_batch_size=SENT_AT_ONCE,
            schedule_delay_millis=SEND_EVERY_S * 1000,
        )
    )
    return provider


async def _shut_down(provider: "TracerProvider") -> None:
    """Sends what is left, for a limited time: the thread that does so holds up no process."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def shut_down() -> None:
        provider.shutdown()
        with suppress(RuntimeError):  # the process did not wait, and its loop is closed
            loop.call_soon_threadsafe(done.set)

    threading.Thread(target=shut_down, name="last spans", daemon=True).start()
    await pause(done, STOP_S)
