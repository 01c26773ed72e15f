"""What several gateways write alike: times, JSON, and the two types of what they send."""

import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any, Final

Json = dict[str, Any]
Signed = tuple[dict[str, str], bytes]  # headers and body

SHANGHAI: Final = timezone(timedelta(hours=8))


def compact_json(content: Json | list[Json]) -> bytes:
    """JSON without blanks, in UTF-8.  A decimal is the shortest number that tells it."""
    return json.dumps(content, ensure_ascii=False, default=float, separators=(",", ":")).encode()


def http_date(now: datetime) -> str:
    """A time as HTTP writes it."""
    return format_datetime(now.astimezone(UTC).replace(microsecond=0), usegmt=True)


def word_of(*parts: object) -> str:
    """Twenty-four letters and digits that look drawn by chance and are the same for the same parts."""
    return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()[:24]
