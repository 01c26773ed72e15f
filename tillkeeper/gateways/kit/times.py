"""Reads the local times that gateways write without a zone.

Times with a zone, and unix seconds, are read by fields.py.
"""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final

import msgspec

from tillkeeper.gateways.errors import BadPayload

CHINA: Final = timezone(timedelta(hours=8))  # no daylight saving since 1991, before there were these gateways


class Local(msgspec.Struct, frozen=True):
    """The zone of one gateway's local times, and the document that says so."""

    gateway: str
    fields: str
    written: str
    zone: timezone
    source: str


COMPACT: Final = "20261005120000"
DASHED: Final = "2026-10-05 12:00:00"

# What `standard` reads goes by the account's `zone`.  docs/gateways.md prints these.
LOCAL: Final = (
    Local(
        "alipay",
        "gmt_create, gmt_payment, gmt_refund, gmt_close, notify_time, gmt_refund_pay",
        DASHED,
        CHINA,
        "Alipay's page 异步通知",
    ),
    Local(
        "lakala",
        "trade_time, order_create_time, tradeTime",
        COMPACT,
        CHINA,
        "o.lakala.com document 1112 and its page 收银台订单通知 name no zone: China's is taken",
    ),
    Local("shengpay", "timeEnd, refundSuccessTime", COMPACT, CHINA, "shengpay-h5-pay-integration, `references/`"),
    Local("wechatpay_v2", "time_end", COMPACT, CHINA, "WeChat Pay's page 支付结果通知"),
)

_COMPACT: Final = re.compile(r"\d{14}", re.ASCII)
_DASHED: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,9})?", re.ASCII)


def moment_from_compact(written: str, zone: tzinfo = CHINA) -> datetime:
    """Reads a time like 20261005120000, in UTC."""
    if not _COMPACT.fullmatch(written):
        raise BadPayload(f"a time is not written as {COMPACT}")
    return _in_utc(f"{written[:8]}T{written[8:]}", zone)


def moment_from_dashed(written: str, zone: tzinfo = CHINA) -> datetime:
    """Reads a time like 2026-10-05 12:00:00, in UTC, cut to whole seconds."""
    if not _DASHED.fullmatch(written):
        raise BadPayload(f"a time is not written as {DASHED}")
    return _in_utc(written[:19], zone)


def _in_utc(written: str, zone: tzinfo) -> datetime:
    try:
        return datetime.fromisoformat(written).replace(tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadPayload("a time names a day or an hour that does not exist") from None
