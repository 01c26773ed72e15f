"""What several gateways write alike: times, JSON, and the two types of what they send."""

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any, Final

Json = dict[str, Any]
Signed = tuple[dict[str, str], bytes]  # headers and body

SHANGHAI: Final = timezone(timedelta(hours=8))
