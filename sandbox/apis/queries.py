"""The log of every query that was put to a gateway: the gateways' word against Tillkeeper's."""

from collections import Counter, deque
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

QUESTIONS_MAX: Final = 1_000_000  # kept; about 200 bytes each


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One query and its answer."""

    at: datetime  # by the gateway's clock
    account: str
    about: str
    ref: str
    order_ref: str
    status: int  # of HTTP; 0 where no answer was given
    said: str
    fault: str | None = None


class QuestionLog:
    """Grows as gateways are asked; the oldest go when it is full, and the counts stay right."""

    def __init__(self, *, keep: int = QUESTIONS_MAX) -> None:
        self.asked: deque[Asked] = deque(maxlen=keep)
        self.counts: Counter[str] = Counter()  # by account

    def enter(self, asked: Asked) -> None:
        """One more query."""
        self.asked.append(asked)
        self.counts[asked.account] += 1

    def of_order(self, order_ref: str) -> list[Asked]:
        """What was asked about one order, in order of time."""
        return [it for it in self.asked if it.order_ref == order_ref]

    def write(self, path: Path) -> None:
        """As JSON lines."""
        encode = msgspec.json.Encoder().encode
        path.write_bytes(b"".join(encode(it) + b"\n" for it in self.asked))
