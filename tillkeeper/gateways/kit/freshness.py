"""Checks that a signed time is within a window around now."""

from datetime import UTC, datetime
from typing import Final

from tillkeeper.gateways.errors import BadSignature, Stale, VerificationStep
from tillkeeper.gateways.kit.fields import UNIX_S_MAX

WINDOW_S: Final = 300  # what Stripe's and WeChat Pay's own SDKs allow; here it holds for the future as well
TIMESTAMP_CHARS_MAX: Final = 12  # seconds since 1970 for the next 30,000 years


def check_fresh(timestamp: str, now: datetime) -> None:
    """Raises BadSignature unless a header's unix seconds are within the window around now."""
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= TIMESTAMP_CHARS_MAX):
        raise BadSignature("the signed time is not unix seconds", VerificationStep.HEADER)
    age_s = now.timestamp() - int(timestamp)
    if abs(age_s) > WINDOW_S:
        when, signed_at = "ago" if age_s > 0 else "ahead", datetime.fromtimestamp(min(int(timestamp), UNIX_S_MAX), UTC)
        raise Stale(f"signed {abs(age_s):.0f} s {when}, more than {WINDOW_S} s", signed_at)
