"""Reads the clock.  Nothing else does: the time comes in as an argument everywhere."""

import time
from datetime import UTC, datetime
from typing import Final


def now() -> datetime:
    """Returns the present time in UTC, with its zone."""
    return datetime.now(UTC)  # noqa: TID251 - its one home


# Seconds that only ever grow, for measuring how long something took.  The receiver reads it six times for a delivery.
monotonic_s: Final = time.monotonic
