"""Local times that gateways write without a zone, and whose clock they go by.

Times with a zone, and unix seconds, are read by fields.py.
"""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final

from tillkeeper.gateways.base import BadPayload

CHINA: Final = timezone(timedelta(hours=8))  # no daylight saving since 1991, before there were these gateways

_COMPACT: Final = re.compile(r"\d{14}", re.ASCII)
_DASHED: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,9})?", re.ASCII)


def moment_from_compact(written: str, zone: tzinfo = CHINA) -> datetime:
    """20261005120000 (WeChat Pay v2's time_end, Lakala's trade_time, ShengPay's timeEnd), in UTC."""
    if not _COMPACT.fullmatch(written):
        raise BadPayload("a time is not written as 20261005120000")
    return _in_utc(f"{written[:8]}T{written[8:]}", zone)


def moment_from_dashed(written: str, zone: tzinfo = CHINA) -> datetime:
    """2026-10-05 12:00:00 (Alipay, WeChat Pay v2's success_time), in UTC, cut to whole seconds."""
    if not _DASHED.fullmatch(written):
        raise BadPayload("a time is not written as 2026-10-05 12:00:00")
    return _in_utc(written[:19], zone)


def _in_utc(written: str, zone: tzinfo) -> datetime:
    try:
        return datetime.fromisoformat(written).replace(tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadPayload("a time names a day or an hour that does not exist") from None
