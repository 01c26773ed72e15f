"""Makes the spans of a delivery's way over a lane: until it is durable, and while a worker applies it with others."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from tillkeeper.domain.delivery import Envelope
from tillkeeper.lanes.intake import Intake
from tillkeeper.tracing import spans
from tillkeeper.tracing.spans import Span, SpanKind

SYSTEMS: Final = {"rabbitmq": "rabbitmq", "spool": "postgresql"}  # by lane
DESTINATION: Final = "events"
SENDING: Final = {
    "messaging.operation.name": "send",
    "messaging.operation.type": "send",
    "messaging.destination.name": DESTINATION,
}


class TracedIntake:
    """Accepts deliveries as the intake does, each within a span, whose context travels with it."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    async def accept(self, **delivery: Any) -> str:
        """Makes a delivery durable and returns the lane's name.  Raises what Intake.accept raises."""
        with _sending() as span:
            with spans.alone():  # what sends the group that this delivery joins belongs to no single one
                lane = await self._intake.accept(**delivery, trace=span.traceparent)
            span.note("messaging.system", SYSTEMS[lane])
        return lane

    def begin(self, **delivery: Any) -> asyncio.Future[str]:
        """Begins what `accept` waits for.  Raises what Intake.begin raises."""
        span = _sending()
        with spans.alone():
            begun = self._intake.begin(**delivery, trace=span.traceparent)
        if span is not spans.NO_SPAN:
            begun.add_done_callback(partial(_end, span))
        return begun

    def lane_of(self, begun: asyncio.Future[str]) -> str:
        """Returns the lane of a delivery that was begun and is done.  Raises LaneUnavailable."""
        return self._intake.lane_of(begun)


def _sending() -> Span:
    return spans.child(f"send {DESTINATION}", kind=SpanKind.PRODUCER, attributes=SENDING)


def _end(span: Span, begun: asyncio.Future[str]) -> None:
    error = None if begun.cancelled() else begun.exception()
    if begun.cancelled() or error is not None:
        span.failed(type(error).__name__ if error else "cancelled")
    else:
        span.note("messaging.system", SYSTEMS[begun.result()])
    span.end()


def processing(lane: str, envelopes: Sequence[Envelope]) -> Span:
    """Returns the span of a batch, with links to the traces of its deliveries."""
    if not spans.is_on():
        return spans.NO_SPAN
    deliveries = [delivery for envelope in envelopes for delivery in envelope.deliveries]
    return spans.batch(
        f"process {DESTINATION}",
        kind=SpanKind.CONSUMER,
        members=[delivery.trace for delivery in deliveries],
        attributes={
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": DESTINATION,
            "messaging.system": SYSTEMS[lane],
            "messaging.batch.message_count": len(envelopes),
            "tillkeeper.deliveries": len(deliveries),
        },
    )
