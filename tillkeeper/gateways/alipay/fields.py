"""Reads amounts, times and signed texts as Alipay writes them, in notices and in answers."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from tillkeeper.domain.money import BadMoney, minor_from_major
from tillkeeper.gateways.errors import BadPayload
from tillkeeper.gateways.kit.fields import text_or_none
from tillkeeper.gateways.kit.times import moment_from_dashed
from tillkeeper.gateways.kit.units import known_currency

YUAN: Final = "CNY"
SIGN_TYPE: Final = "RSA2"  # SHA-256; the old RSA is SHA-1 and is not taken, whatever a notice asks for

_METHOD: Final = re.compile(r"[A-Za-z0-9_]{1,64}", re.ASCII)


def signing_text(fields: Mapping[str, str]) -> str:
    """Returns what is signed of notices and of requests."""
    return "&".join(f"{name}={fields[name]}" for name in sorted(fields))


def currency_in(fields: Mapping[str, object], otherwise: str) -> str | None:
    """Returns what total_amount and refund_fee are in: a trade across borders names it, and settles or is paid in
    others.

    None for one that ISO 4217 does not list.
    """
    return known_currency("trans_currency", text_or_none(fields, "trans_currency") or otherwise)


def money(fields: Mapping[str, object], name: str, currency: str) -> int | None:
    """Returns an amount in minor units; None where it is absent or empty."""
    written = text_or_none(fields, name)
    if written is None:
        return None
    try:
        return minor_from_major(written, currency)
    except BadMoney as error:
        raise BadPayload(f"{name}: {error}") from None


def moment(name: str, written: str) -> datetime:
    """Returns a time in UTC.  Milliseconds are cut, so that all times compare with one resolution."""
    try:
        return moment_from_dashed(written)
    except BadPayload as error:
        raise BadPayload(f"{name}: {error.reason}") from None


def method_in(bills: object, name: str) -> str | None:
    """Returns the one channel that all money of a payment came through.  No money hangs on it: odd is unknown."""
    if not isinstance(bills, list):
        return None
    channels = {
        bill.get(name) if isinstance(bill, dict) and isinstance(bill.get(name), str) else None for bill in bills
    }
    channel = channels.pop() if len(channels) == 1 else None
    return channel if channel is not None and _METHOD.fullmatch(channel) else None
