"""Logs every query to a simulated gateway, to compare it with Tillkeeper's records."""

from collections import Counter, deque
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

QUERIES_MAX: Final = 1_000_000  # kept; about 200 bytes each


class LoggedQuery(msgspec.Struct, frozen=True, kw_only=True):
    """One query and its answer."""

    at: datetime  # by the gateway's clock
    account: str
    about: str
    ref: str
    order_ref: str
    status: int  # of HTTP; 0 where no answer was given
    summary: str
    fault: str | None = None


class QueryLog:
    """Grows as gateways are asked; the oldest go when it is full, and the counts stay right."""

    def __init__(self, *, keep: int = QUERIES_MAX) -> None:
        self.queries: deque[LoggedQuery] = deque(maxlen=keep)
        self.counts: Counter[str] = Counter()  # by account

    def enter(self, query: LoggedQuery) -> None:
        """One more query."""
        self.queries.append(query)
        self.counts[query.account] += 1

    def of_order(self, order_ref: str) -> list[LoggedQuery]:
        """Returns what was asked about one order, in order of time."""
        return [query for query in self.queries if query.order_ref == order_ref]

    def write(self, path: Path) -> None:
        """As JSON lines."""
        encode = msgspec.json.Encoder().encode
        path.write_bytes(b"".join(encode(query) + b"\n" for query in self.queries))
