"""Judges whether money that waits may be meant for an order, and says why.

a similar reference ─────────────────────────────────> likely, whatever the amount
O for 0 in the reference, or l or I for 1 ────────────> likely, whatever the amount
another typing error in it, at the same amount ───────> likely
the same amount, days and account, under any name ────> perhaps
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import msgspec

from tillkeeper.domain.failures import Words
from tillkeeper.domain.order.registration import Order
from tillkeeper.domain.similar_references import WaitingMoney, differs_by_a_typo, is_read_alike, is_similar

PAID_WITHIN: Final = timedelta(days=3)  # of an order's registration most payers pay, or never
EARLIER: Final = timedelta(hours=1)  # webhooks race with the merchant's own registration, and clocks differ


class Likeness(StrEnum):
    """A reason to take waiting money for an order's, the most telling first."""

    SIMILAR_REFERENCE = "similar_reference"
    TYPING_ERROR = "typing_error"
    SAME_AMOUNT = "same_amount"
    SAME_DAYS = "same_days"
    ITS_ACCOUNT = "its_account"


LIKENESS_WORDS: Final[Mapping[Likeness, Words]] = MappingProxyType(
    {
        Likeness.SIMILAR_REFERENCE: Words(
            "编号只差大小写、符号或前后缀",
            "the reference differs in case, signs or a prefix alone",
        ),
        Likeness.TYPING_ERROR: Words("编号像是输错了一处", "the reference may have a typing error"),
        Likeness.SAME_AMOUNT: Words("金额相同", "the amount is the one that is due"),
        Likeness.SAME_DAYS: Words("付款在下单后几天内", "it was paid within days of the order"),
        Likeness.ITS_ACCOUNT: Words("订单指定的收款账户", "it came to an account where the order is expected"),
    }
)
_WEIGHT: Final = MappingProxyType(
    {
        Likeness.SIMILAR_REFERENCE: 8,
        Likeness.TYPING_ERROR: 4,
        Likeness.SAME_AMOUNT: 2,
        Likeness.SAME_DAYS: 1,
        Likeness.ITS_ACCOUNT: 1,
    }
)


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """How waiting money fits an order."""

    reasons: tuple[Likeness, ...]
    is_read_alike: bool = False  # the typing error is a letter for a digit, or the other way round

    @property
    def is_likely(self) -> bool:
        """Returns True where the reference itself says so."""
        reasons = set(self.reasons)
        if self.is_read_alike or Likeness.SIMILAR_REFERENCE in reasons:
            return True
        return {Likeness.TYPING_ERROR, Likeness.SAME_AMOUNT} <= reasons

    @property
    def is_possible(self) -> bool:
        """Returns True where it may be, at least."""
        return self.is_likely or {Likeness.SAME_AMOUNT, Likeness.SAME_DAYS, Likeness.ITS_ACCOUNT} <= set(self.reasons)

    @property
    def weight(self) -> int:
        """Returns how much speaks for it."""
        return sum(_WEIGHT[reason] for reason in self.reasons)


def match_of(order: Order, money: WaitingMoney, *, registered_at: datetime, seen_at: datetime) -> Match:
    """Returns how money that was first heard of at `seen_at` fits an order."""
    similar = is_similar(order.order_ref, money.order_ref)
    read_alike = not similar and is_read_alike(order.order_ref, money.order_ref)
    is_so = {
        Likeness.SIMILAR_REFERENCE: similar,
        Likeness.TYPING_ERROR: not similar and (read_alike or differs_by_a_typo(order.order_ref, money.order_ref)),
        Likeness.SAME_AMOUNT: (money.amount, money.currency) == (order.amount, order.currency),
        Likeness.SAME_DAYS: registered_at - EARLIER <= seen_at <= registered_at + PAID_WITHIN,
        Likeness.ITS_ACCOUNT: money.account in order.accounts,
    }
    return Match(reasons=tuple(reason for reason in Likeness if is_so[reason]), is_read_alike=read_alike)
