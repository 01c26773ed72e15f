"""The one place that reads the clock; everything else is told the time."""

import time
from datetime import UTC, datetime
from typing import Final


def now() -> datetime:
    """The present, aware, in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - its one home


# Seconds that only ever grow, for measuring how long something took.  The receiver reads it six times for a delivery.
monotonic_s: Final = time.monotonic
