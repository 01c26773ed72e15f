"""The receiver's end of the RabbitMQ lane: a message is durable once a quorum queue has confirmed it."""

import asyncio
from itertools import count
from typing import Final

import msgspec
from aio_pika import DeliveryMode
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import DeliveryError, PublishError
from aiormq import Channel
from pamqp.commands import Basic

from tillkeeper.lanes.base import LaneUnavailable
from tillkeeper.lanes.bounded import unavailable_if_it_fails
from tillkeeper.lanes.broker_connection import BrokerConnection
from tillkeeper.lanes.topology import Topology, ensure
from tillkeeper.loops import pause

CONFIRM_S: Final = 3.0  # far over what a healthy quorum needs; the gateway's own time-out must not run out
DRAIN_S: Final = CONFIRM_S + 1.0  # no put takes longer, so none is lost


class _Session(msgspec.Struct, frozen=True, kw_only=True):
    channel: Channel  # aio-pika's own publish calls this, after wrapping each message twice
    lost: asyncio.Event


class RabbitSender:
    """Publishes to the shard's queue and waits for the confirm.  Made by `open`, closed by `close`."""

    name: Final = "rabbitmq"

    def __init__(self, broker_url: str, topology: Topology) -> None:
        self._topology = topology
        self._session: _Session | None = None
        self._attempts = count(1)
        self._in_flight = 0
        self._drained = asyncio.Event()
        self._drained.set()
        self._connection = BrokerConnection(
            broker_url, name="tillkeeper publish", set_up=self._set_up, tear_down=self._tear_down
        )

    @classmethod
    async def open(cls, broker_url: str, topology: Topology) -> "RabbitSender":
        """Opens a sender that connects now, or as soon as the broker is available.  Never fails without a broker."""
        sender = cls(broker_url, topology)
        await sender._connection.open()
        return sender

    async def put(self, body: bytes, *, shard: int = 0) -> None:
        """Returns once the shard's queue has confirmed the message; raises LaneUnavailable otherwise."""
        session = self._connected()
        self._in_flight += 1
        self._drained.clear()
        try:
            await self._publish(session, body, shard)
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._drained.set()

    async def check(self) -> None:
        """Raises LaneUnavailable while there is no connection."""
        self._connected()

    async def close(self) -> None:
        """Waits for puts in flight, then disconnects.  Safe to repeat."""
        await pause(self._drained, DRAIN_S)
        await self._connection.close()

    def _connected(self) -> _Session:
        if self._session is None or self._session.lost.is_set():
            raise LaneUnavailable("RabbitMQ is not connected")
        return self._session

    async def _publish(self, session: _Session, body: bytes, shard: int) -> None:
        publish = session.channel.basic_publish(
            body,
            exchange=self._topology.exchange,
            routing_key=str(shard),
            properties=Basic.Properties(
                delivery_mode=DeliveryMode.PERSISTENT,
                # New for every attempt: the library matches a returned publish by this id alone.
                message_id=str(next(self._attempts)),
            ),
            mandatory=True,
            timeout=CONFIRM_S,
            wait=False,  # do not wait for the socket: the confirm says more
        )
        try:
            answer = await unavailable_if_it_fails(publish, what="publishing")
        except LaneUnavailable as error:
            # A refusal came over a working connection.  After any other failure a new connection declares what may be
            # missing, and leaves a node that hangs.
            if not _is_refusal(error.__cause__):
                session.lost.set()
            raise
        if type(answer) is not Basic.Ack:
            session.lost.set()
            raise LaneUnavailable(f"RabbitMQ answered a publish with {type(answer).__name__}")

    async def _set_up(self, connection: AbstractConnection, lost: asyncio.Event) -> None:
        await ensure(connection, self._topology)
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        channel.close_callbacks.add(lambda *_: lost.set())
        underlay = await channel.get_underlay_channel()
        assert isinstance(underlay, Channel)
        self._session = _Session(channel=underlay, lost=lost)

    def _tear_down(self) -> None:
        self._session = None


def _is_refusal(error: BaseException | None) -> bool:
    """Returns whether it is a negative confirm (queue full, leader just changed), and not a message that no queue
    takes."""
    return isinstance(error, DeliveryError) and not isinstance(error, PublishError)
