"""Makes the spans of a delivery's way over a lane: until it is durable, and while a worker applies it with others."""

from collections.abc import Sequence
from typing import Any, Final

from tillkeeper.domain.delivery import Envelope
from tillkeeper.lanes.intake import Intake
from tillkeeper.tracing import spans
from tillkeeper.tracing.spans import Kind, Span

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
        with spans.child(f"send {DESTINATION}", kind=Kind.PRODUCER, attributes=SENDING) as span:
            with spans.alone():  # what sends the group that this delivery joins belongs to no single one
                lane = await self._intake.accept(**delivery, trace=span.traceparent)
            span.note("messaging.system", SYSTEMS[lane])
        return lane


def processing(lane: str, envelopes: Sequence[Envelope]) -> Span:
    """Returns the span of a batch, with links to the traces of its deliveries."""
    if not spans.is_on():
        return spans.NO_SPAN
    deliveries = [delivery for envelope in envelopes for delivery in envelope.deliveries]
    return spans.batch(
        f"process {DESTINATION}",
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
