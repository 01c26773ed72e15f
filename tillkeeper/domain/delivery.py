"""Deliveries, and the envelopes in which they travel from receiver to worker."""

from datetime import datetime
from uuid import UUID

import msgspec

from tillkeeper.domain.events import PaymentEvent
from tillkeeper.domain.fetching import Fetch


class Delivery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One accepted request of a gateway: its raw bytes, the events made from them, and what to ask the gateway.

    `run` names the receiver process that accepted it and `number` counts that run's deliveries from 1 without gaps:
    together they identify the delivery on both lanes, and let `audit` see one that never arrived.
    """

    run: UUID
    number: int
    account: str
    received_at: datetime
    key: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    events: tuple[PaymentEvent, ...]
    fetches: tuple[Fetch, ...] = ()
    query: str = ""
    unknown: tuple[tuple[str, str], ...] = ()  # (field, word): what stands in no list of ours


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """One message.  `void` lists numbers of `run` that were answered 503, so that audit does not miss them."""

    run: UUID
    deliveries: tuple[Delivery, ...]
    void: tuple[int, ...] = ()


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Envelope)


def pack(envelope: Envelope) -> bytes:
    """An envelope as bytes for a lane."""
    return _encoder.encode(envelope)


def unpack(body: bytes) -> Envelope:
    """The envelope in a message.  Raises msgspec.MsgspecError for anything else."""
    try:
        return _decoder.decode(body)
    except (UnicodeDecodeError, RecursionError) as error:  # msgspec lets these two through
        raise msgspec.DecodeError(str(error)) from error
