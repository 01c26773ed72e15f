"""Writes the formats that several gateways share: times, JSON and amounts."""

import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from email.utils import format_datetime
from typing import Any, Final

from tillkeeper.domain.money import exponent

Json = dict[str, Any]
Signed = tuple[dict[str, str], bytes]  # headers and body

SHANGHAI: Final = timezone(timedelta(hours=8))


def compact_json(content: Json | list[Json]) -> bytes:
    """JSON without blanks, in UTF-8.  A decimal is the shortest number that tells it."""
    return json.dumps(content, ensure_ascii=False, default=float, separators=(",", ":")).encode()


def http_date(now: datetime) -> str:
    """Returns a time as HTTP writes it."""
    return format_datetime(now.astimezone(UTC).replace(microsecond=0), usegmt=True)


def word_of(*parts: object) -> str:
    """Twenty-four letters and digits that look drawn by chance and are the same for the same parts."""
    return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()[:24]


def utc_seconds(at: datetime) -> str:
    """Returns a time such as 2026-10-05T12:00:00Z."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def utc_milliseconds(at: datetime) -> str:
    """Returns a time such as 2026-10-05T12:00:00.000Z; the milliseconds are always none."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.000Z"


def shanghai_digits(at: datetime) -> str:
    """Returns a time such as 20261005200000, in Shanghai's."""
    return f"{at.astimezone(SHANGHAI):%Y%m%d%H%M%S}"


def major_units(amount: int, currency: str) -> Decimal:
    """Returns an amount of minor units in major ones."""
    return Decimal(amount).scaleb(-exponent(currency))
