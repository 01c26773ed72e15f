"""Defines the eight statuses of an order, and what each means for the rules, in one table.

Which status an order has is decided in tillkeeper/domain/order/status.py, and there alone.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import msgspec

from tillkeeper.domain.topics import Topic


class Status(StrEnum):
    """An order's payment status.  Derived, never set."""

    UNPAID = "unpaid"
    PROCESSING = "processing"
    PAID = "paid"
    FAILED = "failed"
    PARTIALLY_PAID = "partially_paid"
    REFUNDING = "refunding"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"


class Traits(msgspec.Struct, frozen=True, kw_only=True):
    """What a status means for who looks after the order."""

    zh: str  # as people read it in Chinese
    moving: bool = False  # money is on its way, in or out: somebody must see it arrive
    awaited: bool = False  # the payer is asked for money, and may start payments that are not known
    empty: bool = False  # no money is there or on its way, as far as anybody knows: the order may be closed
    returning: bool = False  # something goes back, or went back
    told_at_once: Topic | None = None  # the topic of the payer's notice when it begins; other notices come from ladders
    told_while_moving: Topic | None = None  # what a reminder says while money is on its way


TRAITS: Final[Mapping[Status, Traits]] = MappingProxyType(
    {
        Status.UNPAID: Traits(zh="未支付", awaited=True, empty=True),
        # It may be over in a minute, and failed may turn into a success within its grace: their ladders tell of them.
        Status.PROCESSING: Traits(zh="支付处理中", moving=True, told_while_moving=Topic.PROCESSING),
        Status.PAID: Traits(zh="已支付", told_at_once=Topic.PAID),
        Status.FAILED: Traits(zh="支付失败", awaited=True, empty=True),
        Status.PARTIALLY_PAID: Traits(
            zh="部分支付", awaited=True, told_at_once=Topic.PARTIALLY_PAID, told_while_moving=Topic.PROCESSING
        ),
        Status.REFUNDING: Traits(
            zh="退款处理中",
            moving=True,
            returning=True,
            told_at_once=Topic.REFUNDING,
            told_while_moving=Topic.REFUNDING,
        ),
        Status.PARTIALLY_REFUNDED: Traits(zh="部分退款", returning=True, told_at_once=Topic.PARTIALLY_REFUNDED),
        Status.REFUNDED: Traits(zh="已退款", returning=True, told_at_once=Topic.REFUNDED),
    }
)


def statuses(has: Callable[[Traits], bool]) -> tuple[Status, ...]:
    """Returns the statuses that have a trait, in their order."""
    return tuple(status for status, traits in TRAITS.items() if has(traits))


STATUS_ZH: Final[Mapping[Status, str]] = MappingProxyType({status: traits.zh for status, traits in TRAITS.items()})
MOVING: Final = statuses(lambda traits: traits.moving)
AWAITED: Final = statuses(lambda traits: traits.awaited)
OPEN: Final = statuses(lambda traits: traits.moving or traits.awaited)  # whose money may move at any time
RETURNED: Final = statuses(lambda traits: traits.returning and not traits.moving)
