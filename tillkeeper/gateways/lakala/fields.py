"""Reads amounts, times and failure reasons as Lakala writes them, in all notices and answers."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from tillkeeper.domain.events import Kind
from tillkeeper.domain.failures import FailureClass
from tillkeeper.gateways.kit import units
from tillkeeper.gateways.kit.fields import text_or_none
from tillkeeper.gateways.kit.state import State
from tillkeeper.gateways.kit.times import moment_from_compact

Fields = Mapping[str, object]

_FEN: Final = re.compile(r"\d{1,12}", re.ASCII)

# Codes of declines are not published: the words that they come with are.  The first that occurs decides.
WORDS: Final[tuple[tuple[str, FailureClass], ...]] = (
    ("余额不足", FailureClass.INSUFFICIENT_FUNDS),
    ("风控", FailureClass.SUSPECTED_FRAUD),
    ("风险", FailureClass.SUSPECTED_FRAUD),
    ("欺诈", FailureClass.SUSPECTED_FRAUD),
    ("冻结", FailureClass.ACCOUNT_FROZEN),
    ("挂失", FailureClass.ACCOUNT_FROZEN),
    ("限额", FailureClass.LIMIT_EXCEEDED),
    ("超限", FailureClass.LIMIT_EXCEEDED),
    ("密码", FailureClass.BANK_VERIFICATION_FAILED),
    ("验证", FailureClass.BANK_VERIFICATION_FAILED),
    ("优惠", FailureClass.COUPON_CONFLICT),
    ("不支持", FailureClass.METHOD_UNAVAILABLE),
    ("用户取消", FailureClass.USER_CANCELLED),
    ("超时", FailureClass.NETWORK_TIMEOUT),
    ("系统", FailureClass.GATEWAY_FAULT),
    ("有效期", FailureClass.CARD_EXPIRED_OR_INVALID),
    ("卡", FailureClass.CARD_EXPIRED_OR_INVALID),
)
TEXTS: Final = ("trade_state_desc", "trade_status_desc", "channel_ret_desc", "result_desc", "trade_remark", "remark")


def failure_of(state: State, fields: Fields) -> FailureClass | None:
    """Names the failure by the words that it comes with, where there are some that are known."""
    if state.failure is None or state.kind is Kind.PAYMENT_CANCELLED:
        return state.failure
    words = " ".join(value for name in TEXTS if isinstance(value := fields.get(name), str))
    return next((failure for word, failure in WORDS if word in words), state.failure)


def currency_in(fields: Fields) -> str | None:
    """Returns yuan where no field names a currency; the oldest family names it by a number."""
    return units.known_currency("currency", text_or_none(fields, "currency") or "CNY")


def money(fields: Fields, name: str, currency: str) -> int:
    """Returns a whole number of minor units, which one family writes as a text."""
    amount = fields.get(name)
    if isinstance(amount, str) and _FEN.fullmatch(amount):
        amount = int(amount)
    return units.from_minor(amount, currency)


def moment_or_none(fields: Fields, name: str) -> datetime | None:
    """Returns a time in UTC; None where it is absent or empty."""
    written = text_or_none(fields, name)
    return None if written is None else moment_from_compact(written)
