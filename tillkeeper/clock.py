"""The one place that reads the clock; everything else is told the time."""

import time
from datetime import UTC, datetime


def now() -> datetime:
    """The present, aware, in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - its one home


def monotonic_s() -> float:
    """Seconds that only ever grow, for measuring how long something took."""
    return time.monotonic()
