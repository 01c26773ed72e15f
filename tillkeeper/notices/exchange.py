"""Publishes notices to RabbitMQ: to the durable topic exchange <prefix>.notices, with the topic as routing key.

Messages are persistent and confirmed, but not mandatory: nothing is lost where nobody has bound a queue.
"""

import asyncio
from typing import Final

import msgspec
from aio_pika import DeliveryMode, ExchangeType, Message
from aio_pika.abc import AbstractConnection, AbstractExchange
from pamqp.commands import Basic

from tillkeeper.domain.order.notice_outcomes import Failed, SendOutcome, Sent
from tillkeeper.lanes.base import LaneUnavailable
from tillkeeper.lanes.bounded import bounded
from tillkeeper.lanes.broker_connection import BrokerConnection
from tillkeeper.notices.outgoing import Outgoing
from tillkeeper.tracing import spans
from tillkeeper.tracing.spans import SpanKind, headers_of

CONFIRM_S: Final = 5.0  # only the next notice waits for it
SENDING: Final = {
    "messaging.system": "rabbitmq",
    "messaging.operation.name": "send",
    "messaging.operation.type": "send",
    "messaging.destination.name": "notices",
}


class _Session(msgspec.Struct, frozen=True, kw_only=True):
    exchange: AbstractExchange
    lost: asyncio.Event


class ExchangeChannel:
    """The exchange, opened by `open` and closed by `close`."""

    name: Final = "rabbitmq"

    def __init__(self, broker_url: str, prefix: str) -> None:
        self._exchange_name = f"{prefix}.notices"
        self._session: _Session | None = None
        self._connection = BrokerConnection(
            broker_url, name="tillkeeper notices", set_up=self._set_up, tear_down=self._tear_down
        )

    @classmethod
    async def open(cls, broker_url: str, prefix: str) -> "ExchangeChannel":
        """Connects now, or as soon as the broker is available.  An unavailable broker is no error."""
        channel = cls(broker_url, prefix)
        await channel._connection.open()
        return channel

    async def close(self) -> None:
        """Disconnects.  Safe to repeat."""
        await self._connection.close()

    async def send(self, notice: Outgoing) -> SendOutcome:
        """Publishes the notice; it counts as sent once the broker has confirmed it."""
        session = self._session
        if session is None or session.lost.is_set():
            return Failed(why="RabbitMQ is not connected")
        with spans.child("send notices", kind=SpanKind.PRODUCER, attributes=SENDING) as span:
            outcome = await self._publish(session, notice, headers_of(span))
            if isinstance(outcome, Failed):
                span.failed("not_confirmed")
            return outcome

    async def _publish(self, session: _Session, notice: Outgoing, headers: dict[str, str]) -> SendOutcome:
        message = Message(
            msgspec.json.encode({**notice.payload, "version": notice.version}),
            headers={**headers},
            delivery_mode=DeliveryMode.PERSISTENT,
            content_type="application/json",
            message_id=notice.id,  # nothing is mandatory here, so nothing is returned by this id
            type=notice.topic,
            timestamp=notice.created_at,
        )
        publish = session.exchange.publish(message, routing_key=notice.topic, mandatory=False)
        try:
            answer = await bounded(publish, timeout_s=CONFIRM_S, what="publishing")
        except LaneUnavailable as error:
            session.lost.set()  # a new connection declares what may be missing
            return Failed(why=f"RabbitMQ: {error}")
        if type(answer) is not Basic.Ack:
            session.lost.set()
            return Failed(why=f"RabbitMQ answered a publish with {type(answer).__name__}")
        return Sent()

    async def _set_up(self, connection: AbstractConnection, lost: asyncio.Event) -> None:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        channel.close_callbacks.add(lambda *_: lost.set())
        exchange = await channel.declare_exchange(self._exchange_name, ExchangeType.TOPIC, durable=True)
        self._session = _Session(exchange=exchange, lost=lost)

    def _tear_down(self) -> None:
        self._session = None
