"""Defines deliveries, and the envelopes in which they travel from receiver to worker.

Workers trust the events of an envelope, because a receiver verified them.  So receivers sign envelopes with a key that
workers know: somebody who may only publish to the exchange, or write to the spool, cannot mark an order paid.

    message = MARK, HMAC-SHA256 of the packed envelope, packed envelope
"""

import hmac
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from tillkeeper.domain.events import PaymentEvent
from tillkeeper.domain.fetching import Fetch


class Delivery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An accepted request of a gateway: its raw bytes, its events, and the queries that it causes.

    `run` is the receiver process that accepted it, and `number` counts that run's deliveries from 1 without gaps:
    together they identify the delivery on both lanes, and let `audit` find one that never arrived.
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
    unknown: tuple[tuple[str, str], ...] = ()  # (field, word) of unknown words
    trace: str = ""  # its traceparent, where it is traced


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """A message.  `void` lists numbers of `run` that were answered 503, so that audit does not miss them."""

    run: UUID
    deliveries: tuple[Delivery, ...]
    void: tuple[int, ...] = ()


MARK: Final = b"TK\x01"  # no packed envelope begins with these bytes, which are numbers in MessagePack
MAC_BYTES: Final = 32


class NotAuthentic(Exception):
    """No known receiver signed this message."""


class EnvelopeKeys:
    """The keys that receivers and workers share: the first signs, each verifies.  Without keys, all is trusted."""

    def __init__(self, keys: Sequence[str] = ()) -> None:
        self._keys = tuple(key.encode() for key in keys)

    def seal(self, envelope: Envelope) -> bytes:
        """Writes the envelope as a message for a lane; the same envelope gives the same bytes."""
        packed = pack(envelope)
        if not self._keys:
            return packed
        return MARK + hmac.digest(self._keys[0], packed, "sha256") + packed

    def open(self, message: bytes) -> Envelope:
        """Reads the envelope in a message.  Raises NotAuthentic, or msgspec.MsgspecError for what is no envelope."""
        if not message.startswith(MARK):
            if self._keys:
                raise NotAuthentic("it is not signed, and a receiver of ours signs: see envelope_keys")
            return unpack(message)
        mac, packed = _parted(message)
        if self._keys and not any(hmac.compare_digest(mac, hmac.digest(key, packed, "sha256")) for key in self._keys):
            raise NotAuthentic("it is signed with a key that is not among envelope_keys")
        return unpack(packed)

    def reseal(self, message: bytes, change: Callable[[Delivery], Delivery]) -> bytes:
        """Writes a message anew with its deliveries changed.  Raises NotAuthentic for one that these keys did not seal:
        who seals such a one would make it authentic."""
        if message.startswith(MARK) and not self._keys:
            raise NotAuthentic("it is signed, and envelope_keys are not set here")
        envelope = self.open(message)
        return self.seal(msgspec.structs.replace(envelope, deliveries=tuple(map(change, envelope.deliveries))))


def unproven(message: bytes) -> Envelope:
    """Reads a message whoever sent it: to be shown, not to be applied.  Raises msgspec.MsgspecError."""
    return unpack(_parted(message)[1] if message.startswith(MARK) else message)


def _parted(message: bytes) -> tuple[bytes, bytes]:
    begin = len(MARK)
    return message[begin : begin + MAC_BYTES], message[begin + MAC_BYTES :]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Envelope)


def pack(envelope: Envelope) -> bytes:
    """Writes an envelope as bytes for a lane."""
    return _encoder.encode(envelope)


def unpack(body: bytes) -> Envelope:
    """Reads the envelope in a message.  Raises msgspec.MsgspecError for anything else."""
    try:
        return _decoder.decode(body)
    except (UnicodeDecodeError, RecursionError) as error:  # msgspec does not catch these two
        raise msgspec.DecodeError(str(error)) from error
