"""Names what stands against closing an order: money of somebody's that is there, on its way, or may be meant for it."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import msgspec

from tillkeeper.domain.money import format_minor


class DoubtKind(StrEnum):
    """What a doubt is about."""

    ON_ITS_WAY = "on_its_way"
    HELD = "held"
    CASE = "case"
    PARKED = "parked"
    PAUSED = "paused"
    NOT_GIVEN_BACK = "not_given_back"
    REFUND_UNDER_WAY = "refund_under_way"
    WAITS_NEARBY = "waits_nearby"
    PARKED_NEARBY = "parked_nearby"


class Doubt(msgspec.Struct, frozen=True, kw_only=True):
    """One reason why closing an order now could leave somebody's money behind."""

    kind: DoubtKind
    account: str | None = None
    ref: str | None = None  # a payment, or the number of what is parked
    order_ref: str | None = None  # under which money waits
    amount: int | None = None
    currency: str | None = None
    word: str | None = None  # a payment's status, or a kind of case

    @property
    def text(self) -> str:
        """Returns it as a sentence for terminals and programs."""
        return _TEXTS[self.kind](self)


def _on_its_way(doubt: Doubt) -> str:
    return f"payment {doubt.ref} at {doubt.account} is {doubt.word}: its money may be on its way"


def _held(doubt: Doubt) -> str:
    return f"payment {doubt.ref} at {doubt.account} still holds {_money(doubt)}, which can be captured"


def _waits_nearby(doubt: Doubt) -> str:
    return f"payment {doubt.ref} at {doubt.account} waits for an order {doubt.order_ref!r}: is that this one?"


def _money(doubt: Doubt) -> str:
    return format_minor(doubt.amount or 0, doubt.currency or "")


_TEXTS: Final[Mapping[DoubtKind, Callable[[Doubt], str]]] = MappingProxyType(
    {
        DoubtKind.ON_ITS_WAY: _on_its_way,
        DoubtKind.HELD: _held,
        DoubtKind.CASE: lambda doubt: (
            f"a case is open, {doubt.word}: somebody's money counts for nothing until a person looks at it"
        ),
        DoubtKind.PARKED: lambda _: "an event of it is parked: replay or discard it first (tillkeeper parked list)",
        DoubtKind.PAUSED: lambda _: "an account of it is paused, and what came is not applied (tillkeeper guard list)",
        DoubtKind.NOT_GIVEN_BACK: lambda doubt: f"{_money(doubt)} was paid and is not given back",
        DoubtKind.REFUND_UNDER_WAY: lambda _: "a refund is under way",
        DoubtKind.WAITS_NEARBY: _waits_nearby,
        DoubtKind.PARKED_NEARBY: lambda doubt: (
            f"an event is parked that may be of this order: tillkeeper parked show {doubt.ref}"
        ),
    }
)
