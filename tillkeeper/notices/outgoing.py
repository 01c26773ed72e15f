"""Defines a notice as it is sent to the merchant's systems and to ops."""

import hashlib
import re
from datetime import datetime
from typing import Any, Final

import msgspec

# What may stand in a header, in AMQP's short strings (255 bytes), and before the full stops of what webhooks sign.
_PLAIN: Final = re.compile(r"[A-Za-z0-9/_:-]{1,200}")


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """A notice to send.  `key` identifies it.  Receivers see `id`, by which they recognise a repeated notice."""

    key: str
    topic: str
    payload: dict[str, Any]
    version: int | None
    created_at: datetime
    sent_at: datetime

    @property
    def id(self) -> str:
        """Returns the key without full stops, which signatures take apart; a digest where it holds anything unusual."""
        plain = self.key.replace(".", "-")
        return plain if _PLAIN.fullmatch(plain) else hashlib.sha256(self.key.encode()).hexdigest()
